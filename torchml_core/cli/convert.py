"""``torchml-core convert``: potentials of other programs as portable models."""

import click


@click.group("convert")
def group():
    """Convert potentials of other programs into portable models."""


@group.command("n2p2")
@click.argument("folder", type=click.Path())
@click.option("-o", "--output", required=True, metavar="MODEL", help="Folder of the new model.")
@click.option(
    "--length-unit",
    required=True,
    metavar="UNIT",
    help="Of the potential's files, which do not say it: bohr, angstrom, nm, pm, or its size in Å.",
)
@click.option(
    "--energy-unit",
    required=True,
    metavar="UNIT",
    help="hartree, ev, mev, rydberg, kcal/mol, kj/mol, or its size in eV.",
)
def n2p2(folder, output, length_unit, energy_unit):
    """Convert a potential, or a committee, of n2p2 or RuNNer.

    FOLDER contains input.nn, scaling.data and weights.ZZZ.data. The folders of a committee's
    members may be in it instead; the model is then their mean, and MODEL/members has the members.
    """
    from torchml_core import convert

    model = convert.n2p2(
        folder,
        output,
        length_unit=_unit("--length-unit", length_unit),
        energy_unit=_unit("--energy-unit", energy_unit),
    )
    click.echo(f"wrote {output}: {model.descriptor!r}")
    members = model.folder / "members"
    if members.is_dir():
        click.echo(f"wrote the {len(list(members.iterdir()))} members of the committee: {members}")


def _unit(option, word):
    """A unit's name, or the number that a word says."""
    from torchml_core.text_numbers import is_number, parse_number

    return parse_number(option, word) if is_number(word) else word
