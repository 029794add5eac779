"""``torchml-core evaluate``: energies, forces and stresses of the structures in files."""

import contextlib
import functools
import sys
import time
from pathlib import Path

import click

from torchml_core.errors import InputError, TorchMLError

STREAM = "-"  # standard input, or output


@click.command("evaluate")
@click.argument("model", type=click.Path())
@click.argument(
    "structures",
    nargs=-1,
    required=True,
    type=click.Path(allow_dash=True),
    metavar="[MODEL]... STRUCTURES...",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write the structures with their results to this extended XYZ file (overwritten). With -"
    " they go to standard output, and messages to standard error.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep the results that an interrupted run has written to OUTPUT, and continue after them.",
)
@click.option("--compare", is_flag=True, help="Print errors against the values in the files.")
@click.option("--energy-key", metavar="KEY", help="Compare with this value of each structure ...")
@click.option("--forces-key", metavar="KEY", help="... and these arrays of its atoms ...")
@click.option(
    "--stress-key",
    metavar="KEY",
    help="... instead of the results that ASE reads, e.g. REF_energy, REF_forces, REF_stress.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False),
    metavar="PICTURE",
    help="Draw predicted against reference values: .png, .pdf, .svg.",
)
@click.option("--no-forces", is_flag=True, help="Energies only: no forces, no stress.")
@click.option("--atom-energies", is_flag=True, help="Also write the energy of each atom.")
@click.option(
    "--atom-stresses",
    is_flag=True,
    help="Also write the stress of each atom; their sum is the stress.",
)
@click.option(
    "--keep-going", is_flag=True, help="Skip structures that fail; the exit code stays 1."
)
@click.option(
    "--extrapolation",
    type=click.Choice(["warn", "ignore", "stop"]),
    default="warn",
    help="Values of the descriptor outside of the training range, where the model knows it: warn of"
    " the first of each component and count them, ignore them, or stop with an error. [default:"
    " warn]",
)
@click.option("--device", help="A torch device [default: $KIM_MODEL_EXECUTION_DEVICE, or cpu].")
@click.option("--trust", is_flag=True, help="Let the model's file do everything a program may.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="[default: as many as useful, up to $OMP_NUM_THREADS or all cores]",
)
@click.pass_context
def command(ctx, model, structures, output, resume, keep_going, device, trust, threads, **options):
    """Compute energies, forces and stresses of STRUCTURES with the portable model in MODEL.

    MODEL is the folder of the model. STRUCTURES are files that ASE can read; file@0:10 or file@-1
    selects some of the structures in a file, and - reads extended XYZ from standard input. Energies
    are in eV, forces in eV/Å, stresses in eV/Å³ with tension positive, in the order
    xx yy zz yz xz xy.

    Several folders of models are evaluated as a committee, and so is one folder that holds a
    committee (its models in members/1, members/2, ...). Results are then the mean, and standard
    deviations are shown and written too: energy_std, forces_std, stress_std.

    With -o the model's results are written where ASE looks for them; results that were in the
    files are kept as reference_energy, reference_forces, ... Errors are printed with --compare, a
    KEY or --plot.
    """
    models, structures = _models_first((model, *structures))
    _check_options(output, resume, options)
    _check_output(output, structures)
    if options["plot"] is not None:  # an empty name is refused like any other
        from torchml_core.plots.pictures import check_picture_file

        check_picture_file("--plot", options["plot"])
    portable = _load(models, device, trust, threads)

    from torchml_core.cli.output import Writer
    from torchml_core.cli.report import Report
    from torchml_core.cli.resume import EarlierResults

    report, comparison = Report(), _comparison(options)
    takers = [comparison.add, report.add] if comparison else [report.add]  # the first may refuse
    earlier = EarlierResults(output) if resume else None
    evaluation = _Evaluation(portable, options, threads)
    started = time.perf_counter()
    with Writer(output, earlier) if output else contextlib.nullcontext() as writer:
        n_failed = _evaluate_all(
            structures,
            evaluation,
            takers,
            writer,
            earlier,
            keep_going=keep_going,
            debug=ctx.find_root().params.get("debug", False),
        )
    say = functools.partial(click.echo, err=output == STREAM)
    for line in report.lines(time.perf_counter() - started, earlier):
        say(line)
    for line in evaluation.summary():
        say(line)
    if comparison and report.n_structures:
        for line in comparison.lines():
            say(line)
        if options["plot"]:
            from torchml_core.cli.parity import write_parity_plot

            write_parity_plot(comparison, options["plot"])
    if n_failed:
        there = "standard output" if output == STREAM else output
        kept = f"; {there} has these" if output and report.n_structures else ""
        if keep_going or report.n_structures:
            _complain(f"{n_failed} failed, {report.n_structures} evaluated{kept}")
        ctx.exit(1)


def _evaluate_all(sources, results_of, takers, writer, earlier, *, keep_going, debug):
    """Pass each structure's results to all takers, and new ones to the writer; count failures."""
    from torchml_core.cli.progress import track
    from torchml_core.cli.resume import ResumeError
    from torchml_core.structure_files.structures import read_structures

    n_failed = 0
    with contextlib.closing(track(read_structures(sources), sources)) as items:
        for item in items:
            try:
                if isinstance(item.structure, TorchMLError):
                    raise item.structure
                known = earlier and earlier.results_of(item, results_of)
                results = known or results_of(item.structure)
                for warning in results_of.new_warnings():
                    _complain(f"{item.place}: {warning}", "warning")
                for take in takers:
                    take(item.label, item.structure, results)
                if writer and not known:
                    writer.add(item.structure, results)
            except ResumeError:
                raise
            except TorchMLError as error:
                if debug:
                    raise
                n_failed += 1
                _complain(f"{item.place}: {error}")
                if not keep_going:
                    return n_failed
    if earlier is not None:
        earlier.require_used_up()
    return n_failed


class _Evaluation:
    """Evaluates one structure after the other."""

    def __init__(self, model, options, n_threads):
        from torchml_core.portable.extrapolation import ExtrapolationMonitor

        self._model, self._options, self._n_threads = model, options, n_threads
        action = options["extrapolation"]
        self._monitor = ExtrapolationMonitor("raise" if action == "stop" else action)
        self._warnings = []

    def __call__(self, atoms):
        """Return the results by ASE's names; with ``_std``, their deviations."""
        from torchml_core.portable.committee import CommitteePrediction
        from torchml_core.portable.prediction import volume_of_stress

        options = self._options
        forces = not options["no_forces"]
        stress = forces and volume_of_stress(atoms.cell, atoms.pbc) is not None
        prediction = self._model.evaluate(
            atoms, forces=forces, virial=stress, n_threads=self._n_threads
        ).fold()
        self._warnings += self._monitor.take(prediction)
        results = {"energy": prediction.energy}
        if forces:
            results["forces"] = prediction.forces
        if stress:
            results["stress"] = prediction.stress
        if options["atom_energies"]:
            results["energies"] = prediction.particle_energies
        if options["atom_stresses"] and stress:
            results["stresses"] = prediction.stresses
        if isinstance(prediction, CommitteePrediction):
            own_names = {"energies": "particle_energies"}
            for name in {"energy", "forces", "stress", "energies"} & set(results):
                own_name = own_names.get(name, name)
                results[f"{name}_std"] = getattr(prediction, f"{own_name}_std")
        return results

    def new_warnings(self):
        """Return the warnings since the last call."""
        found, self._warnings = self._warnings, []
        return found if self._monitor.action == "warn" else []

    def summary(self):
        """Yield lines on all that was outside of the training range."""
        counts = self._monitor.counts
        if counts and self._monitor.action == "warn":
            yield (
                f"{counts.total()} values of {len(counts)} components are outside of the training"
                " range:"
            )
            yield from (f"{n:>8} {element} {name}" for (element, name), n in counts.most_common())


def _models_first(arguments):
    """The folders of models, and the structures that follow them."""
    n = 1
    while n < len(arguments) and _has_model(Path(arguments[n])):
        n += 1
    if n == len(arguments):
        raise click.UsageError(f"{arguments[-1]} is a model: STRUCTURES are needed after it")
    return arguments[:n], arguments[n:]


def _has_model(path):
    return path.is_dir() and any(path.glob("*.param"))


def _load(folders, device, trust, n_threads):
    """The model, or the committee of several models or of a folder with members."""
    import torch

    from torchml_core.portable.committee import Committee
    from torchml_core.portable.folder import member_folders
    from torchml_core.portable.model import PortableModel
    from torchml_core.threads import resolve_threads

    if n_threads:
        torch.set_num_threads(resolve_threads(n_threads).most)
    if len(folders) == 1 and member_folders(folders[0]):
        return Committee.load(folders[0], device=device, trust=trust)
    models = [PortableModel.load(folder, device=device, trust=trust) for folder in folders]
    return models[0] if len(models) == 1 else Committee(models)


def _comparison(options):
    """The Comparison that was requested, or None."""
    names = ("energy",) if options["no_forces"] else ("energy", "forces", "stress")
    keys = {name: options[f"{name}_key"] for name in names}
    if not (options["compare"] or options["plot"] or any(keys.values())):
        return None
    from torchml_core.cli.comparison import Comparison

    return Comparison(keys, keep_values=bool(options["plot"]))


def _check_options(output, resume, options):
    """Refuse options that exclude each other, or that require another one."""
    if options["no_forces"]:
        for name in ("forces_key", "stress_key", "atom_stresses"):
            if options[name]:
                raise click.UsageError(
                    f"--{name.replace('_', '-')}: cannot be used with --no-forces"
                )
    for name in ("atom_energies", "atom_stresses"):
        if options[name] and not output:
            raise click.UsageError(f"--{name.replace('_', '-')}: -o OUTPUT is needed")
    if resume and output in (None, STREAM):
        raise click.UsageError("--resume: -o OUTPUT, a file, is needed")


def _check_output(output, sources):
    """Refuse an output that cannot be written, or is one of the files that are read."""
    if output in (None, STREAM):
        return
    from torchml_core import files

    path = Path(output)
    if path.suffix not in {".extxyz", ".xyz"}:
        raise InputError(f"-o {output}: a name that ends in .extxyz or .xyz is needed")
    files.require_place("-o", path)
    for source in sources:
        names = {source, source.rpartition("@")[0]} - {""}
        if path.exists() and any(Path(n).exists() and path.samefile(n) for n in names):
            raise InputError(f"-o {output}: this is also an input file; another name is needed")


def _complain(message, kind="error"):
    # print, unlike click.echo, goes through the progress bar's stderr and above the bar
    print(f"{kind}: {message}", file=sys.stderr)
