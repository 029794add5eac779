"""``torchml-core kim``: the model driver of the KIM-API, and the models that use it."""

import click

from torchml_core.kim.system import COLLECTIONS, DEFAULT_DRIVER

_collection = click.option(
    "--collection",
    type=click.Choice(COLLECTIONS),
    default="user",
    show_default=True,
    help="Where to install it; an existing item of the same name is replaced.",
)


@click.group("kim")
def group():
    """Use portable models in LAMMPS and other simulators through the KIM-API.

    Install the driver once, then each model; `kim init MODEL metal` in LAMMPS finds them.
    """


@group.command("install-driver")
@click.option(
    "--name",
    default=DEFAULT_DRIVER,
    show_default=True,
    help="Name that models use for the driver; on openkim.org it is TorchML__MD_173118614730_000.",
)
@_collection
def install_driver(name, collection):
    """Build the model driver and install it, bound to the Python that runs this."""
    from torchml_core.kim import install

    install.install_driver(name, collection)
    click.echo(f"installed the driver {name} ({collection})")
    _note_if_hidden("driver", name, collection)


@group.command("install")
@click.argument("model", type=click.Path())
@click.option(
    "--name", help="Name of the model in KIM, with - replaced by _  [default: the folder's]"
)
@click.option(
    "--driver", default=DEFAULT_DRIVER, show_default=True, help="The driver that the model uses."
)
@_collection
def install_model(model, name, driver, collection):
    """Package the portable model MODEL, a folder or a tarball of one, and install it."""
    from torchml_core.kim import install

    name = install.install_model(model, name, driver=driver, collection=collection)
    click.echo(f"installed the model {name} ({collection}), under the driver {driver}")
    _note_if_hidden("model", name, collection)


@group.command("list")
def list_items():
    """List the installed drivers and models of torchml_core in all collections."""
    from torchml_core.cli.table import aligned
    from torchml_core.kim.installed import list_installed

    rows = [("kind", "name", "collection", "belongs to", "")]
    for item, of, hidden_by in list_installed():
        hidden = f"hidden by the one in {hidden_by}" if hidden_by else ""
        rows.append((item.kind, item.name, item.collection, of, hidden))
    for line in aligned(rows, left=True) if len(rows) > 1 else ["none is installed"]:
        click.echo(line)


@group.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--collection",
    type=click.Choice(COLLECTIONS),
    help="Collection to remove it from  [default: the one that has it, if it is the only one]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also remove items of others, and a driver that models use.",
)
def remove_items(names, collection, force):
    """Remove drivers and models, given by their names in KIM."""
    from torchml_core.kim.installed import remove

    for item in remove(names, collection, force=force):
        click.echo(f"removed the {item.kind} {item.name} ({item.collection})")


@group.command("doctor")
@click.pass_context
def doctor(ctx):
    """Show what is missing or does not match, and how to fix it.

    This checks the KIM-API, the build tools, Python, torch, the installed drivers, and LAMMPS. The
    exit code is 1 if anything is wrong.
    """
    from torchml_core.cli.findings import Findings
    from torchml_core.kim.doctor import examine

    findings = Findings()
    for name, value, problem, note in examine():
        findings.fact(name, value)
        findings.problems += [problem] if problem else []
        findings.notes += [note] if note else []
    for line in findings.lines():
        click.echo(line)
    if findings.problems:
        ctx.exit(1)


def _note_if_hidden(kind, name, collection):
    from torchml_core.kim.installed import list_installed

    for (*item, _), _, hidden_by in list_installed():
        if hidden_by and item == [kind, collection, name]:
            click.echo(f"note: KIM uses the {kind} {name} in {hidden_by} instead of it")
