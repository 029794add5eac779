"""``torchml-core kim``: the model driver of the KIM-API, and models under it."""

import click

from torchml_core.kim.system import COLLECTIONS, DEFAULT_DRIVER

_collection = click.option(
    "--collection",
    type=click.Choice(COLLECTIONS),
    default="user",
    show_default=True,
    help="Where to install it; an item of the same name that is there is replaced.",
)


@click.group("kim")
def group():
    """Portable models in LAMMPS and other simulators, by the KIM-API.

    Install the driver once, then each model; `kim init MODEL metal` in LAMMPS finds them.
    """


@group.command("install-driver")
@click.option(
    "--name",
    default=DEFAULT_DRIVER,
    show_default=True,
    help="What models call their driver; those of openkim.org say TorchML__MD_173118614730_000.",
)
@_collection
def install_driver(name, collection):
    """Build the model driver and install it, bound to the Python that runs this."""
    from torchml_core.kim import install

    install.install_driver(name, collection)
    click.echo(f"installed the driver {name} ({collection})")


@group.command("install")
@click.argument("model", type=click.Path())
@click.option("--name", help="KIM's name of the model, - becomes _  [default: the folder's]")
@click.option("--driver", default=DEFAULT_DRIVER, show_default=True, help="The driver it asks for.")
@_collection
def install_model(model, name, driver, collection):
    """Package the portable model MODEL, a folder or a tarball of one, and install it."""
    from torchml_core.kim import install

    name = install.install_model(model, name, driver=driver, collection=collection)
    click.echo(f"installed the model {name} ({collection}), under the driver {driver}")


@group.command("doctor")
@click.pass_context
def doctor(ctx):
    """What is missing or does not match, and how to get it.

    Looks at the KIM-API, what builds need, Python, torch, the drivers that are installed, and
    LAMMPS. The exit code is 1 if anything is wrong.
    """
    from torchml_core.cli.findings import Findings
    from torchml_core.kim.doctor import examine

    findings = Findings()
    for name, value, problem in examine():
        findings.fact(name, value)
        if problem:
            findings.problems.append(problem)
    for line in findings.lines():
        click.echo(line)
    if findings.problems:
        ctx.exit(1)
