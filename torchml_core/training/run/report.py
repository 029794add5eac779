"""The report of a run: report.md, with pictures where matplotlib is installed."""

from __future__ import annotations

import platform

import numpy as np
import torch

import torchml_core
from torchml_core.markdown import table
from torchml_core.training.run import plots
from torchml_core.training.run.errors import contradicting, score

LABELS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}


def write(run, finished, checked) -> None:
    """Write report.md and its pictures into the folder of the run."""
    pictures = plots.write(run, finished)
    odd = contradicting(run.members[0].expected)
    parts = [
        f"# {run.folder.path.name}\n",
        _summary(run, finished, checked),
        "## Errors\n\nRoot mean squares.\n",
        *(
            f"### {name.capitalize()} structures\n\n{own.in_words(odd)}\n\n{_errors(own)}"
            for name, own in finished.errors.items()
        ),
        _pictures(pictures),
        f"## Data\n\n{_data(run)}",
        f"## Models that were fitted\n\n{_stages(run)}",
        f"## Descriptor\n\n{_descriptor(run, finished)}",
        f"## Settings and versions\n\n{_versions(run)}",
    ]
    run.folder.write_text("report.md", "\n".join(part for part in parts if part))


def _summary(run, finished, checked):
    of_all = (
        f"`{run.folder.model.name}/` is a portable model ({finished.stage}) of"
        f" {' '.join(run.species)}, for ASE (`TorchMLCalculator`) and LAMMPS (`torchml-core kim"
        f" install`). It was made in {finished.seconds:.0f} s.\n"
    )
    same = (
        f"The stored model was compared with the trained one on {checked.n_structures} structures:"
        f" the largest relative differences are {checked.energy:.1e} (energies) and"
        f" {checked.forces:.1e} (forces), at most 1e-12 of the terms that they are the sums of.\n"
    )
    again = (
        "It was fitted to the validation structures, too, after all choices had been made; the"
        " errors of the models in the last table are those before.\n"
        if run.structures[0].held_out and "network" not in finished.stage
        else ""
    )
    return "\n".join(part for part in (of_all, same, again) if part)


def _errors(errors):
    labels = [label for label in LABELS if errors.of(label) is not None]
    head = ["kind", *(f"{label}, {LABELS[label]}" for label in labels)]
    kinds = [*sorted(kind for kind in errors.by_kind if kind != "all"), "all"]
    if len(kinds) == 2:  # one kind is all
        kinds = ["all"]
    rows = [
        [kind or "(none)", *(_meV(errors.of(label, kind)) for label in labels)] for kind in kinds
    ]
    text = table(head, rows)
    if len(errors.by_element) > 1:
        of_elements = [[s, _meV(x)] for s, (x, _) in errors.by_element.items()]
        text += "\n" + table(["element", "forces, meV/Å"], of_elements)
    return text


def _meV(value):
    return "" if value is None else f"{1e3 * value:.3g}"


def _pictures(names):
    if not names:
        return "Pictures are drawn where matplotlib is installed: pip install torchml_core[plots]\n"
    return "".join(f"![{title}]({name})\n\n" for title, name in names)


def _data(run):
    rows = []
    for name, data in zip(("training", "validation", "test"), run.structures[0], strict=False):
        n_atoms = sum(example.n_atoms for example in data)
        counts = [data.count(label) for label in LABELS]
        rows.append([name, len(data), n_atoms, *counts])
    text = table(["", "structures", "atoms", "energies", "forces", "stresses"], rows)
    files = [
        f"- `{name}`, SHA-256 {digest}..." for name, digest in run.folder.state["files"].items()
    ]
    text += "\n" + "\n".join(files) + "\n"
    references = run.structures[0].reference_energies
    text += "\n" + table(
        ["element", "reference energy, eV"], [[s, f"{x:.6f}"] for s, x in references.items()]
    )
    return text + "\n" + findings_text(run.findings)


def findings_text(findings):
    """A list of what was noticed about the data."""
    if not findings:
        return "Nothing was noticed that is wrong with the labels.\n"
    lines = []
    for finding in findings:
        shown = ", ".join(finding.labels[:10])
        more = f" and {len(finding.labels) - 10} more" if len(finding.labels) > 10 else ""
        lines.append(
            f"- **{finding.kind}**: {finding.message}" + (f" ({shown}{more})" if shown else "")
        )
    return "\n".join(lines) + "\n"


def _stages(run):
    rows = []
    for name, facts in run.folder.state["stages"].items():
        if facts.get("skipped"):
            rows.append([name, "no time was left"])
            continue
        fits = next(fits for fits in run.members if name.startswith(fits.prefix))
        own = {label: x for label, (x, _) in facts["validation"]["all"].items()}
        rows.append(
            [
                name,
                facts["n_parameters"],
                *(_meV(own.get(label)) for label in LABELS),
                f"{score(facts['validation'], fits.expected):.4g}",
                f"{facts['seconds']:.1f}",
            ]
        )
    head = ["model", "parameters", *(f"{label}, {unit}" for label, unit in LABELS.items())]
    text = table([*head, "score", "seconds"], [row + [""] * (7 - len(row)) for row in rows])
    return (
        text
        + (
            "\nErrors on the validation structures. The score is the sum over labels of the mean"
            " square of errors relative to those expected for their label and kind, which the fit"
            " with the smallest errors of forces found. The model with the lowest score is taken; a"
            " network must be better by 5 %.\n\n"
        )
        + _expected(run)
    )


def _expected(run):
    expected = run.members[0].expected
    kinds = sorted({kind for own in expected.values() for kind in own})
    head = ["expected errors", *(f"{label}, {LABELS[label]}" for label in expected)]
    return table(
        head, [[k or "(none)", *(_meV(own.get(k)) for own in expected.values())] for k in kinds]
    )


def _descriptor(run, finished):
    d = run.descriptor
    text = (
        f"`{d!r}`: {d.width} values, cutoff {d.cutoff:g} Å. Its file is in the model's folder.\n\n"
    )
    ranges = finished.model.card.training_range
    rows = []
    for element, (low, high) in ranges.items():
        low, high = np.asarray(low), np.asarray(high)
        rows += [
            [element, label, f"{a:.6g}", f"{b:.6g}"]
            for label, a, b in zip(d.labels, low, high, strict=False)
        ]
    text += "\nTraining range of each value (evaluations outside of it are warned of):\n\n"
    head = ["element", "value", "smallest", "largest"]
    shown = 40
    text += table(head, rows[:shown])
    if len(rows) > shown:
        text += f"\n{len(rows) - shown} more are in `{run.folder.model.name}/model.json`.\n"
    return text


def _versions(run):
    rows = [
        ["torchml_core", torchml_core.__version__],
        ["torch", torch.__version__],
        ["numpy", np.__version__],
        ["Python", platform.python_version()],
        ["system", f"{platform.system()} {platform.machine()}"],
    ]
    return f"```yaml\n{run.settings.text()}```\n\n" + table(["package", "version"], rows)
