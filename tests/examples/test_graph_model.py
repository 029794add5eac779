"""The graph model on the staged graph with ghosts, and the same network on the periodic graph."""

import warnings

import numpy as np
import pytest
import torch
from small_models import shuffled
from structures import rattled_silicon

import torchml_core as tm


@pytest.fixture
def model(example_model):
    return example_model("Graph_Si")


@pytest.fixture
def network(script, model):
    """The network as a Python module, with the weights of the portable model."""
    graph = script("train_graph")
    module = graph.GraphNetwork(graph.CUTOFF, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        module.load_state_dict(torch.jit.load(model.folder / "model.pt").state_dict())
    return module


def on_the_periodic_graph(script, network, atoms):
    """Energies of atoms and forces without any ghost."""
    example = script("silicon_data").Example(atoms, 0.0, np.zeros((len(atoms), 3)), None, "")
    graph = script("train_graph")
    sample = graph.Sample(example)
    energies = graph.atom_energies(network, sample)
    (gradient,) = torch.autograd.grad(energies.sum(), sample.positions)
    return energies.detach().numpy(), -gradient.numpy()


@pytest.mark.parametrize(
    "repeat", [1, (2, 1, 1), 2], ids=["5.4 Å, below twice the cutoff", "mixed", "10.9 Å"]
)
def test_staged_graph_gives_what_the_periodic_graph_gives(repeat, model, network, script):
    atoms = rattled_silicon(repeat, seed=2, amplitude=0.1)
    energies, forces = on_the_periodic_graph(script, network, atoms)
    c = tm.Configuration.from_atoms(atoms, model.cutoff, model.species, n_layers=2)
    mixed, order = shuffled(c)
    for configuration, back in ((c, np.arange(c.n_particles)), (mixed, np.argsort(order))):
        prediction = model.evaluate(configuration)
        folded = np.zeros_like(forces)
        np.add.at(folded, c.parents, prediction.forces[back])
        found = prediction.particle_energies[back][: len(atoms)]
        assert np.abs(found - energies).max() < 1e-11
        assert np.abs(folded - forces).max() < 1e-11


def test_a_cell_smaller_than_the_cutoff(model, network, script):
    atoms = rattled_silicon(1)[:2]
    atoms.set_cell(3.1 * np.eye(3) + 0.2, scale_atoms=True)
    energies, forces = on_the_periodic_graph(script, network, atoms)
    prediction = model.evaluate(atoms).fold()
    assert np.abs(prediction.particle_energies - energies).max() < 1e-10
    assert np.abs(prediction.forces - forces).max() < 1e-10


def test_energies_know_the_angles(model):
    """Three atoms at the same distances from the first, at two angles: not a sum over pairs."""

    def energy_of_the_first(angle):
        far = 2.4 * np.array([np.cos(angle), np.sin(angle), 0])
        positions = [[0, 0, 0], [2.4, 0, 0], far]
        c = tm.Configuration.from_atoms(
            positions=np.array(positions), symbols=["Si"] * 3, cutoff=model.cutoff, n_layers=2
        )
        return model.evaluate(c).particle_energies[0]

    assert abs(energy_of_the_first(np.pi) - energy_of_the_first(1.91)) > 1e-3


def test_harmonics_are_normalised_and_turn_with_the_vectors(script):
    rng = np.random.default_rng(0)
    unit = rng.standard_normal((20, 3))
    unit = torch.tensor(unit / np.linalg.norm(unit, axis=1, keepdims=True))
    rotation = torch.tensor(np.linalg.qr(rng.standard_normal((3, 3)))[0])
    values, turned = (script("train_graph").harmonics(u) for u in (unit, unit @ rotation.T))
    cosines = unit @ unit.T
    for first, last, legendre in ((0, 1, cosines**0), (1, 4, cosines), (4, 9, None)):
        expected = (3 * cosines**2 - 1) / 2 if legendre is None else legendre
        for y in (values[:, first:last], turned[:, first:last]):
            assert (y @ y.T - expected).abs().max() < 1e-14
