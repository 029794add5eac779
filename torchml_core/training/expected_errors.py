"""Errors that are expected by label and kind of structure; residuals are divided by them.

So labels that contradict the others lose their weight, such as energies that contain a kinetic
energy.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.dataset.example import NAMES
from torchml_core.errors import ModelWarning
from torchml_core.training.least_squares import LeastSquares

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.dataset import Dataset
    from torchml_core.descriptors.base import Descriptor

    ByKind = dict[str, dict[str, float]]

ATOMS_FITTED = 20_000
OF_EACH_KIND = 4  # structures at least, however large they are
HELD_OUT = 0.25
# In Å: energies that differ, per atom, by more than the error of forces times this length
# contradict the forces, since atoms are displaced by much less.
LENGTH = 3.0


class ExpectedErrors:
    """What is expected of each label and kind.

    Parameters
    ----------
    errors : dict of str to (dict of str to float)
        ``errors[label][kind]``, in eV/atom, eV/Å and eV/Å³.
    """

    def __init__(self, errors: ByKind) -> None:
        self.errors = errors

    def of(self, label: str, kinds: tuple[str, ...]) -> torch.Tensor:
        """Return the errors (n,) float64 of structures of these kinds.

        A kind that is not known has the median of the others.
        """
        known = self.errors[label]
        if not all(kind in known for kind in kinds):
            known = dict.fromkeys(kinds, float(np.median(list(known.values())))) | known
        return torch.tensor([known[kind] for kind in kinds], dtype=torch.float64)


def check_expected_errors(errors: Any) -> dict[str, float | dict[str, float]] | None:
    """Return expected errors by label, or by label and kind; None stays None."""
    if errors is None:
        return None
    if not isinstance(errors, Mapping) or not set(errors) <= set(NAMES):
        checks.refuse("expected_errors", errors, f"a dict with keys of {', '.join(NAMES)}")
    found: dict[str, float | dict[str, float]] = {}
    for label, own in errors.items():
        name = f"expected_errors[{label!r}]"
        if isinstance(own, Mapping):
            found[label] = {
                kind: checks.positive(f"{name}[{kind!r}]", x) for kind, x in own.items()
            }
            if not own:
                checks.refuse(name, own, "a number, or one for each kind,")
        else:
            found[label] = checks.positive(name, own)
    return found


def errors_by_kind(given: Mapping[str, Any], data: Dataset) -> ByKind:
    """Return the expected errors of all labels and kinds of a data set, from those that are given.

    For a label that is not given they are its root mean square.
    """
    found = {}
    for label in NAMES:
        own = given.get(label)
        if own is None:
            own = _size(label, data)
        if not isinstance(own, Mapping):
            own = dict.fromkeys(data.kinds, own)
        found[label] = dict(own)
    return found


def find_expected_errors(
    descriptor: Descriptor, data: Dataset, seed: int = 0, n_threads: int | None = None
) -> ByKind:
    """Return errors from a linear model that is fitted to a part of a data set.

    Each label has one error for all kinds, since kinds that are difficult for a linear model may be
    easy for a network; but energies of kinds that contradict the forces have their own.

    Warns
    -----
    ModelWarning
        For each kind whose energies contradict the forces.
    """
    problem = LeastSquares(descriptor, _part(data, seed), 1, None, HELD_OUT, None, seed, n_threads)
    own = problem.errors_by_kind(problem.errors_expected())
    counts = {
        label: {kind: _count(label, kind, data) for kind in kinds} for label, kinds in own.items()
    }
    errors: dict[str, Any] = {label: _mean(own[label], counts[label]) for label in own}
    most = LENGTH * errors["forces"] if "forces" in errors else np.inf
    odd = {kind: x for kind, x in own.get("energy", {}).items() if x > most}
    if odd:
        rest = {kind: x for kind, x in own["energy"].items() if kind not in odd}
        common = _mean(rest, counts["energy"]) if rest else min(odd.values())
        errors["energy"] = dict.fromkeys(data.kinds, common) | odd
        for kind, error in odd.items():
            warnings.warn(
                f"energies of kind {checks.shown(kind)} ({counts['energy'][kind]} structures)"
                f" hardly count: they differ by {1e3 * error:.3g} meV/atom from a model with errors"
                f" of {1e3 * errors['forces']:.3g} meV/Å in forces, so they contradict these; is"
                " there a kinetic energy in them, or an outlier? See Trainer.expected_errors",
                ModelWarning,
                stacklevel=5,
            )
    return errors_by_kind(errors, data)


def _count(label, kind, data):
    n = sum(e.kind == kind and getattr(e, label) is not None for e in data)
    return (
        n
        if label != "forces"
        else sum(e.n_atoms for e in data if e.kind == kind and e.forces is not None)
    )


def _mean(errors, counts):
    """The error of all kinds together."""
    squares = sum(counts[kind] * error**2 for kind, error in errors.items())
    return float(np.sqrt(squares / sum(counts[kind] for kind in errors)))


def _part(data, seed):
    """Some structures of each kind, at random."""
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    most = ATOMS_FITTED / max(1, len(data.kinds))
    for kind in data.kinds:
        own = [
            k
            for k in random.permutation(len(data)).tolist()
            if data[k].kind == kind and any(getattr(data[k], name) is not None for name in NAMES)
        ]
        atoms = np.cumsum([data[k].n_atoms for k in own])
        chosen += own[: max(OF_EACH_KIND, int(np.searchsorted(atoms, most)))]
    return data.select(sorted(chosen))


def _size(label, data):
    values = [getattr(e, label) for e in data if getattr(e, label) is not None]
    if label == "energy":
        values = [e.energy / e.n_atoms for e in data if e.energy is not None]
        values = [np.array(values) - np.mean(values)] if values else []
    squares = np.concatenate([np.ravel(v) ** 2 for v in values]) if values else np.ones(1)
    return float(np.sqrt(squares.mean())) or 1.0
