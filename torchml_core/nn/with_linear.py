"""A network on top of a linear model: it learns what the linear one leaves over."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from torchml_core import checks
from torchml_core.errors import InputError
from torchml_core.nn.element_polynomials import ElementPolynomials


class WithLinear(nn.Module):
    """The sum of a linear (or quadratic) model and a network, a warm start of its training.

    ``forward(descriptor, species)`` returns ``linear(D, e) + strength * network(D, e)``. At first
    the strength, a parameter, is 0, so that training starts with the energies and forces of the
    linear model. The linear part is evaluated in float64 whatever the network's type is, since its
    large terms cancel; so the values must be float64.

    Parameters
    ----------
    linear : ElementPolynomials
        ``fit_linear(...).module``, for example; it is copied. Its constants contain the reference
        energies.
    network : torch.nn.Module
        ``forward(descriptor, species)``, such as ElementNetworks, of float64 or float32 parameters.
    train_linear : bool
        Whether the coefficients are parameters that are trained, too. They are badly conditioned:
        optimizers of first order, such as Adam, rather spoil them.

    Attributes
    ----------
    linear : ElementPolynomials
    network : torch.nn.Module
    strength : (1,) float64 torch.nn.Parameter
    species : tuple of str

    Raises
    ------
    InputError
        If an argument cannot be used, or the network has other species.

    Examples
    --------
    >>> import torch
    >>> import torchml_core as tm
    >>> d = tm.SymmetryFunctions(["Si", "C"], 5.0, [("g2", [[0.1, 0.0], [0.5, 0.0]])])
    >>> both = tm.nn.WithLinear(tm.nn.ElementPolynomials(d), tm.nn.ElementNetworks(d))
    >>> both(torch.ones(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])).shape
    torch.Size([3])
    """

    like: Tensor

    def __init__(
        self, linear: ElementPolynomials, network: nn.Module, *, train_linear: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(linear, ElementPolynomials):
            checks.refuse("linear", linear, "an ElementPolynomials")
        if not isinstance(network, nn.Module):
            checks.refuse("network", network, "a torch.nn.Module")
        self.species = linear.species
        own = getattr(network, "species", self.species)
        if tuple(own) != self.species:
            raise InputError(
                f"network: its species are {checks.shown(list(own))};"
                f" {checks.shown(list(self.species))}, those of linear, are needed"
            )
        self.linear = copy.deepcopy(linear)
        self.linear.requires_grad_(checks.flag("train_linear", train_linear))
        self.network = network
        self.strength = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        # a buffer, so that a script knows the type of the network's parameters
        dtype = next((p.dtype for p in network.parameters()), torch.float64)
        self.register_buffer("like", torch.zeros(0, dtype=dtype), persistent=False)

    def forward(self, descriptor: Tensor, species: Tensor) -> Tensor:
        """Return the energies of atoms, (n,).

        Parameters
        ----------
        descriptor : (n, width) float64 tensor
        species : (n,) int64 tensor
        """
        rest = self.network(descriptor.to(self.like.dtype), species)
        return self.linear(descriptor, species) + self.strength * rest

    @torch.jit.unused
    def fit_scaling(self, descriptor: Any, species: Any, scaling: str = "sigma") -> None:
        """Set the scaling of the network's inputs, see :meth:`ElementNetworks.fit_scaling`."""
        fit: Any = getattr(self.network, "fit_scaling", None)
        if fit is None:
            checks.refuse("network", self.network, "a network with fit_scaling")
        fit(descriptor, species, scaling)
