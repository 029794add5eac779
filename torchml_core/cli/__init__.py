"""The command ``torchml-core``.

One file per command. Packages that take long to import (torch, ASE, rich) are imported when a
command runs, so that ``--help``, ``--version`` and usage errors are answered at once.
"""

import errno

import click

from torchml_core import __version__
from torchml_core.cli import bench, convert, evaluate, featurize, inspect, kim, look, plot, train
from torchml_core.errors import TorchMLError


class _Failure(click.ClickException):
    """Ends the command with ``error: ...`` on stderr and exit code 1."""

    def show(self, file=None):
        click.echo(f"error: {self.format_message()}", err=True)


class _Group(click.Group):
    """A group of commands whose errors are one line, unless a traceback is requested."""

    def invoke(self, ctx):
        if ctx.params["debug"]:
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except TorchMLError as error:
            raise _Failure(str(error)) from error
        except OSError as error:  # such as a full disk, or a file without read permission
            if (
                error.errno == errno.EPIPE
            ):  # the reader of our output has closed it: click exits quietly
                raise
            raise _Failure(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="torchml-core")
@click.option(
    "--debug",
    is_flag=True,
    envvar="TORCHML_CORE_DEBUG",
    show_envvar=True,
    help="Show the whole traceback of an error.",
)
def main(debug):
    """Train, evaluate and inspect portable machine-learning models of atoms."""


main.add_command(bench.command)
main.add_command(convert.group)
main.add_command(evaluate.command)
main.add_command(featurize.command)
main.add_command(inspect.command)
main.add_command(kim.group)
main.add_command(look.command)
main.add_command(plot.command)
main.add_command(train.command)
