"""Labels compared with each other, by a small linear model that is fitted to the forces.

If energies, forces and stresses belong to one potential, a model that is fitted to the forces and
to the energies of some structures tells the other energies and the stresses about as well as it
tells the forces: energies per atom to a fraction of 1 Å times the error of forces.
"""

from __future__ import annotations

import warnings

import numpy as np

from torchml_core.dataset.combined import combined, parts_of
from torchml_core.dataset.findings import Finding
from torchml_core.dataset.look import stresses, structures
from torchml_core.errors import ModelWarning
from torchml_core.training.choose.descriptor import choose_descriptor
from torchml_core.training.features import Features
from torchml_core.training.normal_equations import NormalEquations, System

MOST_FITTED = 150
ATOMS_AT_ONCE = 1000
RIDGE = 1e-11
ENERGY_WEIGHT = 0.05  # Å: the error of energies per atom considered like one of forces, over that
# Energies whose errors are larger than this times the error of forces do not fit them.
REACH = 0.25  # Å
REACH_OF_OFFSET = 1.0  # Å, of all energies of a kind, told by a model that did not know them
LEAST_ERROR = 5e-3  # eV/atom
LEAST_OFFSET = 0.02  # eV/atom
SPREADS = 3.0  # an offset is as many standard deviations away from 0
UNCERTAINTIES = 10.0  # and as many uncertainties that follow from the errors of forces
OUTLIER = 12.0  # an outlier is as many median deviations of its kind away
LEAST_OUTLIER = 0.05  # eV/atom
BOLTZMANN = 8.617333e-5  # eV/K


def compare(data, n_threads):
    """Findings that need neighbors: of structures, energies and stresses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        descriptor = choose_descriptor(data, size="small", kind="SymmetryFunctions")
    looked = _Looked(data, descriptor, n_threads)
    found = looked.distances.findings()
    found += structures.duplicates(data, looked.fingerprints.groups())
    if looked.forces.n_rows:
        found += looked.energy_findings() + looked.stress_findings()
    return found


class _Looked:
    """The rows of all structures: energies of all, forces and stresses of a part."""

    def __init__(self, data, descriptor, n_threads):
        self.data = data
        self._features = Features(descriptor, data.species, 1)
        self.distances = structures.Distances(data.species, descriptor.cutoff)
        self.fingerprints = structures.Fingerprints(descriptor.width)
        self.forces = NormalEquations(self._features.n)
        self.stress_rows, self.stresses = [], []
        fitted = set(_some_of_each_kind(data))
        parts = parts_of(range(len(data)), [e.n_atoms for e in data], ATOMS_AT_ONCE)
        rows = [self._add(part, fitted, n_threads) for part in parts]
        self.rows = np.concatenate(rows)
        self.forces.sum_up()
        references = data.reference_energies()
        self.energies = np.array([_cohesive(e, references) for e in data])
        known = np.isfinite(self.energies) & np.array([_has_neighbors(e) for e in data])
        kinds = np.array([e.kind for e in data])
        self.kinds, self._groups = {}, {}
        for kind in data.kinds:
            own = np.flatnonzero((kinds == kind) & known)
            if len(own):
                self._set_kind(kind, own)
        if self.forces.n_rows:
            self.error = 1.0
            self.error = np.sqrt(self.forces.mean_square(self._fit([])))

    def _add(self, indices, fitted, n_threads):
        """Look at some structures, at once; return the rows of their energies."""
        features, data = self._features, self.data
        descriptor = features.descriptor
        lists = [data.configuration(k, descriptor.cutoff, data.species) for k in indices]
        together = combined(lists) if len(lists) > 1 else lists[0]
        values = descriptor.compute(together, n_threads=n_threads)
        sizes = [c.n_centers for c in lists]
        self.distances.add([data[k].label for k in indices], together, sizes)
        own_values = np.split(values, np.cumsum(sizes)[:-1])
        for k, c, own in zip(indices, lists, own_values, strict=True):
            self.fingerprints.add(k, data[k], own)
            if k in fitted:
                self._add_forces(data[k], c, own, n_threads)
        return features.energies(values, together.codes(data.species)[together.centers], sizes)

    def _add_forces(self, example, c, values, n_threads):
        forces, stress = example.forces is not None, example.stress is not None
        rows = self._features.rows(c, values, forces=forces, stress=stress, n_threads=n_threads)
        if forces:
            self.forces.add(rows.forces, example.forces.ravel())
        if stress:
            self.stress_rows.append(rows.stress)
            self.stresses.append(example.stress)

    def _set_kind(self, kind, indices):
        """Of which structures energies are compared."""
        self.kinds[kind] = indices
        self._groups[kind] = group = NormalEquations(self._features.n)
        group.add(self.rows[indices], self.energies[indices])
        group.sum_up()

    def _fit(self, kinds):
        """Coefficients from the forces and the energies of some kinds."""
        weight = 1 / (self.forces.n_rows * self.error**2 or 1.0)
        n = sum(len(self.kinds[kind]) for kind in kinds)
        return self._system(kinds, weight, 1 / max(n, 1)).solve(RIDGE)

    def _system(self, kinds, of_forces, of_energies):
        """The equations of forces and of energies of some kinds, with the weights of a row."""
        of_energies /= max(ENERGY_WEIGHT * self.error, 1e-4) ** 2
        energies = [(self._groups[kind], of_energies, False) for kind in kinds]
        return System([(self.forces, of_forces, False), *energies])

    def _residuals(self, kind, coefficients):
        own = self.kinds[kind]
        return self.energies[own] - self.rows[own] @ coefficients

    def energy_findings(self):
        """Outliers, energies that do not fit the forces, and kinds with another zero."""
        found = []
        bad = []
        for kind in self.kinds:
            rest = self._residuals(kind, self._fit([kind]))
            outliers = _outliers(rest)
            if outliers.any():
                found.append(self._outlier_finding(kind, outliers, rest))
                self._set_kind(kind, self.kinds[kind][~outliers])
                rest = self._residuals(kind, self._fit([kind]))
            if np.sqrt((rest**2).mean()) > max(REACH * self.error, LEAST_ERROR):
                bad.append(kind)
        good = [kind for kind in self.kinds if kind not in bad]
        found += [self._contradiction(kind, good) for kind in bad]
        return found + self._offset_findings(good)

    def _offset_findings(self, kinds):
        """Kinds with another zero, the farthest first: it is left out before others are judged."""
        found = []
        while len(kinds) > 1:
            judged = {kind: self._offset(kind, [k for k in kinds if k != kind]) for kind in kinds}
            kind = max(judged, key=lambda kind: judged[kind][1])
            offset, ratio = judged[kind]
            if ratio <= 1:
                break
            where = "above" if offset > 0 else "below"
            text = (
                f"energies{_of(kind)} are {1e3 * abs(offset):.0f} meV/atom {where} what the other"
                " kinds and the forces suggest; check if they were computed with the same settings"
                " and contain the same terms"
            )
            found.append(Finding("energies and forces", text, self._labels(kind)))
            kinds = [k for k in kinds if k != kind]
        return found

    def _labels(self, kind):
        return tuple(self.data[k].label for k in self.kinds[kind])

    def _outlier_finding(self, kind, outliers, rest):
        labels = tuple(self.data[k].label for k in self.kinds[kind][outliers])
        worst = rest[outliers][np.argmax(np.abs(rest[outliers]))]
        text = (
            f"energies{_of(kind)} of {structures.n_structures(labels)} are up to {abs(worst):.3g}"
            f" eV/atom {'above' if worst > 0 else 'below'} what the others and the forces suggest;"
            " check if the calculations converged, and if energy and atoms belong together"
        )
        return Finding("energy outliers", text, labels)

    def _contradiction(self, kind, good):
        rest = self._residuals(kind, self._fit(good or [kind]))
        low, middle, high = np.quantile(rest, [0.05, 0.5, 0.95])
        text = (
            f"energies{_of(kind)} do not fit their forces: they differ from what the forces"
            f" suggest by {1e3 * low:.0f} to {1e3 * high:.0f} meV/atom"
        )
        if low > 0:
            text += (
                f"; a kinetic energy would be as large at {middle / 1.5 / BOLTZMANN:.0f} K. If they"
                " contain it, subtract it"
            )
        text += "; leave these energies out otherwise, or let fit_linear find their weight"
        return Finding("energies and forces", text, self._labels(kind))

    def _offset(self, kind, others):
        """The offset in eV/atom, and its ratio to the largest that may be an error of the fit."""
        rest = self._residuals(kind, self._fit(others))
        offset = float(np.median(rest))
        limits = (
            REACH_OF_OFFSET * self.error,
            LEAST_OFFSET,
            SPREADS * float(rest.std()),
            UNCERTAINTIES * self._uncertainty(kind, others),
        )
        return offset, abs(offset) / max(limits)

    def _uncertainty(self, kind, others):
        """The median uncertainty, in eV/atom, of energies that a fit without them tells.

        It is large if the kind has what no other kind has, such as an element or a pair of them.
        """
        factor = self._system(others, 1 / max(self.error, 1e-6) ** 2, 1.0).factor(RIDGE)
        return float(np.median(factor.norms(self.rows[self.kinds[kind]])))

    def stress_findings(self):
        """Stresses in another order, sign or unit."""
        if len(self.stresses) < stresses.FEWEST:
            return []
        told = np.array(self.stress_rows) @ self._fit(list(self.kinds))
        return stresses.findings(np.array(self.stresses), told)


def _cohesive(example, references):
    """Energy per atom without that of isolated atoms; NaN if there is none."""
    if example.energy is None:
        return np.nan
    own = sum(references[s] for s in example.atoms.symbols)
    return (example.energy - own) / example.n_atoms


def _has_neighbors(example):
    return example.n_atoms > 1 or example.atoms.pbc.any()


def _outliers(rest):
    """(n,) bool; errors that are far from all others."""
    away = np.abs(rest - np.median(rest))
    return away > max(OUTLIER * np.median(away), LEAST_OUTLIER)


def _of(kind):
    return f" of {kind!r}" if kind else ""


def _some_of_each_kind(data):
    """Indices of at most about 150 structures, evenly spaced in each kind."""
    chosen = []
    for kind in data.kinds:
        own = [k for k, example in enumerate(data) if example.kind == kind]
        n = min(len(own), max(5, MOST_FITTED * len(own) // len(data)))
        chosen += [own[k] for k in np.linspace(0, len(own) - 1, n).astype(int)]
    return chosen
