"""Molecular dynamics with a SOAP-based model: energy is conserved, neighbors coming and going.

The model is linear in SOAP, fitted here to forces of the Stillinger-Weber example: silicon that
stays a crystal at 300 K. The cutoff lies on the third shell of neighbors, so that hundreds of pairs
cross it, and where smoothing begins.
"""

import numpy as np
import pytest
import torch
from ase import units
from ase.md.verlet import VelocityVerlet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator

CUTOFF = 4.5  # the third shell of silicon is at 4.50 Å
LARGEST_DRIFT = 1e-6  # eV/atom/ps


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Linear(torch.nn.Module):
    """Energy of an atom, linear in its row of values."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.from_numpy(weights))

    def forward(self, descriptor):
        return (descriptor @ self.weights)[:, None]


def fitted_weights(descriptor, teacher):
    """Least squares of forces on atoms, for structures more distorted than 300 K makes them."""
    features, forces = [], []
    for seed in range(8):
        atoms = rattled_silicon(2, seed=seed, amplitude=0.03 * (1 + seed % 4))
        strain = np.random.default_rng(seed).uniform(-0.02, 0.02, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        c = tm.Configuration.from_atoms(atoms, descriptor.cutoff, ["Si"])
        for k in range(descriptor.width):
            one = np.zeros((c.n_centers, descriptor.width))
            one[:, k] = 1
            features.append(-c.fold(descriptor.vjp(c, one)).ravel())
        forces.append(teacher.evaluate(atoms).fold().forces.ravel())
    n = descriptor.width
    matrix = np.vstack([np.array(features[k : k + n]).T for k in range(0, len(features), n)])
    size = np.linalg.norm(matrix, axis=0)
    target = np.concatenate(forces)
    weights = np.linalg.lstsq(matrix / size, target, rcond=1e-8)[0] / size
    error = np.sqrt(np.mean((matrix @ weights - target) ** 2))
    assert error < 0.1 * np.sqrt(np.mean(target**2))  # it is silicon, more or less
    return weights


def make_model(folder, examples, **settings):
    descriptor = tm.SOAP(["Si"], CUTOFF, 4, 4, **settings)
    teacher = tm.PortableModel.load(examples / "models" / "StillingerWeber_Si")
    network = Linear(fitted_weights(descriptor, teacher))
    return tm.PortableModel.create(folder, model=network, species=["Si"], descriptor=descriptor)


def run(model, repeat, n_steps, temperature=300, equilibration=500):
    """(drift in eV/atom/ps, mean temperature in K, pairs that crossed the cutoff between samples).

    Every 10th step of 1 fs counts. The drift is the slope of a straight line through the total
    energies.
    """
    atoms = rattled_silicon(repeat, amplitude=0.0)
    # half of the kinetic energy goes into the springs of the crystal
    width = np.sqrt(2 * temperature * units.kB * atoms.get_masses())[:, None]
    momenta = np.random.default_rng(0).standard_normal((len(atoms), 3)) * width
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    atoms.calc = TorchMLCalculator(model, skin=0.5)
    dynamics = VelocityVerlet(atoms, timestep=1.0 * units.fs)
    dynamics.run(equilibration)
    energies, temperatures, crossings, before = [], [], 0, None

    def sample():
        nonlocal crossings, before
        energies.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())
        i, j = tm.neighbor_list("ij", atoms, CUTOFF, n_threads=1)
        pairs = set((i.astype(np.int64) * len(atoms) + j).tolist())
        crossings += 0 if before is None else len(pairs ^ before) // 2
        before = pairs

    dynamics.attach(sample, interval=10)
    dynamics.run(n_steps)
    times = np.arange(len(energies)) * 0.01  # ps
    return np.polyfit(times, energies, 1)[0], np.mean(temperatures), crossings


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"radial_basis": "polynomial", "smoothing_width": 1.0}],
    ids=["gto", "polynomial"],
)
def test_energy_is_conserved(tmp_path, examples, settings):
    """64 atoms, 4 ps. ``python tests/test_soap_dynamics.py`` does 200 atoms, 20 ps."""
    model = make_model(tmp_path / "model", examples, **settings)
    drift, temperature, crossings = run(model, 2, 4000)
    assert 200 < temperature < 400
    assert crossings > 1000
    assert abs(drift) < LARGEST_DRIFT


@pytest.mark.slow
def test_without_smoothing_it_is_not(tmp_path, examples):
    """The test above can fail: jumps at the cutoff, as libdescriptor has them, heat the crystal."""
    model = make_model(tmp_path / "model", examples, smoothing=None)
    drift, _, crossings = run(model, 2, 1000)
    assert crossings > 100
    assert abs(drift) > 100 * LARGEST_DRIFT


def main():
    """The long run: 200 atoms, 20 000 steps."""
    import tempfile
    import time
    from pathlib import Path

    examples = Path(__file__).resolve().parents[1] / "examples"
    torch.set_num_threads(1)
    for settings in (
        {},
        {"radial_basis": "polynomial"},
        {"smoothing_width": 1.0},
        {"smoothing": None},
    ):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            model = make_model(Path(folder) / "model", examples, **settings)
            drift, temperature, crossings = run(model, (5, 5, 1), 20000)
            print(
                f"{settings}: drift {drift:.2e} eV/atom/ps at {temperature:.0f} K,"
                f" {crossings} crossings, {time.perf_counter() - begin:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
