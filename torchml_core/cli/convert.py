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
    from torchml_core.portable.folder import MEMBERS_FOLDER, member_folders

    model = convert.n2p2(
        folder,
        output,
        length_unit=_unit("--length-unit", length_unit),
        energy_unit=_unit("--energy-unit", energy_unit),
    )
    click.echo(f"wrote {output}: {model.descriptor!r}")
    members = member_folders(model.folder)
    if members:
        click.echo(
            f"wrote the {len(members)} members of the committee: {model.folder / MEMBERS_FOLDER}"
        )


@group.command("snap")
@click.argument("coeff", type=click.Path())
@click.argument("param", type=click.Path(), required=False)
@click.option(
    "--zbl",
    metavar="INNER,OUTER",
    help="Add LAMMPS's ZBL repulsion, which goes to zero between these distances in Å.",
)
@click.option("-o", "--output", required=True, metavar="MODEL", help="Folder of the new model.")
def snap(coeff, param, zbl, output):
    """Convert a SNAP potential of LAMMPS.

    COEFF is a .snapcoeff file; PARAM the .snapparam file  [default: the one beside COEFF]. Or COEFF
    is a .snap file, whose LAMMPS commands name both files, the elements, and ZBL.
    """
    from torchml_core import convert

    model = convert.snap(coeff, param, output, zbl=_distances("--zbl", zbl))
    click.echo(f"wrote {output}: {model.descriptor!r}")
    for term in model.pair_terms:
        click.echo(f"with {term!r}")


@group.command("to-snap")
@click.argument("model", type=click.Path())
@click.argument("stem", type=click.Path())
def to_snap(model, stem):
    """Write a model on Bispectrum as a SNAP potential of LAMMPS.

    MODEL is the folder of a portable model whose energies are linear or quadratic in the
    descriptor. Writes STEM.snapcoeff, STEM.snapparam and STEM.snap, a file to include in LAMMPS.
    """
    import torchml_core as tm

    for path in tm.convert.to_snap(tm.PortableModel.load(model), stem):
        click.echo(f"wrote {path}")


def _distances(option, text):
    """The two numbers that a text says, or None."""
    from torchml_core.checks import refuse
    from torchml_core.text_numbers import parse_number

    if text is None:
        return None
    words = text.split(",")
    if len(words) != 2:
        refuse(option, text, "a pair of distances in Å, INNER,OUTER,")
    return tuple(parse_number(option, word.strip()) for word in words)


def _unit(option, word):
    """A unit's name, or the number that a word says."""
    from torchml_core.text_numbers import is_number, parse_number

    return parse_number(option, word) if is_number(word) else word
