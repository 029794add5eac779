"""Lone atoms of models that fail on them: the atoms beside a far pair, less the pair."""

import numpy as np
import pytest
import torch
from ase import Atoms
from small_models import CUTOFF, GraphNet, PairNet, shuffled

import torchml_core as tm
from torchml_core.kim.model import KimModel, Results
from torchml_core.portable.conventions import Inputs
from torchml_core.portable.evaluation import Outcome
from torchml_core.portable.remote_pair import run_beside_pair

SPECIES = ["Si", "C"]
RAW = {"species": SPECIES, "cutoff": CUTOFF, "convention": "raw"}
GRAPH = {"species": SPECIES, "cutoff": CUTOFF, "convention": "graph", "n_layers": 3}
create = tm.PortableModel.create


class SelfDifferentiating(torch.nn.Module):
    """Pairs within an own cutoff, found one by one, and an energy of each atom by itself.

    Where there is none of them, nothing depends on the positions and torch.autograd.grad fails.
    """

    def __init__(self, own_cutoff=CUTOFF, offset=0.0, per_atom=True, mean=False):
        super().__init__()
        self.own_cutoff, self.offset, self.per_atom, self.mean = own_cutoff, offset, per_atom, mean
        self.atom = torch.nn.Parameter(torch.tensor([-3.25, -7.5], dtype=torch.float64))

    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = torch.nonzero(contributing)[:, 0]
        start = 0
        energies: list[torch.Tensor] = []
        for k in range(len(own)):
            i = int(own[k])
            energy = self.atom[species[i]]
            for j in nlist[start : start + int(n_neigh[k])]:
                r = torch.norm(coords[int(j)] - coords[i])
                if bool(r < self.own_cutoff):
                    energy = energy + (1 - r / self.own_cutoff) ** 3
            start += int(n_neigh[k])
            energies.append(energy)
        energy = torch.stack(energies)
        total = energy.sum() + self.offset
        if self.mean:
            total = total / len(own)
        forces = torch.autograd.grad([-total], [coords.requires_grad_()])[0]
        assert forces is not None
        if self.per_atom:
            return energy, forces
        return total, forces


def lone_atoms():
    """Silicon and carbon out of each other's reach."""
    return Atoms("SiC2", [[0, 0, 0], [0, 0, 9], [8, 0, 0]])


@pytest.mark.parametrize("per_atom", [True, False])
def test_lone_atoms(per_atom, tmp_path):
    model = create(
        tmp_path, model=SelfDifferentiating(per_atom=per_atom), returns_forces=True, **RAW
    )
    assert model.evaluate(Atoms("C")).energy == pytest.approx(-7.5, rel=1e-14)
    atoms = lone_atoms()
    p = model.evaluate(atoms)
    assert p.energy == pytest.approx(-18.25, rel=1e-14)
    np.testing.assert_array_equal(p.forces, np.zeros((3, 3)))
    np.testing.assert_array_equal(p.virial, np.zeros((3, 3)))
    if per_atom:
        np.testing.assert_array_equal(p.particle_energies, [-3.25, -7.5, -7.5])
    else:
        with pytest.raises(tm.UnsupportedError, match=r"shape \(\)"):
            _ = p.particle_energies
    assert model.evaluate(atoms, forces=False, virial=False).energy == p.energy


def test_pairs_beyond_a_cutoff_of_the_model_s_own(tmp_path):
    """The lists are not empty, yet nothing depends on a position."""
    model = create(tmp_path, model=SelfDifferentiating(own_cutoff=1.4), returns_forces=True, **RAW)
    for distance in (1.6, 1.4, 1.3):
        p = model.evaluate(Atoms("SiC", [[0, 0, 0], [0, 0, distance]])).fold()
        bond = 2 * max(1 - distance / 1.4, 0) ** 3
        assert p.energy == pytest.approx(-10.75 + bond, rel=1e-14)
        slope = -6 / 1.4 * max(1 - distance / 1.4, 0) ** 2
        np.testing.assert_allclose(p.forces[:, 2], [slope, -slope], atol=1e-14)


def test_among_ghosts_in_any_order(tmp_path):
    """A rank's lone atom, with ghosts that see each other but not it."""
    model = create(tmp_path, model=SelfDifferentiating(), returns_forces=True, **RAW)
    positions = [[0, 0, 0], [0, 0, 9], [0, 0, 10], [9, 0, 0]]
    c = tm.Configuration(
        positions,
        [0, 1, 1, 1],
        [False, True, False, True],
        [3, 1],
        [0, 0, 0],
        [],
        species_names=SPECIES,
    )
    p = model.evaluate(c)
    np.testing.assert_array_equal(p.particle_energies, [0, -7.5, 0, -7.5])
    assert p.energy == -15.0
    assert not p.forces.any()


def test_a_rank_of_the_kim_driver(tmp_path):
    model = SelfDifferentiating()
    create(tmp_path, model=model, returns_forces=True, **RAW)
    c = tm.Configuration(
        [[0, 0, 0], [0, 0, 9]], [0, 1], [True, False], [0], [0, 0], [], species_names=SPECIES
    )
    n = np.nan
    results = Results(np.full((1, 1), n), np.full((2, 1), n), np.full((2, 3), n), None, None)
    KimModel(tmp_path).compute(c, results)
    assert results.energy[0, 0] == -3.25
    np.testing.assert_array_equal(results.particle_energies[:, 0], [-3.25, 0])
    assert not results.forces.any()


class OnlyUnlike(SelfDifferentiating):
    """Atoms of one species do not see each other."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = torch.nonzero(contributing)[:, 0]
        i = torch.repeat_interleave(own, n_neigh)
        j = nlist.to(torch.int64)
        unlike = species[i] != species[j]
        energy = self.atom[species[own]].sum().detach()
        if bool(unlike.any()):
            r = torch.norm(coords[j[unlike]] - coords[i[unlike]], dim=1)
            energy = energy + ((1 - r / self.own_cutoff) ** 3).sum()
        forces = torch.autograd.grad([-energy], [coords])[0]
        assert forces is not None
        return energy, forces


def test_a_model_in_which_like_atoms_do_not_interact(tmp_path):
    model = create(tmp_path, model=OnlyUnlike(per_atom=False), returns_forces=True, **RAW)
    assert model.evaluate(lone_atoms()).energy == pytest.approx(-18.25, rel=1e-14)
    c = tm.Configuration.from_atoms(lone_atoms(), CUTOFF, ["C", "Si", "H"])
    assert model.evaluate(c).energy == pytest.approx(-18.25, rel=1e-14)


class Fails(PairNet):
    """A graph network that cannot do without edges."""

    def forward(self, species, coords, graph_1, contributing):
        r = torch.norm(coords[graph_1[1]] - coords[graph_1[0]], dim=1)
        far = r.max()  # fails where there is none
        energy = self.scale[species].index_add(0, graph_1[0], (1 - r / self.cutoff) ** 3 + 0 * far)
        return torch.zeros(2, dtype=coords.dtype).index_add(0, contributing, energy)[:1]


def test_a_graph_model_that_cannot_do_without_edges(tmp_path):
    model = create(tmp_path, model=Fails(), **{**GRAPH, "n_layers": 1})
    p = model.evaluate(lone_atoms())
    assert p.energy == pytest.approx(1 + 2 * 0.6, rel=1e-14)
    assert not p.forces.any()
    # KIM's lists of ghosts, which a staged graph is made of
    c = tm.Configuration.from_atoms(lone_atoms(), CUTOFF, SPECIES)
    c.all_rows = (c.centers, c.offsets, c.neighbors)
    assert model.evaluate(c).energy == p.energy


def test_a_model_that_needs_no_pair_gives_the_same(tmp_path):
    """Graph networks that work on lone atoms, evaluated either way."""
    model = create(tmp_path, model=GraphNet(), **GRAPH)
    c, _ = shuffled(tm.Configuration.from_atoms(lone_atoms(), CUTOFF, SPECIES, n_layers=3))
    expected = model.evaluate(c)
    run, calls = model._run_in_a_dtype, []

    def fails_at_first(c, gradient, values=None):
        calls.append(c.n_particles)
        if len(calls) == 1:
            raise tm.ModelError("for a test")
        return run(c, gradient, values)

    model._run_in_a_dtype = fails_at_first
    p = model.evaluate(c)
    assert calls[-1] == c.n_particles + 2
    assert p.energy == pytest.approx(expected.energy, rel=1e-13)
    np.testing.assert_array_equal(p.forces, expected.forces)


@pytest.mark.parametrize("fault", [{"offset": 1.0}, {"mean": True}])
def test_energies_that_are_no_sum_over_atoms(fault, tmp_path):
    """Nothing can be told by the difference then, so the error stays what it was."""
    model = SelfDifferentiating(per_atom=False, **fault)
    model = create(tmp_path, model=model, returns_forces=True, **RAW)
    with pytest.raises(tm.ModelError, match="forward failed on 1 particles, .* grad"):
        model.evaluate(Atoms("Si"))


def test_float32(tmp_path):
    model = SelfDifferentiating().to(torch.float32)
    model = create(tmp_path, model=model, returns_forces=True, dtype="float32", **RAW)
    assert model.evaluate(lone_atoms()).energy == pytest.approx(-18.25, rel=1e-6)


def outcome(c, energies, gradient=None):
    """An Outcome of a model of positions, whose forces are 0 where none are given."""
    gradient = np.zeros((c.n_particles, 3)) if gradient is None else gradient
    positions = torch.from_numpy(c.positions)
    return Outcome(
        Inputs((), positions, c.centers, True, np.arange(c.n_particles)), energies, gradient
    )


def lone_silicon():
    return tm.Configuration.from_atoms(Atoms("Si"), CUTOFF, SPECIES)


@pytest.mark.parametrize(("pull", "message"), [(0.0, None), (1e-3, "sum over atoms")])
def test_a_pair_that_feels_the_atoms_is_noticed(pull, message):
    """Energies add up, but beside an atom the pair has other forces than alone."""

    def run(c):
        gradient = np.zeros((c.n_particles, 3))
        if c.n_particles % 2:
            gradient[-1] = pull
        return outcome(c, np.ones(c.n_centers), gradient)

    if message is None:
        energies, gradient = run_beside_pair(run, lone_silicon(), CUTOFF, CUTOFF)
        assert energies.tolist() == [1.0]
        assert gradient.tolist() == [[0.0, 0.0, 0.0]]
    else:
        with pytest.raises(tm.ModelError, match=message):
            run_beside_pair(run, lone_silicon(), CUTOFF, CUTOFF)


def test_a_small_interaction_of_far_pairs_is_noticed():
    def run(c):
        return outcome(c, np.full(c.n_centers, 1.0 + 1e-8 * (c.n_centers == 4)))

    with pytest.raises(tm.ModelError, match="sum over atoms"):
        run_beside_pair(run, lone_silicon(), CUTOFF, CUTOFF)


def test_energies_in_a_shape_of_their_own():
    """Two parts for each atom: only their sum can be told."""
    energies, _ = run_beside_pair(
        lambda c: outcome(c, np.full(2 * c.n_centers, 0.75)), lone_silicon(), CUTOFF, CUTOFF
    )
    assert energies == 1.5
