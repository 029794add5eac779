"""Make the portable model StillingerWeber_Si: Stillinger-Weber silicon without a loop over atoms.

F. H. Stillinger, T. A. Weber, Phys. Rev. B 31, 5262 (1985), with the parameters that OpenKIM's
StillingerWeber models for silicon use (epsilon = 2.1682 eV, sigma = 2.0951 Å)::

    E = 1/2 Σ_i Σ_j A (B (σ/r_ij)^p - (σ/r_ij)^q) exp(σ / (r_ij - rc))
        + Σ_i Σ_{j<k} λ exp(γ / (r_ij - rc)) exp(γ / (r_ik - rc)) (cosθ_jik - cosθ_0)²

over neighbors with r < rc. Run it as ``python make_stillinger_weber.py [FOLDER]``.
"""

import sys
from pathlib import Path

import torch

import torchml_core as tm

CUTOFF = 3.77118  # Å, 1.8 sigma
PARAMETERS = {
    "A": 15.2848479197914,  # eV
    "B": 0.6022245584,
    "p": 4.0,
    "q": 0.0,
    "sigma": 2.0951,  # Å
    "lam": 45.5322,  # eV
    "gamma": 2.51412,  # Å
    "cos_theta0": -0.333333333333333,
}


class StillingerWeber(torch.nn.Module):
    """``forward`` in the raw convention; returns the energy of each contributing particle."""

    def __init__(self, parameters: dict[str, float], cutoff: float):
        super().__init__()
        for name, value in parameters.items():
            setattr(self, name, torch.nn.Parameter(torch.tensor(value, dtype=torch.float64)))
        self.cutoff = cutoff

    def forward(self, species, coords, n_neigh, nlist, contributing):
        n_centers = n_neigh.shape[0]
        row = torch.repeat_interleave(n_neigh)  # of each neighbor: the row it is in
        center = torch.nonzero(contributing == 1)[:, 0][row]
        # index_select, not coords[...]: its backward adds in a fixed order, also with threads
        r_ij = coords.index_select(0, nlist) - coords.index_select(0, center)
        near = torch.nonzero((r_ij**2).sum(1) < self.cutoff**2)[:, 0]  # lists may reach further
        row, r_ij = row[near], r_ij.index_select(0, near)
        r = torch.linalg.norm(r_ij, dim=1)

        energy = torch.zeros(n_centers, dtype=coords.dtype, device=coords.device)
        energy = energy.index_add(0, row, 0.5 * self.pair_energy(r))
        first, second = self.triplets(row, n_centers)
        unit = r_ij / r[:, None]
        decay = torch.exp(self.gamma / (r - self.cutoff))
        cos = (unit.index_select(0, first) * unit.index_select(0, second)).sum(1)
        decay = decay.index_select(0, first) * decay.index_select(0, second)
        angular = self.lam * decay * (cos - self.cos_theta0) ** 2
        return energy.index_add(0, row[first], angular)

    def pair_energy(self, r):
        s = self.sigma / r
        return self.A * (self.B * s**self.p - s**self.q) * torch.exp(self.sigma / (r - self.cutoff))

    def triplets(self, row, n_centers: int):
        """Return all pairs of neighbors in the same row as two index arrays, first < second.

        Each neighbor is paired with those that follow it in its row.
        """
        ends = torch.bincount(row, minlength=n_centers).cumsum(0)
        place = torch.arange(row.shape[0], device=row.device)
        n_partners = ends[row] - place - 1
        first = torch.repeat_interleave(n_partners)
        begins = n_partners.cumsum(0) - n_partners
        triplet = torch.arange(first.shape[0], device=row.device)
        return first, first + 1 + triplet - begins[first]


def make(folder):
    """Write the model's files into a folder and return the PortableModel."""
    for name in ("model.param", "model.pt", "model.json"):
        (Path(folder) / name).unlink(missing_ok=True)
    model = StillingerWeber(PARAMETERS, CUTOFF)
    return tm.PortableModel.create(
        folder, model=model, species=["Si"], cutoff=CUTOFF, convention="raw"
    )


if __name__ == "__main__":
    here = Path(__file__).parent / "StillingerWeber_Si"
    print(make(sys.argv[1] if len(sys.argv) > 1 else here))
