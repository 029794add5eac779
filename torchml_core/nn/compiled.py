"""Networks that torch.compile made faster: their energies and dE/dD from one compiled function.

Torch cannot differentiate a compiled network twice, which a loss on forces needs. It can compile a
function that contains the first derivative, and differentiate this function once.
"""

import weakref

import torch
from torch import nn

_functions: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of compiled networks


def is_compiled(network: nn.Module) -> bool:
    """Whether a network was returned by torch.compile."""
    # OptimizedModule; its class is in a part of torch that is slow to import
    return hasattr(network, "_orig_mod") and hasattr(network, "dynamo_ctx")


def uncompiled(network: nn.Module) -> nn.Module:
    """Return the network that was given to torch.compile; other networks as they are."""
    return network._orig_mod if is_compiled(network) else network  # type: ignore[return-value]


def energies_and_gradient(network, values, species, takes_species):
    """Return a compiled network's energies of atoms (n,), and dE/dD (n, width)."""
    function = _functions.get(network)
    if function is None:
        function = _functions[network] = _compiled(network, takes_species)
    return function(values, species)


def _compiled(network, takes_species):
    plain = network._orig_mod

    def total(values, species):
        found = plain(values, species) if takes_species else plain(values)
        return found.sum(), found

    def both(values, species):
        gradient, energies = torch.func.grad(total, has_aux=True)(values, species)
        return energies, gradient

    return network.dynamo_ctx(both)
