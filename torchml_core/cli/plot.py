"""``torchml-core plot``: pictures of a descriptor, and of structures as it sees them."""

import click

WHAT = ("functions", "map", "distributions", "neighbors")


@click.command("plot")
@click.argument("path", type=click.Path())
@click.argument("structures", nargs=-1)
@click.option("-o", "--output", required=True, metavar="PICTURE", help="A .png, .pdf or .svg file.")
@click.option(
    "--what",
    type=click.Choice(WHAT),
    help="functions: values over distance and angle. map: all atoms on the two axes along which"
    " their values vary most. distributions: a histogram of each component, with the training"
    " range. neighbors: numbers of neighbors over distance.  [default: functions; map if there"
    " are STRUCTURES]",
)
@click.option("--element", metavar="SYMBOL", help="Draw atoms of this element only.")
@click.option(
    "--color",
    type=click.Choice(("element", "error", "structure")),
    default="element",
    show_default=True,
    help="Of a map: error is that of a model's forces on the atom, in eV/Å.",
)
@click.option("--distance", type=float, help="Of the two neighbors of an angle, in Å.")
@click.option("--kind", help="Kind of the descriptor in a .dat file, which does not say it.")
def command(path, structures, output, what, element, color, distance, kind):
    """Draw a descriptor, or STRUCTURES as the descriptor sees them.

    PATH is a descriptor's .dat or .json file, or the folder of a portable model with a descriptor.
    STRUCTURES are files that ASE can read; file@0:10 selects some of the structures in a file.
    """
    from torchml_core.cli import pictures

    what = what or ("map" if structures else "functions")
    pictures.draw(
        what,
        path,
        structures,
        output,
        element=element,
        color=color,
        distance=distance,
        kind=kind,
    )
    click.echo(f"wrote {output}")
