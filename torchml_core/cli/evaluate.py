"""``torchml-core evaluate``: energies, forces and stresses of the structures in files."""

import contextlib
import sys
import time
from pathlib import Path

import click

from torchml_core.errors import InputError, MissingFileError, TorchMLError


@click.command("evaluate")
@click.argument("model", type=click.Path())
@click.argument("structures", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="Write the structures with their results to this extended XYZ file (overwritten).",
)
@click.option("--compare", is_flag=True, help="Print errors against the values in the files.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False),
    metavar="PICTURE",
    help="Draw predicted against reference values: .png, .pdf, .svg; implies --compare.",
)
@click.option("--no-forces", is_flag=True, help="Energies only: no forces, no stress.")
@click.option(
    "--keep-going", is_flag=True, help="Skip structures that fail; the exit code stays 1."
)
@click.option("--device", help="A torch device [default: $KIM_MODEL_EXECUTION_DEVICE, or cpu].")
@click.option("--trust", is_flag=True, help="Let the model's file do whatever a program may.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="[default: $OMP_NUM_THREADS, or all cores]"
)
@click.pass_context
def command(
    ctx, model, structures, output, compare, plot, no_forces, keep_going, device, trust, threads
):
    """Energies, forces and stresses of STRUCTURES by the portable model in the folder MODEL.

    STRUCTURES are files that ASE reads; file@0:10 or file@-1 takes some of the structures in
    one. Energies are in eV, forces in eV/Å, stresses in eV/Å³ with tension positive, in the
    order xx yy zz yz xz xy.

    With -o the model's results stand where ASE looks for them; those that were in the files are
    kept as reference_energy, reference_forces, ...
    """
    _check_output(output, structures)
    if plot:
        from torchml_core.cli.parity import check_plot_file, write_parity_plot

        check_plot_file(plot)
    portable = _load(model, device, trust, threads)

    from torchml_core.cli.comparison import Comparison
    from torchml_core.cli.report import Report

    report, comparison = Report(), None
    takers = [report.add]
    if compare or plot:
        quantities = ["energy"] if no_forces else ["energy", "forces", "stress"]
        comparison = Comparison(quantities, keep_values=bool(plot))
        takers.insert(0, comparison.add)  # the only one that may refuse: before all others
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        if output:
            takers.append(stack.enter_context(_Writer(output)).add)
        n_failed = _evaluate_all(
            portable,
            structures,
            takers,
            forces=not no_forces,
            n_threads=threads,
            keep_going=keep_going,
            debug=ctx.find_root().params.get("debug", False),
        )
    _print_all(report.lines(time.perf_counter() - started))
    if comparison and report.n_structures:
        _print_all(comparison.lines())
        if plot:
            write_parity_plot(comparison, plot)
    if n_failed:
        kept = f"; {output} has these" if output and report.n_structures else ""
        if keep_going or report.n_structures:
            _complain(f"{n_failed} failed, {report.n_structures} evaluated{kept}")
        ctx.exit(1)


def _evaluate_all(model, sources, takers, *, forces, n_threads, keep_going, debug):
    """Give each structure's results to all takers; return how many structures failed."""
    from torchml_core.cli.progress import track
    from torchml_core.cli.structures import read_structures

    n_failed = 0
    with contextlib.closing(track(read_structures(sources), sources)) as items:
        for label, atoms in items:
            try:
                if isinstance(atoms, TorchMLError):
                    raise atoms
                results = _results(model, atoms, forces=forces, n_threads=n_threads)
                for take in takers:
                    take(label, atoms, results)
            except TorchMLError as error:
                if debug:
                    raise
                n_failed += 1
                _complain(f"{label}: {error}")
                if not keep_going:
                    break
    return n_failed


def _results(model, atoms, *, forces, n_threads):
    """The model's results for a structure, by ASE's names."""
    from torchml_core.portable.prediction import volume_of_stress

    stress = forces and volume_of_stress(atoms.cell, atoms.pbc) is not None
    prediction = model.evaluate(atoms, forces=forces, virial=stress, n_threads=n_threads).fold()
    results = {"energy": prediction.energy}
    if forces:
        results["forces"] = prediction.forces
    if stress:
        results["stress"] = prediction.stress
    return results


def _load(folder, device, trust, n_threads):
    import torch

    from torchml_core.portable.model import PortableModel

    if n_threads:
        torch.set_num_threads(n_threads)
    return PortableModel.load(folder, device=device, trust=trust)


def _check_output(output, sources):
    """Refuse an output that cannot be written, or is one of the files that are read."""
    if not output:
        return
    path = Path(output)
    if path.suffix not in {".extxyz", ".xyz"}:
        raise InputError(f"-o {output}: extended XYZ is written; name it .extxyz or .xyz")
    if not path.absolute().parent.is_dir():
        raise MissingFileError(f"-o {output}: no such folder to write it to")
    for source in sources:
        names = {source, source.rpartition("@")[0]} - {""}
        if path.exists() and any(Path(n).exists() and path.samefile(n) for n in names):
            raise InputError(f"-o {output}: is read from too; choose another name")


class _Writer(contextlib.AbstractContextManager):
    """Writes results; the file is opened, and emptied, when there is something to write."""

    def __init__(self, path):
        self._path, self._file = Path(path), None

    def add(self, label, atoms, results):
        from torchml_core.cli.output import write_results

        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
        write_results(self._file, atoms, results)

    def __exit__(self, *error):
        if self._file is not None:
            self._file.close()


def _print_all(lines):
    for line in lines:
        click.echo(line)


def _complain(message):
    # print, unlike click.echo, goes through the progress bar's stderr and above the bar
    print(f"error: {message}", file=sys.stderr)
