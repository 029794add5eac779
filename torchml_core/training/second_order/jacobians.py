"""Residuals of a batch and their derivatives with respect to the parameters, in blocks of rows.

Forces and stresses are linear in g = dE/dD: a force component is -Σ_i u_i · g_i, where
u is dD/dr of the coordinate r. So the row of a force is the derivative of u · g with respect to the
parameters, a second derivative of the network, which torch computes for many u at a time. It works
for any network in which the energy of an atom depends on the atom's own values only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from torchml_core.errors import UnsupportedError
from torchml_core.voigt import VOIGT

NUMBERS_AT_ONCE = 4_000_000  # in the largest arrays of a block of rows


class Block(NamedTuple):
    """Some rows of one label of one structure.

    Attributes
    ----------
    label : str
    structure : int
        In the batch.
    first : int
        Of its rows among those of the structure's label.
    rows : (m, n_parameters) float64 tensor
        Derivatives of the energy per atom, of force components, or of the stress.
    """

    label: str
    structure: int
    first: int
    rows: torch.Tensor


class Jacobians:
    """Derivatives of a model's results with respect to parameters.

    Parameters
    ----------
    model : DescriptorModel
    parameters : list of torch.nn.Parameter
    n_threads : int or None
    """

    def __init__(self, model, parameters, n_threads=None):
        self._model, self._parameters, self._threads = model, parameters, n_threads
        self.n = sum(p.numel() for p in parameters)

    def check_network(self, batch):
        """Raise UnsupportedError if the energy of an atom depends on other atoms' values."""
        with torch.no_grad():
            together, _ = self._evaluated(batch, torch.arange(len(batch.species)), gradient=False)
            alone, _ = self._evaluated(batch, torch.arange(1), gradient=False)
        if not torch.allclose(alone, together[:1], rtol=1e-3, atol=1e-5):
            raise UnsupportedError(
                f"network: the energy of the first atom is {alone.item():g} eV alone,"
                f" {together[0].item():g} eV with others; a network in which it depends on the"
                " atom's own values is needed for optimizers of second order"
            )

    def blocks(self, batch, *, forces, stress):
        """Yield a Block after another, for all structures that have the label."""
        starts = np.concatenate([[0], np.cumsum(batch.n_atoms.cpu().numpy())])
        pairs = _Pairs(batch, self._model.descriptor, self._threads) if forces or stress else None
        for k, (first, end) in enumerate(
            zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ):
            atoms = torch.arange(first, end)
            if batch.has_energy[k]:
                energies, _ = self._evaluated(batch, atoms, gradient=False)
                rows = torch.autograd.grad(energies.sum(), self._parameters, allow_unused=True)
                yield Block("energy", k, 0, self._joined(rows, ()) / (end - first))
            if forces and batch.has_forces[k]:
                yield from self._force_blocks(batch, pairs, k, first, end)
            if stress and batch.has_stress[k]:
                u = pairs.strains(first, end) / batch.volumes[k].item()
                rows = self._rows(batch, atoms, u)
                yield Block("stress", k, 0, rows)

    def _force_blocks(self, batch, pairs, k, first, end):
        width = batch.descriptor.shape[1]
        at_once = max(1, NUMBERS_AT_ONCE // (3 * (end - first) * width))
        for a in range(first, end, at_once):
            centers, u = pairs.displacements(a, min(a + at_once, end))
            yield Block("forces", k, 3 * (a - first), -self._rows(batch, centers, u))

    def _rows(self, batch, atoms, u):
        """Derivatives of Σ_i u_i · dE/dD_i (m, n_parameters), u (m, n_atoms, width)."""
        _, g = self._evaluated(batch, atoms, gradient=True)
        u = torch.from_numpy(u).to(g)
        if not g.requires_grad:
            return torch.zeros(len(u), self.n, dtype=torch.float64)
        try:
            found = torch.autograd.grad(
                g, self._parameters, u, is_grads_batched=True, allow_unused=True
            )
        except RuntimeError as error:
            raise UnsupportedError(
                "network: torch cannot compute its derivatives with respect to the weights for many"
                f" residuals at a time ({str(error).splitlines()[0]}); a module that is not"
                " scripted, of torch's own functions, is needed for optimizers of second order"
            ) from error
        return self._joined(found, (len(u),))

    def _evaluated(self, batch, atoms, *, gradient):
        """Energies of some atoms of a batch, and dE/dD with its graph."""
        part = _Part(batch.species[atoms.to(batch.species.device)])
        values = batch.descriptor[atoms.to(batch.descriptor.device)].detach()
        values.requires_grad_(gradient)
        energies = self._model.atom_energies(values, part)
        if not gradient:
            return energies, None
        return energies, torch.autograd.grad(energies.sum(), values, create_graph=True)[0]

    def _joined(self, gradients, shape):
        parts = [
            torch.zeros(*shape, p.numel()) if g is None else g.detach().reshape(*shape, -1)
            for g, p in zip(gradients, self._parameters, strict=True)
        ]
        rows = torch.cat([part.cpu().double() for part in parts], dim=-1)
        return rows if shape else rows[None]


class _Part(NamedTuple):
    """What :meth:`DescriptorModel.atom_energies` needs of a batch."""

    species: torch.Tensor


class _Pairs:
    """dD/dr of all pairs of a batch."""

    def __init__(self, batch, descriptor, n_threads):
        c = batch.configuration
        self._values = descriptor.jacobian(c, n_threads=n_threads).values  # (n_pairs, 3, width)
        self._centers = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
        self._neighbors = c.atoms_of_particles()[c.neighbors].astype(np.int64)
        self._offsets = c.offsets
        self._order = np.argsort(self._neighbors, kind="stable")
        self._starts = np.searchsorted(self._neighbors[self._order], np.arange(c.n_centers + 1))
        self._r = c.positions[c.neighbors] - c.positions[c.centers[self._centers]]

    def displacements(self, first, end):
        """Return the centers that feel atoms first ... end - 1, and dD/dr of these.

        Returns
        -------
        (n,) int64 tensor, and (3 (end - first), n, width)
        """
        as_neighbor = self._order[self._starts[first] : self._starts[end]]
        as_center = np.arange(self._offsets[first], self._offsets[end])
        targets = np.concatenate([self._neighbors[as_neighbor], self._centers[as_center]]) - first
        pairs = np.concatenate([as_neighbor, as_center])
        # an atom without neighbors has a row too
        felt = np.union1d(self._centers[pairs], np.arange(first, end))
        columns = np.searchsorted(felt, self._centers[pairs])
        signed = self._values[pairs]
        signed[len(as_neighbor) :] *= -1
        n, width = len(felt), signed.shape[2]
        sums = torch.zeros((end - first) * n, 3, width, dtype=torch.float64)
        sums.index_add_(0, torch.from_numpy(targets * n + columns), torch.from_numpy(signed))
        u = sums.reshape(end - first, n, 3, width).transpose(1, 2).reshape(-1, n, width)
        return torch.from_numpy(felt), u.numpy()

    def strains(self, first, end):
        """dD/dstrain of atoms first ... end - 1, in Voigt's order, (6, end - first, width)."""
        pairs = slice(self._offsets[first], self._offsets[end])
        products = np.einsum("px,pyk->xypk", self._r[pairs], self._values[pairs])
        n, width = end - first, products.shape[-1]
        sums = torch.zeros(n, 9, width, dtype=torch.float64)
        rows = torch.from_numpy(self._centers[pairs] - first)
        flat = torch.from_numpy(products.reshape(9, -1, width).transpose(1, 0, 2).copy())
        strain = sums.index_add_(0, rows, flat).numpy().transpose(1, 0, 2).reshape(3, 3, n, width)
        return ((strain + strain.transpose(1, 0, 2, 3)) / 2)[VOIGT].copy()
