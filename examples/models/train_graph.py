"""Train the portable model Graph_Si: a small message-passing network for silicon.

Run it as ``python train_graph.py si.extxyz.gz [--output FOLDER]``; it takes a few minutes on one
core. The results are in ``README.md``, and all errors in ``errors.json`` in the model's folder.
"""

import argparse
import math
import time
from pathlib import Path

import silicon_data
import torch
from training import fit, mean_energy, write_model

import torchml_core as tm

CUTOFF = 4.0  # Å, of one convolution: two shells of neighbors in the crystal
N_LAYERS = 2
N_FEATURES = 8
N_RADIAL = 8
N_HIDDEN = 24


class Convolution(torch.nn.Module):
    """Every particle gathers its neighbors' features, weighted by distance and direction.

    With weights w(r) from a radial basis and the spherical harmonics Y_lm of the direction, the
    moments of a particle are M_lm = Σ_j Y_lm(r_ij) w(r_ij) h_j. The next step uses Σ_m M_lm²,
    which is invariant under rotation and depends on the angles between neighbors.
    """

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff
        # without a constant term: a weight must vanish at the cutoff
        self.weights = _linear(N_RADIAL, N_FEATURES, bias=False)
        torch.nn.init.normal_(self.weights.weight)
        self.mix = torch.nn.Sequential(
            _linear(3 * N_FEATURES, N_HIDDEN), torch.nn.SiLU(), _linear(N_HIDDEN, N_FEATURES)
        )
        waves = torch.arange(1, N_RADIAL + 1, dtype=torch.float64) * (math.pi / cutoff)
        self.register_buffer("waves", waves)

    def forward(self, features, edges, vectors):
        r = torch.linalg.norm(vectors, dim=1, keepdim=True)
        # cubed: force and its derivative are continuous where a neighbor leaves
        envelope = torch.clamp(1.0 - (r / self.cutoff) ** 2, min=0.0) ** 3
        weights = self.weights(torch.sin(self.waves * r) / r * envelope)
        messages = weights * features.index_select(0, edges[1])
        terms = harmonics(vectors / r)[:, :, None] * messages[:, None, :]
        moments = torch.zeros(
            [features.shape[0], 9, features.shape[1]], dtype=r.dtype, device=r.device
        ).index_add(0, edges[0], terms)
        invariants = [
            moments[:, 0],
            (moments[:, 1:4] ** 2).sum(1),
            (moments[:, 4:9] ** 2).sum(1),
        ]
        return features + self.mix(torch.cat(invariants, dim=1))


def harmonics(unit):
    """(n, 9): real spherical harmonics of l = 0, 1, 2; the squares of each l add up to 1."""
    x, y, z = unit[:, 0], unit[:, 1], unit[:, 2]
    root3 = 1.7320508075688772
    l2 = [x * y, y * z, x * z, 0.5 * (x * x - y * y), (z * z - 1.0 / 3.0) * (0.5 * root3)]
    return torch.stack([torch.ones_like(x), x, y, z] + [root3 * component for component in l2], 1)


class GraphNetwork(torch.nn.Module):
    """``forward`` in the graph convention for two convolutions.

    The first convolution uses the outermost graph, which is the last argument: it includes the
    neighbors of neighbors, whose features the second convolution needs. The second uses graph_1.
    """

    def __init__(self, cutoff: float, energy: float):
        super().__init__()
        self.start = torch.nn.Parameter(torch.ones(N_FEATURES, dtype=torch.float64))
        self.first, self.second = Convolution(cutoff), Convolution(cutoff)
        self.read = torch.nn.Sequential(
            _linear(N_FEATURES, N_HIDDEN), torch.nn.SiLU(), _linear(N_HIDDEN, 1)
        )
        self.register_buffer("energy", torch.tensor(energy, dtype=torch.float64))

    def forward(self, species, coords, graph_1, graph_2, contributing):
        inner, outer = self.vectors(coords, graph_1), self.vectors(coords, graph_2)
        energies = self.energies(coords.shape[0], graph_2, outer, graph_1, inner)
        return energies.index_select(0, torch.nonzero(contributing == 0)[:, 0])

    def vectors(self, coords, graph):
        return coords.index_select(0, graph[1]) - coords.index_select(0, graph[0])

    def energies(self, n: int, edges_1, vectors_1, edges_2, vectors_2):
        """The energy of each of n particles, from the edges of the first and second convolution."""
        features = self.start.expand(n, -1)  # one species: all particles start alike
        features = self.first(features, edges_1, vectors_1)
        features = self.second(features, edges_2, vectors_2)
        return self.energy + self.read(features)[:, 0]


def _linear(n_in, n_out, bias=True):
    return torch.nn.Linear(n_in, n_out, bias=bias, dtype=torch.float64)


class Sample:
    """An example with the edges of its periodic graph.

    There are no ghosts: an edge leads to the atom itself, with the vector to its image, so both
    convolutions use one small graph. The result is the same as with the staged graph and ghosts.
    """

    def __init__(self, example):
        atoms = example.atoms
        i, j, shifts = tm.neighbor_list("ijS", atoms, CUTOFF, n_threads=1)
        self.example = example
        self.edges = torch.tensor([i.tolist(), j.tolist()])
        self.images = torch.tensor(shifts @ atoms.cell.array)
        self.positions = torch.tensor(atoms.positions, requires_grad=True)

    def vectors(self):
        i, j = self.edges
        return self.positions.index_select(0, j) - self.positions.index_select(0, i) + self.images


def atom_energies(network, sample):
    """The energy of every atom of a sample."""
    edges, vectors = sample.edges, sample.vectors()
    return network.energies(len(sample.positions), edges, vectors, edges, vectors)


def train(sets, *, epochs=30, seed=0, report=print):
    """Fit the network to ``sets["train"]``; return it and the losses by epoch."""
    samples = {name: [Sample(e) for e in sets[name]] for name in ("train", "validation")}
    torch.manual_seed(seed)
    network = GraphNetwork(CUTOFF, mean_energy(sets["train"]))
    losses = fit(network, atom_energies, samples, epochs=epochs, seed=seed, report=report)
    return network, losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="silicon examples, extended XYZ")
    parser.add_argument("--output", default=Path(__file__).parent / "Graph_Si")
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    start = time.perf_counter()
    sets = silicon_data.split(silicon_data.read(arguments.data))
    network, _ = train(sets, epochs=arguments.epochs)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    write_model(
        arguments.output,
        sets,
        model=network,
        species=["Si"],
        cutoff=CUTOFF,
        convention="graph",
        n_layers=N_LAYERS,
    )


if __name__ == "__main__":
    main()
