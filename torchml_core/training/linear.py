"""Least-squares fits of models that are linear in their coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.dataset import Dataset
from torchml_core.descriptors.base import Descriptor
from torchml_core.errors import InputError
from torchml_core.nn import ElementPolynomials
from torchml_core.training.expected_errors import check_expected_errors
from torchml_core.training.least_squares import LeastSquares
from torchml_core.training.saving import save_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torchml_core.annotations import Doubles, PathLike
    from torchml_core.configuration import Configuration
    from torchml_core.portable.model import PortableModel

ATOMS_AT_ONCE = 256  # whose uncertainties are computed together


def fit_linear(
    descriptor: Descriptor,
    data: Dataset,
    *,
    degree: int = 1,
    components: int | None = None,
    validation: float | Dataset = 0.1,
    ridge: float | None = None,
    expected_errors: Mapping[str, float | Mapping[str, float]] | None = None,
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
    components : int, optional
        For degree 2: products are those of so many leading principal components of each element's
        values, instead of all values. So descriptors with hundreds of values may be used.
    validation : float or Dataset
        Structures that are not fitted, from which the ridge is chosen: the fraction of data, taken
        at random from each kind, or other structures.
    ridge : float, optional
        What is added to the diagonal of the normal equations, with coefficients scaled so that it
        is 1. None: the largest one of 1e-12, 1e-11, ... 1 whose squares of errors on the validation
        structures are at most 1.02 times the lowest; if some values occur in less than 2 % of the
        structures, such as those of elements that hardly meet, 1.2 times.
    expected_errors : dict of str to (float or dict of str to float), optional
        The errors that are considered alike of "energy" (eV/atom), "forces" (eV/Å) and "stress"
        (eV/Å³), or of these for each kind of structure; errors are divided by theirs. A kind that
        is not named has the median of the others, a label that is not named the root mean square of
        its values. None: those that the fit itself has, for each label and kind, found by fitting a
        few times. So labels that do not fit the others lose their weight, such as energies that
        contain a kinetic energy.
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
        within its cutoff: the model then knows nothing about them. If pairs are in less than ten
        of the fitted structures, and in less than half of them.

    Notes
    -----
    Coefficients are scaled before the ridge is added: either so that the diagonal of the normal
    equations is 1, or, unless a ridge is given, so that all directions in the space of the values
    count alike; the latter leaves little freedom along directions in which the atoms of the data
    hardly differ. The latter is taken if its errors on the validation structures are as good, with
    the same tolerance.

    Energies count by their error per atom. All energies, forces and stresses count like the root of
    their number.
    """
    problem = LeastSquares(
        descriptor, data, degree, components, validation, isolated, seed, n_threads
    )
    problem.warn_of_gaps()
    sizes = check_expected_errors(expected_errors)
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
    refitted : nn.ElementPolynomials
        Fitted with the same ridge to the validation structures as well. It is usually a little
        better than ``module``, to which ``errors`` and :meth:`save` refer, but there are no
        structures left to tell.
    degree : int
    ridge : float
        See :func:`fit_linear`.
    n_coefficients : int
    reference_energies : dict of str to float
        In eV, for each element; included in the module.
    expected_errors : dict of str to (dict of str to float)
        By label and kind, by which errors were divided; see :func:`fit_linear`.
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
        self.training_range = problem.ranges.found()
        self.errors = {
            "train": problem.errors(problem.fitted, coefficients),
            "validation": problem.errors(problem.held_out, coefficients),
        }
        self.module = _module(problem, coefficients)
        self.expected_errors = problem.errors_by_kind(expected)
        self._species = problem.species
        self._features = problem.features
        self.refitted = _module(problem, problem.refitted(ridge, expected))
        self._precision = problem.precision(ridge, expected)

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
        n = self._features.n_of_element
        out = np.empty(len(values))
        for element in range(len(self._species)):
            own = np.flatnonzero(codes == element)
            for part in np.split(own, range(ATOMS_AT_ONCE, len(own), ATOMS_AT_ONCE)):
                rows = np.zeros((len(part), self.n_coefficients))
                features = self._features.of_atoms(values[part], element)
                rows[:, element * n : (element + 1) * n] = features
                out[part] = self._precision.norms(rows)
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
        return save_model(
            folder,
            self.module,
            self.descriptor,
            self._species,
            self.training_range,
            self.reference_energies,
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


def _module(problem, coefficients):
    features = problem.features
    module = ElementPolynomials(features.descriptor, features.degree, species=problem.species)
    by_element = coefficients.reshape(len(problem.species), -1)
    with torch.no_grad():
        for k, element in enumerate(problem.species):
            constant, linear, quadratic = features.polynomial(by_element[k], k)
            module.constant[k] = constant + problem.references[element]
            module.linear[k] = torch.from_numpy(linear)
            if quadratic is not None:
                module.quadratic[k] = torch.from_numpy(quadratic)
    return module
