"""A descriptor and a network as one torch module: energies, forces and stresses of batches."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from torchml_core import autograd, checks
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor
from torchml_core.errors import InputError
from torchml_core.nn.compiled import energies_and_gradient, is_compiled, uncompiled
from torchml_core.voigt import VOIGT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torchml_core.dataset.batches import Batch


class ModelOutput(NamedTuple):
    """What a model says about the structures of a batch.

    Attributes
    ----------
    energy : (n_structures,) float64 tensor
        In eV, with reference energies.
    forces : (n_atoms, 3) tensor or None
        In eV/Å, in the dtype of the batch.
    stress : (n_structures, 6) float64 tensor or None
        In eV/Å³, xx yy zz yz xz xy, tension positive; 0 for structures without a volume.
    """

    energy: Tensor
    forces: Tensor | None
    stress: Tensor | None


class DescriptorModel(nn.Module):
    """Energies, forces and stresses of batches, differentiable with respect to the parameters.

    ``forward(batch)`` takes a batch of :meth:`Dataset.batches`. A loss on all of its results may be
    made, and ``loss.backward()`` called: this takes one call of the descriptor's ``vjp`` (forces
    and stress) and one of its ``jvp``, for all structures of the batch together.

    Parameters
    ----------
    descriptor : Descriptor
    network : torch.nn.Module
        ``forward(descriptor)`` or ``forward(descriptor, species)``, the energies of atoms from
        values (n, width) and species codes: :class:`ElementNetworks`, :class:`ElementPolynomials`
        or any other module, also one that torch.compile returned; a shape of (n, 1) is taken as
        well. Its parameters are shared.
    reference_energies : dict of str to float, optional
        An energy of each atom of an element, in eV, which is added in float64: the network then
        learns the rest, which float32 is precise enough for. None: zeros.
    species : sequence of str, optional
        The elements, where the descriptor does not know them (Xi).
    n_threads : int, optional
        For the descriptor.

    Attributes
    ----------
    network : torch.nn.Module
    descriptor : Descriptor
    species : tuple of str
        The order of the species codes.
    reference_energies : dict of str to float

    Raises
    ------
    InputError
        If an argument cannot be used.

    Notes
    -----
    Forces are minus the gradient with respect to positions, g = J^T dE/dD, where J is the Jacobian
    of the descriptor. The derivative with respect to strain of the energy of a structure s is

        ``Σ_p g_p ⊗ r_p``  over its particles p, ghosts too,

    since a strain moves each particle, ghosts too, in proportion to its position, and energies
    depend on differences of positions only. So everything is a linear function of g, and the
    gradient of any loss with respect to dE/dD is one J u, with a displacement u of each particle.

    Examples
    --------
    >>> import torchml_core as tm
    >>> data = tm.dataset.Dataset.read("examples/structures/silicon.extxyz")
    >>> d = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1, 0.0], [1.0, 2.0]])])
    >>> model = tm.nn.DescriptorModel(d, tm.nn.ElementNetworks(d, hidden=(8,)))
    >>> for batch in data.batches(d, 16):
    ...     out = model(batch)
    ...     loss = (out.energy / batch.n_atoms).pow(2).mean() + out.forces.pow(2).mean()
    ...     loss.backward()
    """

    def __init__(
        self,
        descriptor: Descriptor,
        network: nn.Module,
        *,
        reference_energies: Mapping[str, float] | None = None,
        species: Sequence[str] | None = None,
        n_threads: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(descriptor, Descriptor):
            checks.refuse("descriptor", descriptor, "a Descriptor")
        if not isinstance(network, nn.Module):
            checks.refuse("network", network, "a torch.nn.Module")
        self.descriptor, self.network = descriptor, network
        own = getattr(network, "species", None)
        known = descriptor.species or species or own or ()
        self.species = check_species(known)
        if isinstance(own, (tuple, list)) and tuple(own) != self.species:
            raise InputError(
                f"network: its species are {checks.shown(list(own))};"
                f" {checks.shown(list(self.species))}, those of the descriptor, are needed"
            )
        self.takes_species = takes_species(network)
        self.reference_energies = _references(reference_energies, self.species)
        self._n_threads = n_threads

    def forward(self, batch: Batch, *, forces: bool = True, stress: bool = True) -> ModelOutput:
        """Return energies, forces and stresses.

        Parameters
        ----------
        batch : Batch
            Of :meth:`Dataset.batches` with the same descriptor.
        forces, stress : bool
            Whether they are wanted; without both, no verb of the descriptor is called.

        Returns
        -------
        ModelOutput
            Under ``torch.no_grad()`` without a graph.
        """
        self._check_batch(batch)
        with_graph = torch.is_grad_enabled()
        values = batch.descriptor.detach()
        if not forces and not stress:
            return ModelOutput(self._energy(batch, self.atom_energies(values, batch)), None, None)
        if is_compiled(self.network):
            energies, dE_dD = energies_and_gradient(
                self.network, values, batch.species, self.takes_species
            )
            energies = _of_atoms(energies, values)
        else:
            values.requires_grad_(True)
            with torch.enable_grad():
                energies = self.atom_energies(values, batch)
                (dE_dD,) = torch.autograd.grad(energies.sum(), values, create_graph=with_graph)
            if not with_graph:
                energies = energies.detach()
        g = autograd.vjp(self.descriptor, batch.configuration, dE_dD, n_threads=self._n_threads)
        return ModelOutput(
            self._energy(batch, energies),
            _forces(batch, g) if forces else None,
            _stress(batch, g) if stress else None,
        )

    def atom_energies(self, values: Tensor, batch: Batch) -> Tensor:
        """Return the network's energies of the atoms (n_atoms,), without reference energies."""
        found = self.network(values, batch.species) if self.takes_species else self.network(values)
        return _of_atoms(found, values)

    def _energy(self, batch, energies):
        references = energies.new_tensor(
            [self.reference_energies[s] for s in self.species], dtype=torch.float64
        )
        energies = energies.double() + references[batch.species]
        return energies.new_zeros(batch.n_structures).index_add(0, batch.structure, energies)

    def _check_batch(self, batch):
        made_with = getattr(batch, "made_with", None)
        if made_with is None:
            checks.refuse("batch", batch, "a batch of Dataset.batches")
        if made_with is not self.descriptor and made_with != self.descriptor:
            raise InputError(
                f"batch: its values are those of {made_with!r}; {self.descriptor!r} is needed"
            )
        if batch.configuration.species_names != self.species:
            raise InputError(
                f"batch: its species are {checks.shown(batch.configuration.species_names)};"
                f" {checks.shown(list(self.species))} are needed"
            )
        dtypes = {p.dtype for p in self.network.parameters() if p.is_floating_point()}
        # networks with parameters of both types, such as WithLinear, take the larger one
        wanted = torch.float64 if len(dtypes) > 1 else next(iter(dtypes), batch.descriptor.dtype)
        if batch.descriptor.dtype != wanted:
            raise InputError(
                f"batch: its values are {batch.descriptor.dtype}; {wanted}, the type of the"
                " network's parameters, is needed"
            )

    def extra_repr(self) -> str:
        return f"{self.descriptor!r}"


def _of_atoms(found, values):
    """Energies (n_atoms,) from what a network returned."""
    if not isinstance(found, Tensor) or found.numel() != len(values):
        shape = getattr(found, "shape", type(found).__name__)
        raise InputError(
            f"network: it returned {checks.shown(shape)}; an energy for each of the"
            f" {len(values)} atoms is needed"
        )
    return found.reshape(-1)


def takes_species(network: nn.Module) -> bool:
    """Whether a network is called with species: the arguments without a default value decide."""
    network = uncompiled(network)
    if isinstance(network, torch.jit.ScriptModule):
        forward: Any = network.forward
        arguments = forward.schema.arguments[1:]
        required = [a.name for a in arguments if not a.has_default_value()]
        names = [a.name for a in arguments]
    else:
        parameters = [
            p
            for p in inspect.signature(network.forward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        names = [p.name for p in parameters]
        required = [p.name for p in parameters if p.default is p.empty]
    if not names or len(required) > 2:
        raise InputError(
            f"network: its forward takes ({', '.join(names)}); forward(descriptor) or"
            " forward(descriptor, species) is needed"
        )
    return len(required) == 2


def _forces(batch, g):
    """Minus the gradient, of ghosts added to their atoms."""
    atoms = torch.from_numpy(batch.configuration.atoms_of_particles()).to(g.device)
    return g.new_zeros(len(batch.structure), 3).index_add(0, atoms, -g)


def _stress(batch, g):
    """The derivative of energies with respect to strain, per volume."""
    c = batch.configuration
    atoms = torch.from_numpy(c.atoms_of_particles())
    sizes = torch.bincount(batch.structure.cpu()[atoms], minlength=batch.n_structures).tolist()
    positions = torch.from_numpy(c.positions).to(g.device)
    # one small product each takes less time than a sum over the rows of all structures; gradients
    # of a structure add up to zero, so its origin does not matter but for rounding
    products = [
        own.T @ (r - r[:1])
        for own, r in zip(g.double().split(sizes), positions.split(sizes), strict=True)
    ]
    strain = torch.stack(products) if products else g.new_zeros((0, 3, 3), dtype=torch.float64)
    strain = (strain + strain.transpose(1, 2))[:, VOIGT[0], VOIGT[1]] / 2
    flat = (batch.volumes == 0)[:, None]
    return torch.where(flat, 0.0, strain / torch.where(flat, 1.0, batch.volumes[:, None]))


def _references(given, species):
    if given is None:
        return dict.fromkeys(species, 0.0)
    missing = [s for s in species if not hasattr(given, "keys") or s not in given]
    if missing:
        checks.refuse("reference_energies", given, f"a dict with an energy of {missing[0]}")
    return {s: checks.number(f"reference_energies[{s!r}]", given[s]) for s in species}
