"""Train the portable model SymmetryFunctions_Si: symmetry functions and a small network.

Run it as ``python train_symmetry_functions.py si.extxyz.gz [--output FOLDER]``; it takes about
five minutes on one core. Energies and forces are fitted together. The results are in
``README.md``, and all errors in ``errors.json`` in the model's folder.
"""

import argparse
import time
from pathlib import Path

import silicon_data
import torch
from training import fit, mean_energy, write_model

import torchml_core as tm

CUTOFF = 5.0  # Å: three shells of neighbors in the crystal
RADIAL = [[0.01, 0.0], [0.1, 0.0], [0.3, 0.0]] + [[4.0, 2.0 + 0.4 * k] for k in range(7)]
# without zeta 1, lambda -1: it is a linear combination of the others with zeta 1 and 2
ANGLES = [(1, 1), (2, -1), (2, 1), (4, -1), (4, 1), (12, -1), (12, 1)]
ANGULAR = [[zeta, lam, eta] for eta in (0.003, 0.03, 0.09) for zeta, lam in ANGLES]
HIDDEN = 32
SMALL_VARIANCE = 1e-4


class Network(torch.nn.Module):
    """``forward(descriptor)``: the energy of each atom from its row of values.

    Symmetry functions are strongly correlated, which makes training slow. So the network takes
    their components along principal axes, each with mean 0 and standard deviation 1 (less for
    components that hardly vary, which would be noise). This is done here, not by means and
    deviations in the ``.dat`` file, because the original driver ignores those.
    """

    def __init__(self, values, energy):
        super().__init__()
        mean, std = values.mean(0), values.std(0)
        variances, axes = torch.linalg.eigh(torch.corrcoef(values.T))
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes / std[:, None] / torch.sqrt(variances + SMALL_VARIANCE))
        self.register_buffer("energy", torch.tensor(energy, dtype=torch.float64))
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(len(mean), HIDDEN, dtype=torch.float64),
            torch.nn.Tanh(),
            torch.nn.Linear(HIDDEN, HIDDEN, dtype=torch.float64),
            torch.nn.Tanh(),
            torch.nn.Linear(HIDDEN, 1, dtype=torch.float64),
        )

    def forward(self, descriptor):
        return self.energy + self.layers((descriptor - self.mean) @ self.axes)[:, 0]


class Sample:
    """An example with the data that do not change during training: its particles and lists."""

    def __init__(self, example, descriptor):
        atoms = example.atoms
        self.example, self.descriptor = example, descriptor
        self.configuration = tm.Configuration.from_atoms(
            atoms, descriptor.cutoff, descriptor.species, n_threads=1
        )
        self.positions = torch.tensor(atoms.positions, requires_grad=True)
        self.cell = torch.tensor(atoms.cell.array)

    def features(self):
        """The descriptor as a differentiable function of the atoms' positions."""
        particles = self.configuration.particle_positions(self.positions, self.cell)
        return tm.autograd.compute(self.descriptor, self.configuration, particles, n_threads=1)


def atom_energies(network, sample):
    """The energy of every atom of a sample."""
    return network(sample.features())


def make_network(samples, seed=0):
    """Return a network with random weights, and with mean and axes of the samples' values."""
    torch.manual_seed(seed)
    with torch.no_grad():
        values = torch.cat([sample.features() for sample in samples])
    return Network(values, mean_energy([sample.example for sample in samples]))


def train(sets, *, epochs=40, seed=0, report=print):
    """Fit descriptor and network to ``sets["train"]``; return both and the losses by epoch."""
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", RADIAL), ("g4", ANGULAR)])
    samples = {
        name: [Sample(example, descriptor) for example in sets[name]]
        for name in ("train", "validation")
    }
    network = make_network(samples["train"], seed)
    losses = fit(network, atom_energies, samples, epochs=epochs, seed=seed, report=report)
    return descriptor, network, losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="silicon examples, extended XYZ")
    parser.add_argument("--output", default=Path(__file__).parent / "SymmetryFunctions_Si")
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    start = time.perf_counter()
    sets = silicon_data.split(silicon_data.read(arguments.data))
    descriptor, network, _ = train(sets, epochs=arguments.epochs)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    write_model(arguments.output, sets, model=network, species=["Si"], descriptor=descriptor)


if __name__ == "__main__":
    main()
