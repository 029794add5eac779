"""The command ``torchml-core``.

One file a command. Whatever takes long to import (torch, ASE, rich) is imported when a command
runs, so that ``--help``, ``--version`` and wrong usage answer at once.
"""

import errno

import click

from torchml_core import __version__
from torchml_core.cli import evaluate, inspect, kim
from torchml_core.errors import TorchMLError


class _Failure(click.ClickException):
    """Ends the command with ``error: ...`` on stderr and exit code 1."""

    def show(self, file=None):
        click.echo(f"error: {self.format_message()}", err=True)


class _Group(click.Group):
    """A group of commands whose errors are told in one line, unless a traceback is asked for."""

    def invoke(self, ctx):
        if ctx.params["debug"]:
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except TorchMLError as error:
            raise _Failure(str(error)) from error
        except OSError as error:  # a disk that is full, a file that may not be read
            if error.errno == errno.EPIPE:  # who reads our output left: click ends us quietly
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
    """Portable machine-learning models of atoms: evaluate them, look into them."""


main.add_command(evaluate.command)
main.add_command(inspect.command)
main.add_command(kim.group)
