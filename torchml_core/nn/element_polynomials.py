"""A polynomial of first or second degree for each element, as one torch module."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torchml_core import checks
from torchml_core.configuration_checks import check_species
from torchml_core.nn.grouping import in_given_order, rows_by_element

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor


class ElementPolynomials(nn.Module):
    """Energies of atoms that are linear or quadratic in the values of a descriptor.

    ``forward(descriptor, species)`` takes values (n, width) and species codes int64 (n,), in the
    order of ``species``, and returns the energies of the n atoms. The energy of an atom of element
    e with the row of values D is

        ``constant[e] + Σ_k linear[e, k] D_k + Σ_{k, l} quadratic[e, k, l] D_k D_l``

    In float64: where large terms cancel, as in fits of least squares, float32 has too few digits.

    Parameters
    ----------
    descriptor : Descriptor
        Only its species and its width are used.
    degree : int
        1 or 2.
    species : sequence of str, optional
        The elements, where the descriptor does not know them (Xi).

    Attributes
    ----------
    species : tuple of str
    constant : (n_elements,) float64 torch.nn.Parameter
        Like the others, zeros at first.
    linear : (n_elements, width) float64 torch.nn.Parameter
    quadratic : (n_elements, width, width) float64 torch.nn.Parameter
        Only the sums of [e, k, l] and [e, l, k] matter. (n_elements, 0, 0) if degree is 1.

    Raises
    ------
    InputError
        If degree is neither.

    Examples
    --------
    >>> import torch
    >>> import torchml_core as tm
    >>> d = tm.SymmetryFunctions(["Si", "C"], 5.0, [("g2", [[0.1, 0.0], [0.5, 0.0]])])
    >>> polynomials = tm.nn.ElementPolynomials(d)
    >>> with torch.no_grad():
    ...     _ = polynomials.linear.copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    >>> values = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    >>> polynomials(values, torch.tensor([1, 0])).tolist()
    [1.0, 3.0]
    """

    def __init__(
        self, descriptor: "Descriptor", degree: int = 1, *, species: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.species = check_species(descriptor.species or species)
        self.width = int(descriptor.width)
        self.degree = checks.whole("degree", degree, 1, 2)
        n, width = len(self.species), self.width
        products = (n, width, width) if self.degree == 2 else (n, 0, 0)
        self.constant = nn.Parameter(torch.zeros(n, dtype=torch.float64))
        self.linear = nn.Parameter(torch.zeros(n, width, dtype=torch.float64))
        self.quadratic = nn.Parameter(torch.zeros(products, dtype=torch.float64))

    def forward(self, descriptor: Tensor, species: Tensor) -> Tensor:
        """Return the energies of atoms, (n,).

        Parameters
        ----------
        descriptor : (n, width) tensor
        species : (n,) int64 tensor
            Codes of elements, 0 to ``len(self.species) - 1``.
        """
        constant = self.constant.index_select(0, species)
        if self.degree == 1:
            return constant + (descriptor * self.linear.index_select(0, species)).sum(1)
        parts, order = rows_by_element(descriptor, species, self.constant.shape[0])
        energies: list[Tensor] = []
        for k, part in enumerate(parts):
            energies.append((part * (part @ self.quadratic[k] + self.linear[k])).sum(1))
        return constant + in_given_order(energies, order)

    def extra_repr(self) -> str:
        return f"{' '.join(self.species)}; width {self.width}, degree {self.degree}"
