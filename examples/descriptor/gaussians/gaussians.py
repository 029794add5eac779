"""Gaussians: a sum over neighbors, as an example of a descriptor."""

from torchml_core import checks
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor

from .kernel import GaussiansKernel


class Gaussians(Descriptor):
    """Sums of Gaussians over all neighbors: ``D_k = Σ_j exp(-eta_k R_j²) fc(R_j)``.

    Parameters
    ----------
    species : sequence of str
        The species that may occur; all have the same weight.
    cutoff : float
        In Å; ``fc = (cos(π R/cutoff) + 1)/2``.
    eta : sequence of float
        In Å⁻², positive.
    """

    def __init__(self, species, cutoff, eta):
        self.species = check_species(species)
        self.cutoff = checks.positive("cutoff", cutoff)
        self.eta = tuple(
            checks.positive(f"eta[{k}]", x) for k, x in enumerate(checks.sequence("eta", eta))
        )
        if not self.eta:
            checks.refuse("eta", eta, "at least one number")
        self.width = len(self.eta)

    @property
    def labels(self):
        """The name of each value, e.g. ``gaussian(eta=0.5)``."""
        return [f"gaussian(eta={eta:.6g})" for eta in self.eta]

    def __repr__(self):
        return f"Gaussians({list(self.species)}, {self.cutoff!r}, {list(self.eta)})"

    def _to_lines(self):
        yield " ".join(self.species)
        yield repr(self.cutoff)
        yield " ".join(map(repr, self.eta))

    @classmethod
    def _from_lines(cls, lines):
        species = lines.words("the species")
        (cutoff,) = lines.numbers("the cutoff", 1)
        eta = lines.numbers("eta")
        return lines.checked(lambda: cls(species, cutoff, eta))

    def _make_kernel(self):
        return GaussiansKernel(len(self.species), self.cutoff, self.eta)
