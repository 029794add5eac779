"""Pair terms of model.json: the network's results and those of the pairs, in each convention."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_models import CUTOFF, ElementNet, GraphNet, PairNet, shuffled

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.kim.model import KimModel
from torchml_core.testing import finite_difference_forces, finite_difference_stress

SPECIES = ["Si", "C"]
SHORT, LONG = {"inner": 1.5, "outer": 2.6}, {"inner": 3.0, "outer": 4.4}  # CUTOFF is between
DESCRIPTOR = tm.SymmetryFunctions(SPECIES, CUTOFF, [("g2", [[0.3, 0.0], [0.5, 1.5]])])
NETWORKS = {
    "raw": {"model": PairNet(), "convention": "raw", "cutoff": CUTOFF},
    "descriptor": {"model": ElementNet(2, 2), "descriptor": DESCRIPTOR},
    "graph": {"model": GraphNet(), "convention": "graph", "n_layers": 3, "cutoff": CUTOFF},
}


def create(folder, convention, terms=None):
    pair_terms = None if terms is None else [{"kind": "zbl", **terms}]
    return tm.PortableModel.create(
        folder, species=SPECIES, pair_terms=pair_terms, **NETWORKS[convention]
    )


def carbide():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.1, seed=6)
    return atoms


def repulsion(atoms, terms):
    """Energies, forces, virials per atom, from the neighbor list, each pair by itself."""
    i, j, D = tm.neighbor_list("ijD", atoms, terms["outer"])
    zbl = tm.ZBL(SPECIES, **terms)
    n = len(atoms)
    energies, forces, virials = np.zeros(n), np.zeros((n, 3)), np.zeros((n, 3, 3))
    for pair in range(len(i)):
        dimer = atoms[[i[pair], j[pair]]]
        dimer.pbc, dimer.positions = False, [[0, 0, 0], D[pair]]
        c = tm.Configuration.from_atoms(dimer, 6.0, SPECIES)
        gradient = zbl.vjp(c, np.ones((2, 1)))[1]  # with respect to r_ij, of the whole pair
        energies[i[pair]] += zbl.compute(c)[0, 0]
        forces[i[pair]] += gradient
        virials[i[pair]] -= np.outer(D[pair], gradient) / 2
    return energies, forces, virials


@pytest.mark.parametrize("terms", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("convention", NETWORKS)
def test_repulsion_is_added_to_everything(convention, terms, tmp_path):
    plain = create(tmp_path / "plain", convention)
    model = create(tmp_path / "zbl", convention, terms)
    assert model.pair_terms == (tm.ZBL(SPECIES, **terms),)
    assert model.cutoff == max(CUTOFF, terms["outer"])
    reach = CUTOFF * (3 if convention == "graph" else 1)
    assert model.influence_distance == max(reach, terms["outer"])
    atoms = carbide()
    before, found = plain.evaluate(atoms).fold(), model.evaluate(atoms).fold()
    energies, forces, virials = repulsion(atoms, terms)
    assert energies.sum() > 0.1
    close, scale = np.testing.assert_allclose, np.abs(forces).max()
    assert found.energy == pytest.approx(before.energy + energies.sum(), rel=1e-12)
    close(found.forces, before.forces + forces, rtol=0, atol=1e-12 * scale)
    virial = virials.sum(axis=0)
    close(found.virial, before.virial + virial, rtol=0, atol=1e-12 * np.abs(virial).max())
    if convention != "graph":
        close(found.particle_energies, before.particle_energies + energies, rtol=1e-11)
    else:
        with pytest.raises(tm.UnsupportedError, match="particle_energies"):
            _ = found.particle_energies
    if convention == "descriptor":
        expected = before.particle_virials + virials
        close(found.particle_virials, expected, rtol=0, atol=1e-11 * np.abs(virials).max())
    else:
        with pytest.raises(tm.UnsupportedError, match="particle_virials"):
            _ = found.particle_virials
    alone = model.evaluate(atoms, forces=False, virial=False)
    assert alone.energy == pytest.approx(found.energy, rel=1e-14)
    with pytest.raises(tm.InputError, match="forces was not computed"):
        _ = alone.forces


@pytest.mark.parametrize("convention", NETWORKS)
def test_particles_in_any_order_differences_and_dynamics(convention, tmp_path):
    model, atoms = create(tmp_path / "zbl", convention, LONG), carbide()
    c = tm.Configuration.from_atoms(atoms, model.cutoff, SPECIES, n_layers=model.n_layers)
    expected = model.evaluate(c)
    other, order = shuffled(c)
    found, scale = model.evaluate(other), np.abs(expected.forces).max()
    close = np.testing.assert_allclose
    close(found.forces, expected.forces[order], rtol=0, atol=1e-12 * scale)
    close(found.virial, expected.virial, rtol=0, atol=1e-11 * scale)
    folded = expected.fold()
    scale = np.abs(folded.forces).max()
    by_difference = finite_difference_forces(model, atoms, indices=[0, 5])
    close(folded.forces[[0, 5]], by_difference, rtol=0, atol=1e-7 * scale)
    by_difference = finite_difference_stress(model, atoms)
    close(folded.stress, by_difference, rtol=0, atol=1e-7 * np.abs(by_difference).max())
    atoms.calc = TorchMLCalculator(model, skin=0.4)
    for _ in range(2):
        expected = model.evaluate(atoms).fold()
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-12)
        close(atoms.get_forces(), expected.forces, rtol=0, atol=1e-11 * scale)
        atoms.rattle(0.05, seed=1)
    assert atoms.calc.verlet.n_builds == 1


def test_pairs_that_only_the_term_sees(tmp_path):
    """Beyond the network's cutoff, where a raw model may need a pair to run."""
    model = create(tmp_path / "zbl", "raw", {"inner": 3.5, "outer": 6.0})
    dimer = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 4.0]])
    energies, forces, _ = repulsion(dimer, {"inner": 3.5, "outer": 6.0})
    p = model.evaluate(dimer)
    assert p.energy == pytest.approx(energies.sum(), rel=1e-12)
    assert p.energy > 1e-3
    np.testing.assert_allclose(p.forces, forces, rtol=1e-12)
    c = tm.Configuration.from_atoms(dimer, CUTOFF, SPECIES)
    with pytest.raises(tm.InputError, match=r"lists end at cutoff 3.2, .* of cutoff 6 needs 6"):
        model.evaluate(c)


def test_a_committee_adds_the_terms_of_its_members(tmp_path):
    models = [
        create(tmp_path / "a", "descriptor", SHORT),
        create(tmp_path / "b", "descriptor", SHORT),
        create(tmp_path / "c", "descriptor", LONG),
        create(tmp_path / "d", "descriptor"),
    ]
    together = tm.Committee(models)
    assert together.cutoff == LONG["outer"]
    found, alone = together.evaluate(carbide()), [m.evaluate(carbide()) for m in models]
    for name in ("energy", "virial", "particle_virials"):
        values = [getattr(p.fold(), name) for p in alone]
        scale = np.abs(values).max()
        mean = np.mean(values, axis=0)
        np.testing.assert_allclose(getattr(found.fold(), name), mean, rtol=0, atol=1e-12 * scale)
    forces = [p.fold().forces for p in alone]
    scale = np.abs(forces).max()
    deviation = found.fold().forces_std
    np.testing.assert_allclose(deviation, np.std(forces, axis=0), rtol=0, atol=1e-12 * scale)
    assert scale > 1


def test_virials_read_later_are_those_of_the_positions_evaluated(tmp_path):
    model = create(tmp_path / "zbl", "descriptor", LONG)
    c = tm.Configuration.from_atoms(carbide(), model.cutoff, SPECIES)
    expected = model.evaluate(c).particle_virials
    p = model.evaluate(c)
    c.positions += np.random.default_rng(0).normal(scale=0.1, size=c.positions.shape)
    np.testing.assert_array_equal(p.particle_virials, expected)


def test_it_is_kept_by_copies_and_reaches_kim(tmp_path):
    model = create(tmp_path / "zbl", "descriptor", LONG)
    model.save(tmp_path / "copy")
    copy = tm.PortableModel.load(tmp_path / "copy")
    assert copy.evaluate(carbide()).energy == model.evaluate(carbide()).energy
    kim = KimModel(tmp_path / "copy", length=0.1)
    assert kim.cutoff == kim.influence_distance == pytest.approx(0.1 * LONG["outer"])


def test_wrong_terms_are_refused(tmp_path):
    wrong = {"inner": 4.8, "outer": 4.0}
    card = tm.ModelCard(
        ["Si"], pair_terms=iter([{"kind": "zbl", "inner": np.float32(1), "outer": 2}])
    )
    assert card.pair_terms == ({"kind": "zbl", "inner": 1.0, "outer": 2},)
    with pytest.raises(tm.InputError, match=r"pair_terms\[0\]: inner = 4.8: a distance below"):
        create(tmp_path / "wrong", "descriptor", wrong)
    assert not (tmp_path / "wrong").exists()
    create(tmp_path / "model", "descriptor", SHORT)
    file = tmp_path / "model" / "model.json"
    card = json.loads(file.read_text())
    card["pair_terms"][0]["inner"] = 9
    file.write_text(json.dumps(card, indent=1))
    with pytest.raises(tm.FileFormatError, match=r"model.json:\d+: pair_terms\[0\]: inner = 9"):
        tm.PortableModel.load(tmp_path / "model")
