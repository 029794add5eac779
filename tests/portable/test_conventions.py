"""The three conventions: exact tensors, any order of particles, skins, and the chain rule."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from small_models import CUTOFF, DescriptorNet, ElementNet, GraphNet, PairNet, shuffled
from structures import (
    crystals_with_a_shell_at_the_cutoff,
    have_both_ends,
    images,
    rattled_silicon,
)

import torchml_core as tm
from torchml_core.finite_differences import finite_difference_forces, finite_difference_stress
from torchml_core.portable.conventions import DISABLE_GRAPH, GraphConvention, RawConvention
from torchml_core.portable.parameters import ModelParameters
from torchml_core.portable.species_input import ELEMENTS_MAP

CPU = torch.device("cpu")
SPECIES = ["Si", "C"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    # g5: with g4, which needs the two neighbors close to each other, no triplet is in this cutoff
    functions = [("g2", [[0.3, 0.0], [0.5, 1.5]]), ("g5", [[1, 1, 0.05], [2, -1, 0.01]])]
    cutoffs = {("Si", "Si"): CUTOFF, ("Si", "C"): 3.0, ("C", "C"): 2.8}
    descriptor = tm.SymmetryFunctions(SPECIES, cutoffs, functions)
    create = tm.PortableModel.create
    of = {"species": SPECIES[::-1], "descriptor": descriptor}
    with pytest.warns(tm.ModelWarning, match="centers of different species"):
        one_input = create(folder / "d", model=DescriptorNet(descriptor.width), **of)
    return {
        "raw": create(
            folder / "r", model=PairNet(), species=SPECIES, cutoff=CUTOFF, convention="raw"
        ),
        "descriptor": one_input,
        "descriptor, species": create(folder / "ds", model=ElementNet(2, descriptor.width), **of),
        "graph": create(
            folder / "g",
            model=GraphNet(),
            species=SPECIES,
            cutoff=CUTOFF,
            convention="graph",
            n_layers=3,
        ),
    }


@pytest.fixture(params=["raw", "descriptor", "descriptor, species", "graph"])
def model(request, models):
    return models[request.param]


def silicon_carbide(repeat=1, seed=0):
    atoms = rattled_silicon(repeat, seed=seed)
    atoms.symbols[::3] = "C"
    return atoms


def wrapped_sheet():
    """Periodic in two directions, atoms outside of the cell."""
    atoms = silicon_carbide(seed=3)
    atoms.pbc = [True, False, True]
    atoms.positions += [7.0, 1.0, -9.0]
    return atoms


STRUCTURES = {
    "larger than the cutoff": lambda: silicon_carbide((2, 1, 1)),
    "smaller than the cutoff": lambda: bulk("SiC", "zincblende", 4.3) * (1, 1, 1),
    "sheet": wrapped_sheet,
    "cluster": lambda: molecule("Si2H6")[[0, 1]] + molecule("CH4")[[0]],
}


# --- the exact tensors ---------------------------------------------------------------------------


def hand_made(centers=(2, 4), skin=True):
    """Five particles on a line 1 Å apart, 2 and 4 contributing; the lists have far entries."""
    x = np.zeros((5, 3))
    x[:, 0] = [0.0, 3.0, 1.0, 4.0, 2.0]
    rows = {2: [4, 0], 4: [1, 2]}
    if skin:
        rows = {2: [3, 4, 0], 4: [1, 2]}
    lists = [rows[i] for i in centers]
    return tm.Configuration(
        x,
        [0, 1, 0, 1, 1],
        [False, False, True, False, True],
        list(centers),
        np.cumsum([0, *map(len, lists)]),
        np.concatenate(lists),
        species_names=["C", "Si"],
    )


@pytest.mark.parametrize("skin", [True, False])
@pytest.mark.parametrize("centers", [(2, 4), (4, 2)])
def test_raw_tensors(centers, skin, monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)
    raw = RawConvention(ModelParameters(SPECIES, "raw", 1.0, "m.pt", returns_forces=True))
    inputs = raw.inputs(hand_made(centers, skin), torch.float64, CPU)
    species, coords, n_neigh, nlist, contributing = inputs.tensors
    # contributing particles first, then the others: 2 4 | 0 1 3; species by name
    assert coords.is_leaf
    assert coords is inputs.variable
    assert coords[:, 0].tolist() == [1.0, 2.0, 0.0, 3.0, 4.0]
    assert species.tolist() == [1, 0, 1, 0, 0]
    assert n_neigh.tolist() == [2, 2]
    assert nlist.tolist() == [1, 2, 3, 0]
    assert contributing.tolist() == [1, 1, 0, 0, 0]
    types = [t.dtype for t in inputs.tensors]
    assert types == [torch.int64, torch.float64, torch.int32, torch.int32, torch.int64]
    assert all(t.is_contiguous() for t in inputs.tensors)
    monkeypatch.setenv(ELEMENTS_MAP, "")
    numbers = raw.inputs(hand_made(centers, skin), torch.float32, CPU).tensors
    assert numbers[0].tolist() == [6, 14, 6, 14, 14]
    assert numbers[1].dtype == torch.float32


def test_graph_tensors(monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)
    graph = GraphConvention(ModelParameters(SPECIES, "graph", 1.0, "m.pt", n_layers=2))
    inputs = graph.inputs(hand_made(), torch.float64, CPU)
    species, coords, graph_1, graph_2, contributing = inputs.tensors
    assert species.tolist() == [1, 0, 1, 0, 0]
    assert coords[:, 0].tolist() == [0.0, 3.0, 1.0, 4.0, 2.0]
    chain_1 = {(0, 2), (2, 4), (4, 1)}
    chain_2 = {*chain_1, (1, 3)}
    for edges, chain in ((graph_1, chain_1), (graph_2, chain_2)):
        assert set(map(tuple, edges.T.tolist())) == chain | {pair[::-1] for pair in chain}
        assert edges.shape[1] == 2 * len(chain)
    assert contributing.tolist() == [1, 1, 0, 1, 0]
    types = [t.dtype for t in inputs.tensors]
    assert types == [torch.int64, torch.float64, torch.int64, torch.int64, torch.int64]
    monkeypatch.setenv(ELEMENTS_MAP, "anything")
    assert graph.inputs(hand_made(), torch.float64, CPU).tensors[0].tolist() == [6, 14, 6, 14, 14]


def test_without_ghosts_a_graph_gets_a_far_one():
    graph = GraphConvention(ModelParameters(SPECIES, "graph", CUTOFF, "m.pt", n_layers=2))
    c = tm.Configuration.from_atoms(STRUCTURES["cluster"](), CUTOFF, SPECIES)
    species, coords, graph_1, graph_2, contributing = graph.inputs(c, torch.float64, CPU).tensors
    assert contributing.tolist() == [0, 0, 0, 1]
    assert species.tolist() == [0, 0, 1, 0]
    assert coords[3].tolist() == [999.0] * 3
    assert max(graph_1.max(), graph_2.max()) < 3


def test_the_configuration_is_left_alone(model):
    c, _ = shuffled(tm.Configuration.from_atoms(silicon_carbide(), CUTOFF, SPECIES, n_layers=3))
    arrays = ("positions", "species", "contributing", "centers", "offsets", "neighbors", "parents")
    before = {name: getattr(c, name).copy() for name in arrays}
    model.evaluate(c)
    for name, array in before.items():
        assert np.array_equal(getattr(c, name), array)


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
def test_forces_are_the_derivative_of_the_energy(name, model):
    atoms = STRUCTURES[name]()
    prediction = model.evaluate(atoms)
    forces = prediction.fold().forces
    some = range(min(3, len(atoms)))
    expected = finite_difference_forces(model, atoms, indices=some)
    scale = np.abs(prediction.forces).max()
    assert scale > 1e-3
    np.testing.assert_allclose(forces[some], expected, rtol=0, atol=1e-7 * scale)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-12 * scale)
    if atoms.pbc.all():
        expected = finite_difference_stress(model, atoms)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(prediction.stress, expected, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("name", ["larger than the cutoff", "sheet"])
def test_virial_is_the_sum_of_r_f(name, model):
    p = model.evaluate(STRUCTURES[name]())
    c = tm.Configuration.from_atoms(
        STRUCTURES[name](), CUTOFF, SPECIES, n_layers=model.parameters.n_layers
    )
    expected = np.einsum("ia,ib->ab", c.positions, p.forces)
    np.testing.assert_allclose(p.virial, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_doubled_cell(model):
    atoms = silicon_carbide()
    one, two = model.evaluate(atoms).fold(), model.evaluate(atoms * (1, 2, 1)).fold()
    assert two.energy == pytest.approx(2 * one.energy, rel=1e-12)
    np.testing.assert_allclose(two.forces, np.vstack([one.forces] * 2), rtol=0, atol=1e-12)
    np.testing.assert_allclose(two.virial, 2 * one.virial, rtol=0, atol=1e-11)
    np.testing.assert_allclose(two.stress, one.stress, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", STRUCTURES)
def test_order_of_particles_and_rows_does_not_matter(name, seed, model):
    c = tm.Configuration.from_atoms(
        STRUCTURES[name](), CUTOFF, SPECIES, n_layers=model.parameters.n_layers
    )
    mixed, order = shuffled(c, seed)
    one, other = model.evaluate(c), model.evaluate(mixed)
    close = {"rtol": 0, "atol": 1e-12}
    assert other.energy == pytest.approx(one.energy, rel=1e-12)
    np.testing.assert_allclose(other.forces, one.forces[order], **close)
    np.testing.assert_allclose(other.virial, one.virial, **close)
    if model.convention != "graph":
        np.testing.assert_allclose(other.particle_energies, one.particle_energies[order], **close)
    if model.convention == "descriptor":
        np.testing.assert_allclose(other.particle_virials, one.particle_virials[order], **close)
    atoms_order = order[mixed.contributing]  # atom k of the one folded is this one of the other
    np.testing.assert_allclose(other.fold().forces, one.fold().forces[atoms_order], **close)


def test_a_skin_does_not_matter(model):
    atoms, n_layers = silicon_carbide(), model.parameters.n_layers
    exact = model.evaluate(atoms).fold()
    for skin in (0.7, 2.5):
        c = tm.Configuration.from_atoms(atoms, CUTOFF + skin, SPECIES, n_layers=n_layers)
        p = model.evaluate(c).fold()
        assert p.energy == pytest.approx(exact.energy, rel=1e-12)
        np.testing.assert_allclose(p.forces, exact.forces, rtol=0, atol=1e-12)
        np.testing.assert_allclose(p.virial, exact.virial, rtol=0, atol=1e-11)


def test_lists_that_are_too_short_are_refused(model):
    c = tm.Configuration.from_atoms(silicon_carbide(), CUTOFF - 0.1, SPECIES, n_layers=3)
    with pytest.raises(tm.InputError, match=r"cutoff 3\.1"):
        model.evaluate(c)


@pytest.mark.parametrize("pbc", [False, True])
def test_particles_at_the_same_place_are_named(pbc, model):
    atoms = Atoms("Si2C", [[0, 0, 0], [1, 2, 3], [1, 2, 3]], cell=[8, 9, 10], pbc=pbc)
    message = r"positions: particles 1 and 2 are both at \(1, 2, 3\); different positions"
    with pytest.raises(tm.InputError, match=message):
        model.evaluate(atoms)
    if pbc:
        atoms.positions[2] += [8, 0, 0]
        message = (
            r"positions: particles 1 and \d+ \(an image of particle 2\) are both at \(1, 2, 3\)"
        )
        with pytest.raises(tm.InputError, match=message):
            model.evaluate(atoms)


def test_species_are_matched_by_name(model):
    atoms, n_layers = silicon_carbide(), model.parameters.n_layers
    other = tm.Configuration.from_atoms(atoms, CUTOFF, ["H", "C", "Si"], n_layers=n_layers)
    assert model.evaluate(other).energy == model.evaluate(atoms).energy
    atoms.symbols[2] = "Ge"
    with pytest.raises(tm.InputError, match="Ge"):
        model.evaluate(atoms)
    with pytest.raises(tm.InputError, match="Ge"):
        model.evaluate(tm.Configuration.from_atoms(atoms, CUTOFF, n_layers=n_layers))


def test_lone_atom_and_atoms_without_neighbors(model):
    one = molecule("CH4")[[0]]
    p = model.evaluate(one)
    np.testing.assert_array_equal(p.forces, np.zeros((1, 3)))
    np.testing.assert_array_equal(p.virial, np.zeros((3, 3)))
    assert p.forces.dtype == p.virial.dtype == np.float64
    far = one + one
    far.positions[1] += 50.0
    assert model.evaluate(far).energy == pytest.approx(2 * p.energy, abs=1e-14)
    np.testing.assert_array_equal(model.evaluate(far).forces, np.zeros((2, 3)))
    far.set_cell([200, 200, 200])
    far.pbc = True
    np.testing.assert_array_equal(model.evaluate(far).stress, np.zeros(6))


def test_no_contributing_particle_gives_zeros_without_a_call(model, monkeypatch):
    def call(*tensors):
        raise AssertionError("the model was called")

    monkeypatch.setattr(model, "_executor", call)
    c = tm.Configuration(np.eye(3), [0, 1, 0], [False] * 3, [], [0], [], species_names=SPECIES)
    p = model.evaluate(c)
    assert p.energy == 0.0
    np.testing.assert_array_equal(p.forces, np.zeros((3, 3)))
    np.testing.assert_array_equal(p.virial, np.zeros((3, 3)))
    np.testing.assert_array_equal(p.particle_energies, np.zeros(3))
    np.testing.assert_array_equal(p.particle_virials, np.zeros((3, 3, 3)))
    with pytest.raises(tm.InputError, match="forces"):
        _ = model.evaluate(c, forces=False).forces


def test_particle_virials_are_half_of_each_pair(models):
    model, atoms = models["descriptor"], silicon_carbide()
    p = model.evaluate(atoms)
    c = tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES)
    D = torch.from_numpy(model.descriptor.compute(c)).requires_grad_()
    (dE_dD,) = torch.autograd.grad(DescriptorNet(D.shape[1])(D).sum(), D)
    pair = model.descriptor.pair_gradients(c, dE_dD.numpy())
    expected = np.zeros((c.n_particles, 3, 3))
    for i, j, g in zip(c.pair_centers(), c.neighbors, pair, strict=True):
        share = -0.5 * np.outer(c.positions[j] - c.positions[i], g)
        expected[i] += share
        expected[j] += share
    np.testing.assert_allclose(p.particle_virials, expected, rtol=0, atol=1e-13)
    # they are not symmetric: r_ij is the first index, which nothing else here would notice
    assert np.abs(expected - expected.swapaxes(1, 2)).max() > 1e-4
    np.testing.assert_allclose(p.particle_virials.sum(axis=0), p.virial, rtol=0, atol=1e-12)
    np.testing.assert_allclose(p.fold().stresses.sum(axis=0), p.stress, rtol=0, atol=1e-14)


def test_particle_virials_are_those_of_the_evaluation(models):
    """They are computed when they are looked at, and positions may have been moved since."""
    model = models["descriptor"]
    c = tm.Configuration.from_atoms(silicon_carbide(), CUTOFF, SPECIES)
    expected = model.evaluate(c).particle_virials
    p = model.evaluate(c)
    c.positions *= 1.1
    np.testing.assert_array_equal(p.particle_virials, expected)


# --- a graph network with ghosts against the same on the plain periodic graph --------------------


def on_plain_graph(atoms):
    """Energy, forces and virial of GraphNet on N atoms and their periodic edges."""
    net = GraphNet()
    i, j, S = tm.neighbor_list("ijS", atoms, CUTOFF)
    i, j = torch.from_numpy(i).long(), torch.from_numpy(j).long()
    positions = torch.from_numpy(atoms.positions.copy()).requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    cell = torch.from_numpy(atoms.cell.array.copy())
    vectors = positions[j] - positions[i] + torch.from_numpy(S).double() @ cell
    vectors = vectors + vectors @ strain.T
    h = net.embed(torch.tensor([SPECIES.index(s) for s in atoms.symbols]))
    for layer in range(net.n_layers):
        h = net.convolution(h, vectors, i, j, layer)
    energy = net.read_out(h).sum()
    if len(i) == 0:
        return energy.item(), np.zeros((len(atoms), 3)), np.zeros((3, 3))
    dE_dr, dE_dstrain = torch.autograd.grad(energy, [positions, strain])
    return energy.item(), -dE_dr.numpy(), -dE_dstrain.numpy()


@pytest.mark.parametrize(
    "atoms",
    [
        silicon_carbide((2, 2, 1)),
        silicon_carbide(),
        bulk("SiC", "zincblende", 4.3),
        bulk("C", "sc", 1.9),
        wrapped_sheet(),
        molecule("Si2H6")[[0, 1]] + molecule("CH4")[[0]],
        molecule("CH4")[[0]],
        bulk("Si", "sc", 40.0),
    ],
    ids=["large", "small", "two", "one", "sheet", "no ghosts", "one atom", "no neighbors"],
)
def test_staged_graph_equals_the_plain_periodic_one(atoms, models):
    energy, forces, virial = on_plain_graph(atoms)
    c = tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES, n_layers=3)
    for configuration, order in ((c, np.arange(c.n_particles)), shuffled(c)):
        p = models["graph"].evaluate(configuration)
        atoms_order = order[configuration.contributing]
        assert p.energy == pytest.approx(energy, rel=1e-12)
        np.testing.assert_allclose(p.fold().forces, forces[atoms_order], rtol=0, atol=1e-12)
        np.testing.assert_allclose(p.virial, virial, rtol=0, atol=1e-11)


def test_ghosts_of_too_few_layers_are_refused(models):
    c = tm.Configuration.from_atoms(silicon_carbide(), CUTOFF, SPECIES, n_layers=2)
    with pytest.raises(tm.InputError, match="n_layers=3"):
        models["graph"].evaluate(c)


@pytest.mark.parametrize("variable", DISABLE_GRAPH)
def test_graphs_switched_off(variable, models, monkeypatch):
    atoms = silicon_carbide()
    monkeypatch.setenv(variable, "")
    with pytest.raises(tm.UnsupportedError, match=variable):
        models["graph"].evaluate(atoms)
    with pytest.raises(tm.UnsupportedError, match=variable):
        tm.PortableModel.load(models["graph"].folder)
    models["raw"].evaluate(atoms)
    tm.PortableModel.load(models["descriptor"].folder).evaluate(atoms)


def test_runs_repeat_to_the_last_bit(model):
    atoms = silicon_carbide(2)
    first = model.evaluate(atoms, n_threads=1)
    for n_threads in (1, 2, 3):
        again = model.evaluate(atoms, n_threads=n_threads)
        assert again.energy == first.energy
        np.testing.assert_array_equal(again.forces, first.forces)
        np.testing.assert_array_equal(again.virial, first.virial)


def test_raw_lists_that_are_cut_have_both_ends_of_each_pair():
    """A shell of a crystal is at the cutoff, and beyond it the lists' skin."""
    for atoms, cutoff in crystals_with_a_shell_at_the_cutoff():
        c = tm.Configuration.from_atoms(atoms, cutoff + 0.5)
        parameters = ModelParameters(c.species_names, "raw", cutoff, "m.pt")
        _, _, n_neigh, nlist, _ = RawConvention(parameters).inputs(c, torch.float64, CPU).tensors
        i = np.repeat(np.arange(c.n_centers), n_neigh)
        found = images(i, c.parents[nlist], c.shifts[nlist])
        assert have_both_ends(found)
        assert found == images(*tm.neighbor_list("ijS", atoms, cutoff + 1e-6))
