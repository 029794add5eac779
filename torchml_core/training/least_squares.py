"""The least-squares problem of a data set: normal equations by label and kind, and weights."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np

from torchml_core import _memory, checks
from torchml_core.available_memory import available_memory
from torchml_core.dataset import Dataset
from torchml_core.dataset.example import NAMES
from torchml_core.dataset.occurrences import FEW, Occurrences
from torchml_core.descriptors.base import Descriptor
from torchml_core.errors import InputError, ModelWarning
from torchml_core.portable.training_range import Ranges
from torchml_core.training.features import Axes, Features
from torchml_core.training.normal_equations import RIDGES, NormalEquations, System

REWEIGHTINGS = 4
LEAST_RIDGE = 1e-12
# Of the fits that tell which errors are to be expected. One that is too small for the data tells
# nothing: with products of 40 components for an alloy of four elements and the least ridge, forces
# of validation structures were off by 35 eV/Å, so that forces hardly counted in what followed.
FIRST_RIDGES = (LEAST_RIDGE, 1e-8, 1e-4)
# Energies count little in the first fit: forces tell what is wrong with energies, for example if
# those of some kinds of structures contain a kinetic energy.
HINDERED = 100.0
# Squares of errors on validation structures, relative to the lowest, with which a larger ridge is
# taken: the second where some features are hardly ever seen, in less than RARE of the structures.
AS_GOOD, ABOUT_AS_GOOD = 1.02, 1.2
RARE = 0.02
MATRICES = 3.5  # of n × n numbers, that a fit of n coefficients needs
APART = 64 * 2**20  # bytes, of sums and rows of forces and stresses of separate kinds
SMALLEST_ERROR = 5e-3  # of a group, relative to the root mean square of its targets


class LeastSquares:
    """Normal equations of all groups: a group is a label of one kind of structures.

    Where matrices of each kind would take too much memory, forces and stresses of all kinds are one
    group each, whose kind is None. Energies have few rows, and their kinds are always apart.

    Attributes
    ----------
    features : Features
    species : tuple of str
    references : dict of str to float
        Energies of elements, which targets lack.
    fitted, held_out : dict of (label, kind) to NormalEquations
    coefficient_sizes : (n,) float64 or None
        How coefficients are scaled before the ridge is added, see System: as is better on the
        structures that are held out.
    ranges : Ranges
        Of the fitted structures.
    """

    def __init__(self, descriptor, data, degree, components, validation, isolated, seed, n_threads):
        if not isinstance(descriptor, Descriptor):
            checks.refuse("descriptor", descriptor, "a Descriptor")
        if not isinstance(data, Dataset):
            checks.refuse("data", data, "a Dataset")
        self.species = descriptor.species or data.species
        _check_species(self.species, data)
        degree = checks.whole("degree", degree, 1, 2)
        if isinstance(validation, Dataset):
            _check_species(self.species, validation)
            fitted, held_out = data, validation
        else:
            fitted, held_out = data.split(checks.number("validation", validation), seed=seed)
        axes = _axes(components, degree, descriptor, fitted, self.species, n_threads)
        self.features = Features(descriptor, self.species, degree, axes)
        known = fitted.reference_energies(isolated)
        self.references = {s: known.get(s, 0.0) for s in self.species}
        self._apart = _kinds_apart(fitted, held_out, self.features.n)
        self.coefficient_sizes = None  # see System; found with the ridge
        self.fitted, self.held_out = {}, {}
        self.ranges, self._occurrences = Ranges(descriptor, self.species), Occurrences(self.species)
        self._seen, self._n_seen = np.zeros(self.features.n), 0  # in how many fitted structures
        with _nothing_kept():
            for dataset, groups in ((fitted, self.fitted), (held_out, self.held_out)):
                for k in range(len(dataset)):
                    self._add(dataset, k, groups, dataset is fitted, n_threads)
        if not any(group.n_rows for group in self.fitted.values()):
            raise InputError("data: energies, forces or stresses are needed")
        self._kinds = fitted.kinds

    def _add(self, dataset, k, groups, is_fitted, n_threads):
        example = dataset[k]
        descriptor = self.features.descriptor
        c = dataset.configuration(k, descriptor.cutoff, self.species)
        values = descriptor.compute(c, n_threads=n_threads)
        if is_fitted:
            self.ranges.add(c, values)
            self._occurrences.add(c)
        wanted = {name: getattr(example, name) is not None for name in NAMES}
        if not any(wanted.values()) or example.weight == 0:
            return
        rows = self.features.rows(
            c, values, forces=wanted["forces"], stress=wanted["stress"], n_threads=n_threads
        )
        if is_fitted:
            self._seen += rows.energy[0] != 0
            self._n_seen += 1
        targets = {"forces": example.forces, "stress": example.stress}
        if wanted["energy"]:
            own = sum(self.references[s] for s in example.atoms.symbols)
            targets["energy"] = np.array([(example.energy - own) / example.n_atoms])
        for name in NAMES:
            if wanted[name]:
                key = name, example.kind if self._apart or name == "energy" else None
                group = groups.setdefault(key, NormalEquations(self.features.n))
                group.add(getattr(rows, name), targets[name].ravel(), example.weight)

    def solve(self, ridge, expected):
        """Return the coefficients, the ridge, and the expected error of each group.

        Parameters
        ----------
        ridge : float or None
        expected : dict or None
            Of labels, and perhaps of their kinds.
        """
        sizes = self._given(expected) if expected is not None else self._expected(ridge)[0]
        return *self._solve(ridge, sizes), sizes

    def _expected(self, ridge=None):
        """The error of each group in a fit with these errors, found by a few fits, and how to fit.

        The latter are arguments of System.solve. The given ridge is taken, or the least one, where
        there are no structures to choose it with.
        """
        rms = self._rms()
        typical = {
            name: np.median([x for key, x in rms.items() if key[0] == name])
            for name in NAMES
            if any(key[0] == name for key in rms)
        }
        sizes = {key: HINDERED * rms[key] if key[0] == "energy" else rms[key] for key in rms}
        how = None
        for _ in range(REWEIGHTINGS):
            system = self._system(self.fitted, sizes, centered=True)
            if how is None:
                how = self._first(system, sizes) or (max(ridge or 0.0, LEAST_RIDGE), None)
            coefficients = system.solve(*how)
            spreads = {key: self._spread(key, coefficients) for key in sizes}
            pooled = self._pooled(spreads)
            sizes = {
                key: max(
                    spread,
                    SMALLEST_ERROR * max(rms[key], typical[key[0]]),
                    pooled.get(key[0], 0.0),
                )
                for key, spread in spreads.items()
            }
        return sizes, how

    def _first(self, system, sizes):
        """How the first system is solved best, by the validation structures; None without any."""
        loss = self._loss_on_validation(sizes, centered=True)
        if loss is None:
            return None
        ways = [(ridge, scaling) for scaling in self._scalings() for ridge in FIRST_RIDGES]
        return min(ways, key=lambda way: loss(system.solve(*way)))

    def _scalings(self):
        """The sizes of coefficients that are tried, see System."""
        natural = self.features.sizes()
        return [None] if natural is None else [None, natural]

    def _loss_on_validation(self, sizes, *, centered=False):
        """A function of coefficients, the lower the better; None if no group has any rows."""
        groups = {key: group for key, group in self.held_out.items() if key in sizes}
        weights = self._weights(groups, sizes)
        if not groups:
            return None

        def loss(coefficients):
            return sum(
                weights[key]
                * group.n_rows
                * group.mean_square(coefficients, centered=centered and key[0] == "energy")
                for key, group in groups.items()
            )

        return loss

    def _pooled(self, spreads):
        """The root mean square of the errors of forces and stresses of all kinds.

        Kinds that are fitted better than others, such as crystals that hardly vary, do not get more
        weight for it: the others would suffer more than they gain. Energies are not pooled, since
        those of some kinds may contradict the rest.
        """
        pooled = {}
        for name in ("forces", "stress"):
            groups = [(self.fitted[key].n_rows, x) for key, x in spreads.items() if key[0] == name]
            if groups:
                numbers, sizes = np.array(groups).T
                pooled[name] = float(np.sqrt(numbers @ sizes**2 / numbers.sum()))
        return pooled

    def errors_expected(self):
        """Return the error of each group in the last of the fits that find the expected errors."""
        sizes, how = self._expected()
        coefficients = self._system(self.fitted, sizes).solve(*how)
        return {
            key: max(self._spread(key, coefficients, centered=False), size)
            for key, size in sizes.items()
        }

    def errors_by_kind(self, sizes):
        """{label: {kind: error}} of the errors of groups, also where kinds are not apart."""
        found = {}
        for (name, kind), size in sizes.items():
            kinds = self._kinds if kind is None else [kind]
            found.setdefault(name, {}).update(dict.fromkeys(kinds, float(size)))
        return found

    def _rms(self):
        return {key: np.sqrt(g.squares / g.n_rows) or 1.0 for key, g in self.fitted.items()}

    def _given(self, expected):
        """The errors of groups; for what is not given, the root mean square of the targets."""
        sizes = self._rms()
        for key in sizes:
            own = expected.get(key[0], sizes[key])
            if isinstance(own, dict):  # of kinds, which may not be apart
                own = own.get(key[1], float(np.median(list(own.values()))))
            sizes[key] = own
        return sizes

    def _spread(self, key, coefficients, *, centered=True):
        """The size of a group's errors; centered: an error that all energies have does not count.

        That of structures that were not fitted, if it is larger: overfitted ones are not exact.
        """
        groups = [self.fitted[key], *([self.held_out[key]] if key in self.held_out else [])]
        centered = centered and key[0] == "energy"
        return np.sqrt(max(g.mean_square(coefficients, centered=centered) for g in groups))

    def _solve(self, ridge, sizes):
        """Return the coefficients and the ridge for expected errors of the groups."""
        system = self._system(self.fitted, sizes)
        if ridge is not None:
            return system.solve(ridge), ridge
        loss = self._loss_on_validation(sizes)
        scalings = self._scalings()
        solutions = {
            (scaling is not None, tried): system.solve(tried, scaling)
            for scaling in scalings
            for tried in RIDGES.tolist()
        }
        best = self._chosen({key: loss(found) for key, found in solutions.items()})
        self.coefficient_sizes = scalings[best[0]]
        return solutions[best], best[1]

    def _chosen(self, losses):
        """The scaling and ridge of those that are as good as the best, which trust the data least.

        The natural scaling (True) leaves little freedom along directions in which atoms hardly
        differ, and so does a large ridge. Differences of 1 % in errors are less than those between
        validation structures; the less freedom there is, the less large terms cancel: rounding
        counts less, and so does what the data do not determine.

        Where features are hardly ever seen, larger differences are accepted. An example are
        products of the densities of two other elements, if hardly a structure has three: what
        cancels in all structures of the data does not cancel where such features occur.
        """
        seen = self._seen > RARE * self._n_seen
        limit = (AS_GOOD if seen.all() else ABOUT_AS_GOOD) * min(losses.values())
        return max(key for key, loss in losses.items() if loss <= limit)

    def _system(self, groups, sizes, *, centered=False):
        """The weighted sum of the normal equations; centered: energies without their mean."""
        return System(
            [
                (groups[key], weight, centered and key[0] == "energy")
                for key, weight in self._weights(groups, sizes).items()
            ]
        )

    @staticmethod
    def _weights(groups, sizes):
        """Return the weight of a row of each group.

        Rows of a label count like their number's root. If they counted like their number, as
        errors that are random would, energies would hardly count beside forces; if all labels had
        the same weight in total, a few energies would be fitted exactly, at the forces' expense.
        """
        totals = dict.fromkeys(NAMES, 0.0)
        for (name, _), group in groups.items():
            totals[name] += group.n_rows
        return {key: 1 / (totals[key[0]] ** 0.5 * sizes[key] ** 2) for key in groups}

    def refitted(self, ridge, sizes):
        """Return the coefficients of a fit to all structures, those of the validation too."""
        weights = self._weights(self.fitted, sizes)
        groups = [
            (group, weights[key], False)
            for own in (self.fitted, self.held_out)
            for key, group in own.items()
            if key in sizes
        ]
        return System(groups).solve(ridge, self.coefficient_sizes)

    def precision(self, ridge, sizes):
        """The Factor of the inverse of the coefficients' covariance, if errors are independent."""
        groups = [(g, 1 / sizes[key] ** 2, False) for key, g in self.fitted.items()]
        return System(groups).factor(max(ridge, LEAST_RIDGE), self.coefficient_sizes)

    def errors(self, groups, coefficients):
        """{kind: {label: root mean square error}} of kinds that are apart, and of "all"."""
        sums = {}
        for (name, kind), group in groups.items():
            square = group.mean_square(coefficients) * group.n_rows
            for key in ["all"] if kind is None else dict.fromkeys([kind, "all"]):
                total = sums.setdefault(key, {}).setdefault(name, [0.0, 0.0])
                total[0] += square
                total[1] += group.n_rows
        return {
            kind: {name: float(np.sqrt(s / n)) for name, (s, n) in labels.items()}
            for kind, labels in sums.items()
        }

    def warn_of_gaps(self):
        """Warn of elements that do not occur, and of pairs that are neighbors nowhere or hardly."""
        seen, nothing = self._occurrences, "the model knows nothing of them"
        uncertain = (
            f"energies of others with them may be far off: {FEW} structures of each, or more, are"
            " needed"
        )
        for what, names, so in (
            ("no structures with", seen.absent(), nothing),
            ("no neighbors within its cutoff:", seen.absent_pairs(), nothing),
            ("only a few structures with neighbors", seen.few_pairs(), uncertain),
        ):
            if names:
                text = f"the data have {what} {', '.join(names)}; {so}"
                warnings.warn(text, ModelWarning, stacklevel=3)


def _check_species(species, data):
    missing = [s for s in data.species if s not in species]
    if missing:
        raise InputError(
            f"descriptor: its species are {', '.join(species)}; {missing[0]}, which the data have,"
            " is needed too"
        )


@contextlib.contextmanager
def _nothing_kept():
    """Within, results that are dropped give their memory back.

    Blocks of Jacobians differ in size, so that more and more of them would be kept: 32 in the end.
    """
    before = _memory.set_kept_memory(0)
    try:
        yield
    finally:
        _memory.set_kept_memory(before)


def _axes(n, degree, descriptor, data, species, n_threads):
    """The principal axes of the values of a data set; None if products are not those of axes."""
    if n is None:
        return None
    n = checks.whole("components", n, 1, descriptor.width)
    if degree == 1:
        raise InputError(f"components = {n}: degree 2 is needed")
    batches = data.batches(descriptor, 1, species=species, n_threads=n_threads)
    return Axes(n, *batches.values(), len(species))


def _kinds_apart(fitted, held_out, n):
    """Whether forces and stresses of kinds are groups; InputError if there is no memory at all."""
    needed = MATRICES * 8.0 * n * n
    if needed > available_memory() / 2:
        raise InputError(
            f"descriptor and degree: {n} coefficients need {needed / 1e9:.1f} GB; fewer values,"
            " fewer components, or degree 1, are needed"
        )
    rows = 0.0  # of all groups, of which a group keeps no more than half a matrix
    for data in (fitted, held_out):
        for kind in data.kinds:
            own = [e for e in data if e.kind == kind]
            rows += min(n / 2, sum(3 * e.n_atoms for e in own if e.forces is not None))
            rows += min(n / 2, sum(6 for e in own if e.stress is not None))
    return len(fitted.kinds) == 1 or 8.0 * n * rows <= APART
