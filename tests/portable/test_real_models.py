"""Three portable models that others wrote, against independent programs and finite differences.

Where they are absent, made-up ones take their place in what must hold for any model.
"""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from requirements import has_shared_data
from small_models import shuffled
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.finite_differences import (
    finite_difference_forces,
    finite_difference_stress,
    strained,
)
from torchml_core.portable.species_input import ELEMENTS_MAP


@pytest.fixture(scope="module")
def folders(shared_data, models_of_others):
    """The models themselves, where no stand-ins do."""
    return models_of_others


@pytest.fixture(params=["raw", "descriptor", "graph"])
def model(request, models_of_others, monkeypatch):
    monkeypatch.setenv(ELEMENTS_MAP, "1")  # the graph model divides by the largest species
    return tm.PortableModel.load(models_of_others[request.param])


@pytest.fixture(scope="module")
def training_set(silicon_frames):
    return silicon_frames("::150") if has_shared_data() else silicon_frames("::24")


def cluster():
    atoms = rattled_silicon(1, seed=4)
    atoms.pbc = False
    return atoms


STRUCTURES = {
    "8 atoms": lambda: rattled_silicon(1, seed=1, amplitude=0.1),
    "2 atoms": lambda: bulk("Si", a=5.3).repeat(1),
    "cluster": cluster,
    "wire": lambda: rattled_silicon((1, 1, 2), seed=2)[[0, 1, 2, 3, 5, 8, 11]],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_forces_and_stress_are_derivatives_of_the_energy(name, model):
    atoms = STRUCTURES[name]()
    atoms.rattle(0.02, seed=9)
    if name == "wire":
        atoms.pbc = [False, False, True]
    p = model.evaluate(atoms)
    forces = p.fold().forces
    scale = np.abs(p.forces).max()
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-12 * scale)
    some = [1]
    expected = finite_difference_forces(model, atoms, indices=some)
    np.testing.assert_allclose(forces[some], expected, rtol=0, atol=1e-7 * scale)
    if atoms.pbc.all():
        expected = finite_difference_stress(model, atoms)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(p.stress, expected, rtol=0, atol=1e-7 * scale)


def test_virial_of_a_cluster_against_strain(model):
    atoms, step = cluster(), 1e-4
    found = model.evaluate(atoms).virial
    for a, b in ((0, 0), (1, 2), (2, 1)):
        strain = np.zeros((3, 3))
        strain[a, b] = step
        up, down, up2, down2 = (
            model.evaluate(strained(atoms, s * strain), forces=False, virial=False).energy
            for s in (1, -1, 2, -2)
        )
        derivative = (8 * (up - down) - (up2 - down2)) / (12 * step)
        assert -found[a, b] == pytest.approx(derivative, abs=1e-7 * np.abs(found).max())


@pytest.mark.slow
def test_doubled_cell(model):
    atoms = rattled_silicon(1, seed=5)
    one, two = model.evaluate(atoms).fold(), model.evaluate(atoms * (2, 1, 1)).fold()
    assert two.energy == pytest.approx(2 * one.energy, rel=1e-13)
    np.testing.assert_allclose(two.forces, np.vstack([one.forces] * 2), rtol=0, atol=1e-12)
    np.testing.assert_allclose(two.stress, one.stress, rtol=0, atol=1e-13)


def test_ghosts_between_and_a_skin(model):
    atoms, n_layers = rattled_silicon(1, seed=6), model.parameters.n_layers
    expected = model.evaluate(atoms)
    c = tm.Configuration.from_atoms(atoms, model.cutoff + 0.4, ["Si"], n_layers=n_layers)
    mixed, order = shuffled(c)
    p = model.evaluate(mixed)
    assert p.energy == pytest.approx(expected.energy, rel=1e-13)
    expected = expected.fold().forces[order[mixed.contributing]]
    np.testing.assert_allclose(p.fold().forces, expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_real_configurations(model, training_set):
    sizes = {8: 0, 64: 0}
    for atoms in training_set:
        if model.convention == "raw" and len(atoms) > 8:
            continue  # it loops over triplets in TorchScript
        p = model.evaluate(atoms).fold()
        scale = np.abs(p.forces).max()
        np.testing.assert_allclose(p.forces.sum(axis=0), 0, atol=1e-11 * max(scale, 1))
        assert np.isfinite(p.stress).all()
        sizes[len(atoms)] += 1
    assert sizes[8] > 0


# --- Stillinger-Weber, written down anew ---------------------------------------------------------


def parameters_of(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)
    return {name.split(".")[-1]: p.detach().numpy() for name, p in module.named_parameters()}


def stillinger_weber(atoms, p):
    """Energy, forces and virial, one term after another.

    E = sum over pairs of A (B (s/r)^p - (s/r)^q) exp(s / (r - rc)), and over triplets around i of
    lam (cos - cos0)² exp(g / (rij - rc) + g / (rik - rc)).
    """
    A, B, pp, q, s = (float(p[k]) for k in ("A", "B", "p", "q", "sigma"))
    g, rc, lam, cos0 = (float(p[k]) for k in ("gamma", "cutoff", "lam", "cos_beta0"))
    i, j, D, d = tm.neighbor_list("ijDd", atoms, rc)
    inside = d < rc
    i, j, D, d = i[inside], j[inside], D[inside], d[inside]
    energy, forces, virial = 0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3))

    def add(i, j, D, dE_dD):
        forces[i] += dE_dD
        forces[j] -= dE_dD
        virial[:] -= np.outer(D, dE_dD)

    for e in range(len(i)):
        r, decay = d[e], np.exp(s / (d[e] - rc))
        bond = A * (B * (s / r) ** pp - (s / r) ** q)
        slope = -A * (pp * B * (s / r) ** pp - q * (s / r) ** q) / r
        energy += 0.5 * bond * decay
        dE_dr = 0.5 * decay * (slope - bond * s / (r - rc) ** 2)
        add(i[e], j[e], D[e], dE_dr * D[e] / r)
    for a in range(len(atoms)):
        for x in np.flatnonzero(i == a):
            for y in np.flatnonzero(i == a):
                if y <= x:
                    continue
                cos = D[x] @ D[y] / (d[x] * d[y])
                decay = np.exp(g / (d[x] - rc) + g / (d[y] - rc))
                energy += lam * (cos - cos0) ** 2 * decay
                for m, n in ((x, y), (y, x)):
                    dcos = D[n] / (d[m] * d[n]) - cos * D[m] / d[m] ** 2
                    ddecay = -g / (d[m] - rc) ** 2 * D[m] / d[m]
                    dE_dD = lam * decay * (2 * (cos - cos0) * dcos + (cos - cos0) ** 2 * ddecay)
                    add(a, j[m], D[m], dE_dD)
    return energy, forces, virial


@pytest.mark.parametrize("name", ["8 atoms", "2 atoms", "cluster"])
def test_raw_model_is_stillinger_weber(name, folders):
    model, atoms = tm.PortableModel.load(folders["raw"]), STRUCTURES[name]()
    parameters = parameters_of(folders["raw"] / "SW_energy_and_forces.pt")
    energy, forces, virial = stillinger_weber(atoms, parameters)
    p = model.evaluate(atoms).fold()
    assert p.energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(p.forces, forces, rtol=0, atol=1e-10)
    np.testing.assert_allclose(p.virial, virial, rtol=0, atol=1e-10)
    with pytest.raises(tm.UnsupportedError, match=r"particle_energies.*shape \(\)"):
        _ = p.particle_energies


def test_raw_model_on_lone_atoms(folders):
    """It differentiates an energy that is a constant then, which torch refuses."""
    model = tm.PortableModel.load(folders["raw"])
    lone = Atoms("Si")
    for atoms in (lone, bulk("Si", "sc", 20.0), bulk("Si", "sc", 20.0) * (2, 1, 1)):
        p = model.evaluate(atoms)
        assert p.energy == 0.0
        assert not p.forces.any()
        assert not p.virial.any()
    assert model.evaluate(lone, forces=False, virial=False).energy == 0.0
    # beyond the cutoff of the .param file, on it, and within; a dimer scan passes all
    parameters = parameters_of(folders["raw"] / "SW_energy_and_forces.pt")
    for distance in (model.cutoff + 0.1, model.cutoff, model.cutoff - 1e-9, 3.5):
        dimer = Atoms("Si2", [[0, 0, 0], [0, 0, distance]])
        p = model.evaluate(dimer).fold()
        energy, forces, _ = stillinger_weber(dimer, parameters)
        assert p.energy == pytest.approx(energy, rel=1e-12)
        np.testing.assert_allclose(p.forces, forces, rtol=0, atol=1e-12)


# --- symmetry functions and weights, by hand -----------------------------------------------------


def functions_of(path):
    """The rows of a .dat file whose types are all of numbers: [(type, row), ...]."""
    tokens = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    tokens = [line for line in tokens if line]
    start = next(k for k, line in enumerate(tokens) if line[0].startswith("g"))
    functions = []
    for line in tokens[start:]:
        if line[0].startswith("g"):
            kind, left = line[0], int(line[1])
        elif left:
            functions.append((kind, [float(word) for word in line]))
            left -= 1
    return functions


def symmetry_functions(atoms, functions, rc):
    """Values of g2 and g4, term by term from their definition."""
    i, D, d = tm.neighbor_list("iDd", atoms, rc)
    rows = np.zeros((len(atoms), len(functions)))

    def fc(r):
        return 0.5 * (np.cos(np.pi * r / rc) + 1)

    for atom in range(len(atoms)):
        R, r = D[i == atom], d[i == atom]
        x, y = np.triu_indices(len(r), 1)
        r_xy = np.linalg.norm(R[x] - R[y], axis=1)
        near = r_xy <= rc
        x, y, r_xy = x[near], y[near], r_xy[near]
        cos = np.einsum("pa,pa->p", R[x], R[y]) / (r[x] * r[y])
        squares = r[x] ** 2 + r[y] ** 2 + r_xy**2
        for k, (kind, row) in enumerate(functions):
            if kind == "g2":
                eta, shift = row
                rows[atom, k] = np.sum(np.exp(-eta * (r - shift) ** 2) * fc(r))
            else:
                assert kind == "g4"
                zeta, lam, eta = row
                angular = 2 ** (1 - zeta) * (1 + lam * cos) ** zeta * np.exp(-eta * squares)
                rows[atom, k] = np.sum(angular * fc(r[x]) * fc(r[y]) * fc(r_xy))
    return rows


@pytest.mark.parametrize("name", ["8 atoms", "cluster", "from the training set"])
def test_descriptor_model_by_hand(name, folders, training_set):
    folder = folders["descriptor"]
    functions = functions_of(folder / "kim_descriptor.dat")
    assert len(functions) == 51
    atoms = STRUCTURES[name]() if name in STRUCTURES else training_set[2]
    model = tm.PortableModel.load(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        weights = [p.detach().numpy() for p in torch.jit.load(folder / "model.pt").parameters()]
    W0, b0, W1, b1, W2, b2 = weights
    values = symmetry_functions(atoms, functions, 3.0)
    energies = np.tanh(np.maximum(values @ W0.T + b0, 0) @ W1.T + b1) @ W2.T + b2
    p = model.evaluate(atoms).fold()
    assert p.energy == pytest.approx(energies.sum(), rel=1e-12)
    np.testing.assert_allclose(p.particle_energies, energies[:, 0], rtol=1e-12)
    np.testing.assert_allclose(p.particle_virials.sum(axis=0), p.virial, rtol=0, atol=1e-11)


# --- the graph model's species -------------------------------------------------------------------


def test_graph_model_needs_atomic_numbers(models_of_others, monkeypatch):
    model = tm.PortableModel.load(models_of_others["graph"])
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)
    with pytest.raises(tm.ModelError, match=rf"\.pt: the energy is nan.*{ELEMENTS_MAP}"):
        model.evaluate(rattled_silicon(1))
    monkeypatch.setenv(ELEMENTS_MAP, "")
    assert np.isfinite(model.evaluate(rattled_silicon(1)).energy)


def test_graph_model_on_a_lone_atom_and_on_atoms_without_ghosts(models_of_others, monkeypatch):
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    model = tm.PortableModel.load(models_of_others["graph"])
    lone = model.evaluate(bulk("Si", "sc", 20.0))
    far = model.evaluate(bulk("Si", "sc", 20.0) * (2, 1, 1))
    assert far.energy == pytest.approx(2 * lone.energy, rel=1e-13)
    np.testing.assert_array_equal(far.forces, np.zeros((2, 3)))


@pytest.mark.slow
def test_frozen_models_give_what_the_files_give(models_of_others, monkeypatch):
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    atoms = rattled_silicon(1)
    for folder in models_of_others.values():
        model = tm.PortableModel.load(folder)
        assert model._executor.not_frozen_because is None
        frozen = model.evaluate(atoms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            plain = torch.jit.load(folder / model.parameters.model_file).eval()
        monkeypatch.setattr(model._executor, "_module", plain)
        np.testing.assert_array_equal(model.evaluate(atoms).forces, frozen.forces)
        assert model.evaluate(atoms).energy == frozen.energy
