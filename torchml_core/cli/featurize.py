"""``torchml-core featurize``: values of a descriptor for the structures in files."""

import sys
import time
from pathlib import Path

import click

from torchml_core.errors import InputError


@click.command("featurize")
@click.argument("descriptor", type=click.Path())
@click.argument("structures", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False),
    help="The HDF5 file to write (overwritten).",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep the values that an interrupted run has written to OUTPUT, and compute the others.",
)
@click.option("--kind", help="The kind of descriptor in a .dat file, such as SOAP.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    help="Of the values. [default: float64]",
)
@click.option("--energy-key", metavar="KEY", help="Store this value of each structure ...")
@click.option("--forces-key", metavar="KEY", help="... and these arrays of its atoms ...")
@click.option(
    "--stress-key",
    metavar="KEY",
    help="... instead of the results that ASE reads, e.g. REF_energy, REF_forces, REF_stress.",
)
@click.option(
    "--kind-key", metavar="KEY", help="The kind of a structure. [default: config_type, or name]"
)
@click.option("--weight-key", metavar="KEY", help="The weight of a structure.")
@click.option(
    "--skip-bad", is_flag=True, help="Leave out structures that fail; the exit code stays 1."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, help="Number of processes. [default: 1]"
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Of each process. [default: 1 with several workers, else as many as useful]",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Compute on the workers of this dask scheduler, such as tcp://host:8786.",
)
def command(descriptor, structures, output, kind, threads, **options):
    """Compute the values of DESCRIPTOR for all atoms of STRUCTURES.

    DESCRIPTOR is a .json or .dat file of a descriptor, or the folder of a model that has one.
    STRUCTURES are files that ASE can read; file@0:10 or file@-1 selects some of the structures in a
    file. Structures and labels are stored with the values; docs/featurize.md describes the file,
    which is readable at any time.
    """
    from torchml_core.cli.progress import Stages
    from torchml_core.dataset.feature_run import featurize

    started = time.perf_counter()
    with Stages() as progress:
        features = featurize(
            _read(descriptor, kind),
            list(structures),
            output,
            n_threads=threads,
            complain=_complain,
            progress=progress,
            **options,
        )
    seconds = time.perf_counter() - started
    click.echo(
        f"{output}: {len(features)} structures, {features.n_atoms} atoms, {features.width} values"
        f" per atom in {features.dtype}, in {seconds:.1f} s"
    )
    if features.skipped:
        _complain(output, f"{len(features.skipped)} structures were left out")
        sys.exit(1)


def _read(path, kind):
    """The descriptor in a file, or of the model in a folder."""
    if not Path(path).is_dir():
        from torchml_core.descriptors.files import read_descriptor

        return read_descriptor(path, kind)
    from torchml_core.portable.stored_model import read_stored

    found = read_stored(Path(path)).descriptor
    if found is None:
        raise InputError(f"{path}: a model with a descriptor is needed")
    return found


def _complain(name, what):
    # print, unlike click.echo, goes through the progress bar's stderr and above the bar
    print(f"error: {name}: {what}", file=sys.stderr)
