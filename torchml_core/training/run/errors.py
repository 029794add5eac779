"""Errors of a model on a data set, by kind and by element, and the values for plots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from torchml_core.dataset.example import NAMES
from torchml_core.nn import DescriptorModel
from torchml_core.training.expected_errors import LENGTH
from torchml_core.training.run.screen import in_words

AT_ONCE = 32  # structures


def contradicting(expected):
    """Kinds whose energies contradict their forces, by the errors that are expected of both."""
    forces = expected.get("forces")
    if not forces:
        return ()
    most = LENGTH * float(np.sqrt(np.mean(np.square(list(forces.values())))))
    return tuple(kind for kind, x in expected.get("energy", {}).items() if x > most)


class Errors(NamedTuple):
    """Root mean square errors.

    Attributes
    ----------
    by_kind : dict of str to dict of str to (float, int)
        For each kind and label the error, in eV/atom, eV/Å and eV/Å³, and the number of values.
        The kind ``"all"`` is all structures.
    by_element : dict of str to (float, int)
        Of forces.
    pairs : dict of str to (reference, predicted)
        Arrays of all values; energies per atom.
    """

    by_kind: dict
    by_element: dict
    pairs: dict

    def of(self, label, kind="all"):
        """The error of a label, or None."""
        found = self.by_kind.get(kind, {}).get(label)
        return None if found is None else found[0]

    def in_words(self, odd):
        """The errors of all structures as text.

        Parameters
        ----------
        odd : tuple of str
            Kinds whose energies contradict their forces: the error of their energies is apart.
        """
        own = {label: self.of(label) for label in NAMES}
        there = [kind for kind in odd if self.of("energy", kind) is not None]
        rest = [
            x["energy"]
            for kind, x in self.by_kind.items()
            if "energy" in x and kind != "all" and kind not in odd
        ]
        if not there or not rest:
            return in_words(own)
        own["energy"] = float(np.sqrt(sum(n * x**2 for x, n in rest) / sum(n for _, n in rest)))
        apart = ", ".join(f"{kind!r} {1e3 * self.of('energy', kind):.3g}" for kind in there)
        return f"{in_words(own)} (without energies that do not fit their forces: {apart} meV/atom)"


def score(by_kind, expected):
    """Return mean squares relative to what is expected, summed over labels; lower is better.

    Parameters
    ----------
    by_kind : dict
        Of Errors.
    expected : dict of str to (dict of str to float)
        By label and kind.
    """
    total = 0.0
    for label in NAMES:
        terms = [
            (n * (x / expected[label][kind]) ** 2, n)
            for kind, own in by_kind.items()
            if kind != "all" and label in own and label in expected
            for x, n in [own[label]]
            if kind in expected[label]
        ]
        if terms:
            squares, numbers = np.array(terms).sum(axis=0)
            total += squares / numbers
    return float(total)


def errors_of(module, descriptor, data, references, n_threads=None) -> Errors:
    """Return the Errors of a network (or polynomial) on a descriptor."""
    model = DescriptorModel(
        descriptor, module, reference_energies=references, n_threads=n_threads
    ).eval()
    by_kind: dict = {}
    by_element: dict = {}
    pairs: dict = {name: ([], []) for name in NAMES}
    dtypes = {p.dtype for p in module.parameters()}
    dtype = torch.float32 if dtypes == {torch.float32} else torch.float64
    batches = data.batches(
        descriptor, AT_ONCE, dtype=dtype, species=model.species, n_threads=n_threads
    )
    with torch.no_grad():
        for batch in batches:
            out = model(batch, forces=True, stress=bool(batch.has_stress.any()))
            _add(data, batch, out, by_kind, by_element, pairs)
    return Errors(
        {kind: {label: _rms(x) for label, x in own.items()} for kind, own in by_kind.items()},
        {s: _rms(x) for s, x in sorted(by_element.items())},
        {
            label: (np.concatenate(reference), np.concatenate(predicted))
            for label, (reference, predicted) in pairs.items()
            if reference
        },
    )


def _add(data, batch, out, by_kind, by_element, pairs):
    structure = batch.structure.numpy()
    for k, index in enumerate(batch.indices.tolist()):
        example, own = data[index], structure == k
        n = example.n_atoms
        values = {}
        if example.energy is not None:
            values["energy"] = np.array([example.energy]) / n, out.energy[k : k + 1].numpy() / n
        if example.forces is not None:
            values["forces"] = example.forces, out.forces.numpy()[own].astype(np.float64)
            squares = ((values["forces"][1] - values["forces"][0]) ** 2).sum(axis=1)
            for symbol, square in zip(example.atoms.symbols, squares, strict=True):
                _count(by_element, symbol, square, 3)
        if example.stress is not None and out.stress is not None:
            values["stress"] = example.stress, out.stress[k].numpy()
        for label, (reference, predicted) in values.items():
            square, n_values = ((predicted - reference) ** 2).sum(), reference.size
            for kind in {example.kind, "all"}:
                _count(by_kind.setdefault(kind, {}), label, square, n_values)
            pairs[label][0].append(np.ravel(reference))
            pairs[label][1].append(np.ravel(predicted))


def _count(sums, key, square, n):
    total, count = sums.get(key, (0.0, 0))
    sums[key] = total + float(square), count + n


def _rms(sums):
    total, n = sums
    return float(np.sqrt(total / n)), n
