"""Least-squares fits of models that are linear in their coefficients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.available_memory import available_memory
from torchml_core.dataset import Dataset
from torchml_core.dataset.example import NAMES
from torchml_core.descriptors.base import Descriptor
from torchml_core.errors import InputError, ModelWarning
from torchml_core.nn import ElementPolynomials
from torchml_core.training.features import Features
from torchml_core.training.normal_equations import (
    RIDGES,
    NormalEquations,
    Ridge,
    ridge_root,
    ridge_solution,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torchml_core.annotations import Doubles, PathLike
    from torchml_core.configuration import Configuration
    from torchml_core.portable.model import PortableModel

REWEIGHTINGS = 4
FIRST_RIDGE = 1e-12
# Energies count little in the first fit: forces tell what is wrong with energies, for example if
# those of some kinds of structures contain a kinetic energy.
HINDERED = 100.0
SMALLEST_ERROR = 5e-3  # of a group, relative to the root mean square of its targets


def fit_linear(
    descriptor: Descriptor,
    data: Dataset,
    *,
    degree: int = 1,
    validation: float | Dataset = 0.1,
    ridge: float | None = None,
    expected_errors: Mapping[str, float] | None = None,
    isolated: Mapping[str, float] | None = None,
    seed: int = 0,
    n_threads: int | None = None,
) -> LinearFit:
    """Fit energies, forces and stresses with a model linear in the descriptor, or in its products.

    The energy of an atom of element e is a polynomial of first or second degree in its row of
    values D, with coefficients of the element's own:

        ``c_e + Σ_k w_ek D_k``  and, for degree 2,  ``+ Σ_{k <= l} w_ekl D_k D_l``

    The coefficients minimize the weighted squares of all errors plus a ridge. Only the normal
    equations are kept, so the memory does not depend on the number of structures.

    Parameters
    ----------
    descriptor : Descriptor
        Its species must include those of the data.
    data : Dataset
        At least one label of any kind is needed; missing ones are left out.
    degree : {1, 2}
    validation : float or Dataset
        Structures that are not fitted, from which the ridge is chosen: the fraction of data, taken
        at random from each kind, or other structures.
    ridge : float, optional
        What is added to the diagonal of the normal equations, with coefficients scaled so that it
        is 1. None: the one of 1e-14, 1e-13, ... 1 that has the lowest error on the validation
        structures.
    expected_errors : dict of str to float, optional
        The errors that are considered alike of "energy" (eV/atom), "forces" (eV/Å) and "stress"
        (eV/Å³); squares of errors are divided by theirs. None: those that the fit itself has, for
        each kind of structure, found by fitting a few times. So labels that do not fit the others
        lose their weight, such as energies that contain a kinetic energy.
    isolated : dict of str to float, optional
        Energies of isolated atoms; see :meth:`Dataset.reference_energies`. They are subtracted
        before the fit and added to the model.
    seed : int
        Of the random choice of validation structures.
    n_threads : int, optional
        For the descriptor.

    Returns
    -------
    LinearFit

    Raises
    ------
    InputError
        If an argument cannot be used; if there are no labels, no validation structures where a
        ridge is to be chosen, or too many coefficients for the memory.

    Warns
    -----
    ModelWarning
        If elements of the descriptor do not occur in the data, or pairs of elements are never
        within its cutoff: the model then knows nothing about them.

    Notes
    -----
    Energies count by their error per atom. Each of energies, forces and stresses has the same
    weight in total, whatever their number.
    """
    problem = _Problem(descriptor, data, degree, validation, isolated, seed, n_threads)
    sizes = _check_expected_errors(expected_errors)
    if ridge is not None:
        ridge = checks.not_negative("ridge", ridge)
    elif not any(group.n_rows for group in problem.held_out.values()):
        raise InputError("validation: structures with labels are needed to choose a ridge")
    coefficients, chosen, found = problem.solve(ridge, sizes)
    return LinearFit(problem, coefficients, chosen, found)


class LinearFit:
    """What :func:`fit_linear` found.

    Attributes
    ----------
    descriptor : Descriptor
    module : nn.ElementPolynomials
        ``forward(descriptor, species)``: energies of atoms.
    degree : int
    ridge : float
        See :func:`fit_linear`.
    n_coefficients : int
    reference_energies : dict of str to float
        In eV, for each element; included in the module.
    errors : dict
        Root mean square errors ``errors["train" | "validation"][kind]["energy" | "forces" |
        "stress"]`` in eV/atom, eV/Å and eV/Å³. The kind ``"all"`` is all structures.
    training_range : dict of str to (min, max)
        Of each value, by element, in the fitted structures.
    """

    def __init__(
        self, problem: Any, coefficients: Doubles, ridge: float, expected: Mapping
    ) -> None:
        self.descriptor, self.degree = problem.features.descriptor, problem.features.degree
        self.ridge, self.n_coefficients = ridge, len(coefficients)
        self.reference_energies = problem.references
        self.training_range = problem.training_range
        self.errors = {
            "train": problem.errors(problem.fitted, coefficients),
            "validation": problem.errors(problem.held_out, coefficients),
        }
        self.module = _module(problem, coefficients)
        self._species = problem.species
        self._features = problem.features
        self._root = problem.covariance_root(ridge, expected)

    def uncertainties(
        self, configuration: Configuration, *, n_threads: int | None = None
    ) -> Doubles:
        """Return the standard deviation of each atom's energy that follows from the data's noise.

        It is large where an atom's environment is unlike those that were fitted: the square is
        φ·C φ, where φ are the values (and products) of the atom and C is the covariance of the
        coefficients if the errors of the fit are random.

        Parameters
        ----------
        configuration : Configuration
        n_threads : int, optional

        Returns
        -------
        (n_centers,) float64
            In eV.
        """
        values = self.descriptor.compute(configuration, n_threads=n_threads)
        codes = configuration.codes(self._species)[configuration.centers]
        features, n = self._features.of_atoms(values), self._features.n_of_element
        out = np.empty(len(values))
        for element in range(len(self._species)):
            own = codes == element
            root = self._root[element * n : (element + 1) * n]
            out[own] = np.linalg.norm(features[own] @ root, axis=1)
        return out

    def save(self, folder: PathLike, **arguments: Any) -> PortableModel:
        """Write a portable model.

        Parameters
        ----------
        folder : path-like
        **arguments
            Of :meth:`PortableModel.create`, such as license and citation.

        Returns
        -------
        PortableModel
            With one element its ``forward`` takes the descriptor alone, as the original driver
            calls it.
        """
        from torchml_core.portable.model import PortableModel

        one = len(self._species) == 1
        return PortableModel.create(
            folder,
            model=_OfOneElement(self.module) if one else self.module,
            species=self._species,
            descriptor=self.descriptor,
            training_range=self.training_range,
            reference_energies=self.reference_energies,
            **arguments,
        )

    def __repr__(self):
        shown = {
            name: f"{1e3 * error:.3g} {unit}"
            for name, unit in (("energy", "meV/atom"), ("forces", "meV/Å"))
            if (error := self.errors["validation"].get("all", {}).get(name)) is not None
        }
        found = ", ".join(f"{name} {text}" for name, text in shown.items())
        return (
            f"<LinearFit of degree {self.degree}: {self.n_coefficients} coefficients, ridge"
            f" {self.ridge:g}; validation {found or 'without labels'}>"
        )


class _OfOneElement(torch.nn.Module):
    """``forward(descriptor)`` of a model of one element."""

    def __init__(self, polynomials):
        super().__init__()
        self.polynomials = polynomials

    def forward(self, descriptor: torch.Tensor) -> torch.Tensor:
        species = torch.zeros(descriptor.shape[0], dtype=torch.int64, device=descriptor.device)
        return self.polynomials(descriptor, species)


class _Problem:
    """Normal equations of all groups: a group is a label of one kind of structures."""

    def __init__(self, descriptor, data, degree, validation, isolated, seed, n_threads):
        if not isinstance(descriptor, Descriptor):
            checks.refuse("descriptor", descriptor, "a Descriptor")
        if not isinstance(data, Dataset):
            checks.refuse("data", data, "a Dataset")
        self.species = descriptor.species or data.species
        _check_species(self.species, data)
        self.features = Features(descriptor, self.species, checks.whole("degree", degree, 1, 2))
        if isinstance(validation, Dataset):
            _check_species(self.species, validation)
            fitted, held_out = data, validation
        else:
            fitted, held_out = data.split(checks.number("validation", validation), seed=seed)
        known = fitted.reference_energies(isolated)
        self.references = {s: known.get(s, 0.0) for s in self.species}
        kinds = _kinds_apart(fitted, held_out, self.features.n)
        self.fitted, self.held_out = {}, {}
        self._ranges = _Ranges(self.species, descriptor)
        for dataset, groups in ((fitted, self.fitted), (held_out, self.held_out)):
            for k in range(len(dataset)):
                self._add(dataset, k, groups, kinds, dataset is fitted, n_threads)
        if not any(group.n_rows for group in self.fitted.values()):
            raise InputError("data: energies, forces or stresses are needed")
        self._ranges.warn_of_gaps()

    @property
    def training_range(self):
        """(min, max) by element."""
        return self._ranges.found()

    def _add(self, dataset, k, groups, kinds, is_fitted, n_threads):
        example = dataset[k]
        descriptor = self.features.descriptor
        c = dataset.configuration(k, descriptor.cutoff, self.species)
        values = descriptor.compute(c, n_threads=n_threads)
        if is_fitted:
            self._ranges.add(c, values)
        wanted = {name: getattr(example, name) is not None for name in NAMES}
        if not any(wanted.values()) or example.weight == 0:
            return
        rows = self.features.rows(
            c, values, forces=wanted["forces"], stress=wanted["stress"], n_threads=n_threads
        )
        targets = {"forces": example.forces, "stress": example.stress}
        if wanted["energy"]:
            own = sum(self.references[s] for s in example.atoms.symbols)
            targets["energy"] = np.array([(example.energy - own) / example.n_atoms])
        for name in NAMES:
            if wanted[name]:
                key = name, example.kind if kinds else ""
                group = groups.setdefault(key, NormalEquations(self.features.n))
                group.add(getattr(rows, name), targets[name].ravel(), example.weight)

    def solve(self, ridge, expected):
        """Return the coefficients, the ridge, and the expected error of each group."""
        rms = {key: np.sqrt(g.squares / g.n_rows) or 1.0 for key, g in self.fitted.items()}
        if expected is not None:
            sizes = {key: expected.get(key[0], rms[key]) for key in rms}
            return *self._solve(ridge, sizes), sizes
        sizes = {key: HINDERED * rms[key] if key[0] == "energy" else rms[key] for key in rms}
        for _ in range(REWEIGHTINGS):
            system = self._system(self.fitted, sizes, centered=True)
            coefficients = ridge_solution(*system, FIRST_RIDGE)
            sizes = {
                key: max(self._spread(key, coefficients), SMALLEST_ERROR * rms[key])
                for key in sizes
            }
        return *self._solve(ridge, sizes), sizes

    def _spread(self, key, coefficients):
        """The size of a group's errors, where an error that all energies have does not count.

        That of structures that were not fitted, if it is larger: overfitted ones are not exact.
        """
        groups = [self.fitted[key], *([self.held_out[key]] if key in self.held_out else [])]
        centered = key[0] == "energy"
        return np.sqrt(max(g.mean_square(coefficients, centered=centered) for g in groups))

    def _solve(self, ridge, sizes):
        """Return the coefficients and the ridge for expected errors of the groups."""
        solutions = Ridge(*self._system(self.fitted, sizes))
        if ridge is not None:
            return solutions.solve(ridge), ridge
        groups = {key: group for key, group in self.held_out.items() if key in sizes}
        weights = self._weights(groups, sizes)

        def loss(tried):
            found = solutions.solve(tried)
            return sum(
                weights[key] * group.n_rows * group.mean_square(found)
                for key, group in groups.items()
            )

        best = float(min(RIDGES, key=loss))
        return solutions.solve(best), best

    def _system(self, groups, sizes, *, centered=False):
        """The weighted sum of the normal equations; centered: energies without their mean."""
        matrix, right = 0.0, 0.0
        for key, weight in self._weights(groups, sizes).items():
            own = groups[key].system(centered and key[0] == "energy")
            matrix, right = matrix + weight * own[0], right + weight * own[1]
        return matrix, right

    @staticmethod
    def _weights(groups, sizes):
        """One for each group: each label has the same weight in total."""
        totals = dict.fromkeys(NAMES, 0.0)
        for (name, _), group in groups.items():
            totals[name] += group.n_rows
        return {key: 1 / (totals[key[0]] * sizes[key] ** 2) for key in groups}

    def covariance_root(self, ridge, sizes):
        """C with C C^T the covariance of the coefficients, if errors are independent."""
        matrix = sum(group.matrix / sizes[key] ** 2 for key, group in self.fitted.items())
        return ridge_root(matrix, max(ridge, FIRST_RIDGE))

    def errors(self, groups, coefficients):
        """{kind: {label: root mean square error}}, also of "all"."""
        sums = {}
        for (name, kind), group in groups.items():
            square = group.mean_square(coefficients) * group.n_rows
            for key in dict.fromkeys([kind, "all"]):
                total = sums.setdefault(key, {}).setdefault(name, [0.0, 0.0])
                total[0] += square
                total[1] += group.n_rows
        return {
            kind: {name: float(np.sqrt(s / n)) for name, (s, n) in labels.items()}
            for kind, labels in sums.items()
        }


class _Ranges:
    """The range of each value by element, and which pairs of elements occur."""

    def __init__(self, species, descriptor):
        self._species, self._descriptor = species, descriptor
        self._low = np.full((len(species), descriptor.width), np.inf)
        self._high = -self._low
        self._pairs = np.zeros((len(species), len(species)), dtype=bool)

    def add(self, c, values):
        codes = c.codes(self._species)
        centers = codes[c.centers]
        for element in np.unique(centers):
            own = values[centers == element]
            self._low[element] = np.minimum(self._low[element], own.min(axis=0))
            self._high[element] = np.maximum(self._high[element], own.max(axis=0))
        self._pairs[codes[c.pair_centers()], codes[c.neighbors]] = True

    def found(self):
        """{element: (min, max)} of the elements that occur."""
        out = {}
        for k, element in enumerate(self._species):
            if self._low[k, 0] <= self._high[k, 0]:
                n = self._descriptor.n_values(element)
                out[element] = self._low[k, :n].tolist(), self._high[k, :n].tolist()
        return out

    def warn_of_gaps(self):
        there = [low[0] <= high[0] for low, high in zip(self._low, self._high, strict=True)]
        absent = [s for s, is_there in zip(self._species, there, strict=True) if not is_there]
        pairs = [
            f"{a}-{b}"
            for i, a in enumerate(self._species)
            for j, b in enumerate(self._species[: i + 1])
            if there[i] and there[j] and not (self._pairs[i, j] or self._pairs[j, i])
        ]
        for what, names in (("structures with", absent), ("neighbors within its cutoff:", pairs)):
            if names:
                warnings.warn(
                    f"the data have no {what} {', '.join(names)}; the model knows nothing of them",
                    ModelWarning,
                    stacklevel=4,
                )


def _check_species(species, data):
    missing = [s for s in data.species if s not in species]
    if missing:
        raise InputError(
            f"descriptor: its species are {', '.join(species)}; {missing[0]}, which the data have,"
            " is needed too"
        )


def _check_expected_errors(errors):
    if errors is None:
        return None
    if not isinstance(errors, dict) or not set(errors) <= set(NAMES):
        checks.refuse("expected_errors", errors, f"a dict with keys of {', '.join(NAMES)}")
    return {name: checks.positive(f"expected_errors[{name!r}]", x) for name, x in errors.items()}


def _kinds_apart(fitted, held_out, n):
    """Whether there is memory for the matrices of each kind; InputError if for none."""
    kinds = len(fitted.kinds) + len(held_out.kinds)
    most, of_one = available_memory() / 2, 8.0 * n * n
    if 10 * of_one > most:
        raise InputError(
            f"descriptor and degree: {n} coefficients need {10 * of_one / 1e9:.1f} GB; fewer"
            " values, or degree 1, are needed"
        )
    return (3 * kinds + 4) * of_one <= most


def _module(problem, coefficients):
    width, degree = problem.features.descriptor.width, problem.features.degree
    module = ElementPolynomials(problem.features.descriptor, degree, species=problem.species)
    by_element = coefficients.reshape(len(problem.species), -1)
    references = np.array([problem.references[s] for s in problem.species])
    with torch.no_grad():
        module.constant.copy_(torch.from_numpy(by_element[:, 0] + references))
        module.linear.copy_(torch.from_numpy(by_element[:, 1 : 1 + width]))
        if degree == 2:
            places = torch.triu_indices(width, width)
            products = torch.from_numpy(by_element[:, 1 + width :])
            module.quadratic[:, places[0], places[1]] = products
    return module
