"""``torchml-core look``: what is unusual or wrong in files of labeled structures."""

import click


@click.command("look")
@click.argument("structures", nargs=-1, required=True, type=click.Path())
@click.option("--energy-key", metavar="KEY", help="The name of energies, such as REF_energy ...")
@click.option("--forces-key", metavar="KEY", help="... of forces ...")
@click.option("--stress-key", metavar="KEY", help="... and of stresses, unless ASE knows them.")
@click.option(
    "--kind-key", metavar="KEY", help="The kind of a structure. [default: config_type, or name]"
)
def command(structures, energy_key, forces_key, stress_key, kind_key):
    """Look for what is unusual or wrong in files of structures with energies, forces and stresses.

    Prints a line for each finding. All structures of all STRUCTURES are looked at together.
    """
    from torchml_core.dataset import Dataset, look_at

    data = Dataset.read(
        list(structures),
        energy_key=energy_key,
        forces_key=forces_key,
        stress_key=stress_key,
        kind_key=kind_key,
    )
    click.echo(repr(data))
    findings = look_at(data)
    for finding in findings:
        click.echo(str(finding))
    if not findings:
        click.echo("nothing was found")
