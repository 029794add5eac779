"""Committees: means and standard deviations are those of the members, evaluated one by one."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from small_models import CUTOFF, DescriptorNet, GraphNet, PairNet, shuffled

import torchml_core as tm
from torchml_core.testing import finite_difference_forces

# DescriptorNet is not told the species of its atoms, which does not matter here
pytestmark = pytest.mark.filterwarnings("ignore::torchml_core.ModelWarning")
SPECIES = ["Si", "C"]
CUTOFFS = {("Si", "Si"): CUTOFF, ("Si", "C"): 3.0, ("C", "C"): 2.8}


def descriptor(species=SPECIES, eta=0.3):
    functions = [("g2", [[eta, 0.0], [0.5, 1.5]]), ("g4", [[1, 1, 0.05]])]
    return tm.SymmetryFunctions(species, CUTOFFS, functions)


def carbide():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.08, seed=6)
    return atoms


class Network(DescriptorNet):
    """One with other weights for each seed."""

    def __init__(self, width, seed):
        super().__init__(width)
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn(1, 6, generator=generator, dtype=torch.float64)
        self.last = torch.nn.Parameter(weights)


class ScaledPairs(PairNet):
    """Pair energies with the scales in the order of its species."""

    def __init__(self, scales, cutoff):
        super().__init__(cutoff)
        self.scale = torch.nn.Parameter(torch.tensor(scales, dtype=torch.float64))


class TotalPairs(PairNet):
    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = torch.nonzero(contributing)[:, 0]
        i, j = torch.repeat_interleave(own, n_neigh), nlist.to(torch.int64)
        r = torch.sum((coords[j] - coords[i]) ** 2, dim=1).sqrt()
        return ((1 - r / self.cutoff) ** 3).sum()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of all conventions, with different cutoffs and orders of the species."""
    folder = tmp_path_factory.mktemp("members")

    def create(name, model, **options):
        return tm.PortableModel.create(folder / name, model=model, **options)

    d = descriptor()
    return {
        **{
            f"nn{seed}": create(f"nn{seed}", Network(d.width, seed), species=SPECIES, descriptor=d)
            for seed in range(3)
        },
        "other functions": create(
            "other", Network(3, 4), species=SPECIES, descriptor=descriptor(eta=0.2)
        ),
        "other order": create(
            "order", Network(3, 5), species=["C", "Si"], descriptor=descriptor(["C", "Si"])
        ),
        "pairs": create(
            "pairs",
            ScaledPairs([1.0, 0.6], 2.9),
            species=SPECIES,
            cutoff=2.9,
            convention="raw",
        ),
        "reversed pairs": create(
            "reversed",
            ScaledPairs([0.7, 1.2], CUTOFF),
            species=["C", "Si"],
            cutoff=CUTOFF,
            convention="raw",
        ),
        "total": create("total", TotalPairs(), species=SPECIES, cutoff=CUTOFF, convention="raw"),
        "graph": create(
            "graph", GraphNet(), species=SPECIES, cutoff=CUTOFF, convention="graph", n_layers=3
        ),
    }


COMMITTEES = {
    "shared descriptor": ["nn0", "nn1", "nn2"],
    "groups": ["nn0", "other functions", "nn1"],
    "mixed": ["pairs", "nn2", "reversed pairs", "graph", "other order", "nn0"],
    "raw": ["reversed pairs", "pairs"],
}


def committee(models, name):
    return tm.Committee([models[member] for member in COMMITTEES[name]])


@pytest.mark.parametrize("name", COMMITTEES)
@pytest.mark.parametrize("fold", [False, True])
def test_means_and_deviations_are_those_of_the_members(name, fold, models):
    together = committee(models, name)
    c = tm.Configuration.from_atoms(
        carbide(), together.cutoff, together.species, n_layers=together.n_layers
    )
    found = together.evaluate(c)
    alone = [model.evaluate(c) for model in together.models]
    if fold:
        found, alone = found.fold(), [p.fold() for p in alone]
    conventions = {model.convention for model in together.models}
    quantities = ["energy", "forces", "virial", "stress"]
    if "graph" not in conventions:  # it returns one energy
        quantities.append("particle_energies")
    if conventions == {"descriptor"}:
        quantities += ["particle_virials", "stresses"]
    for quantity in quantities:
        values = np.array([getattr(p, quantity) for p in alone])
        mean = values.sum(axis=0) / len(values)
        scale = np.abs(values).max()
        np.testing.assert_allclose(getattr(found, quantity), mean, rtol=0, atol=1e-13 * scale)
        if quantity in {"particle_virials", "stresses"}:
            continue
        std = (((values - mean) ** 2).sum(axis=0) / len(values)) ** 0.5
        deviation = getattr(found, f"{quantity}_std")
        assert np.abs(std).max() > 1e-3 * scale
        np.testing.assert_allclose(deviation, std, rtol=0, atol=1e-12 * scale)
        for own, expected in zip(found.members, alone, strict=True):
            expected = getattr(expected, quantity)
            np.testing.assert_allclose(getattr(own, quantity), expected, rtol=0, atol=1e-13 * scale)
    assert isinstance(found.energy, float)
    assert isinstance(found.energy_std, float)
    assert found.forces_std.shape == found.forces.shape == (found.n_particles, 3)


def test_forces_are_the_derivative_of_the_mean(models):
    together, atoms = committee(models, "mixed"), carbide()
    forces = together.evaluate(atoms).fold().forces
    expected = finite_difference_forces(together, atoms, indices=[0, 5])
    scale = np.abs(forces).max()
    np.testing.assert_allclose(forces[[0, 5]], expected, rtol=0, atol=1e-7 * scale)


def test_what_members_share_is_computed_once(models, monkeypatch):
    calls = []

    def count(name):
        verb = getattr(tm.SymmetryFunctions, name)

        def counted(self, *arguments, **options):
            calls.append(name)
            return verb(self, *arguments, **options)

        monkeypatch.setattr(tm.SymmetryFunctions, name, counted)

    count("compute"), count("vjp")
    p = committee(models, "shared descriptor").evaluate(carbide())
    assert calls == ["compute", "vjp"]
    assert np.isfinite([p.energy_std, p.forces.sum(), p.virial.sum()]).all()
    assert calls == ["compute", "vjp"]
    p.fold().forces_std, p.fold().stress_std
    assert calls == ["compute"] + 4 * ["vjp"]
    calls.clear()
    committee(models, "shared descriptor").evaluate(carbide(), forces=False, virial=False)
    assert calls == ["compute"]


def test_a_member_that_works_in_place_does_not_change_the_others(models, tmp_path):
    class InPlace(torch.nn.Module):
        def forward(self, descriptor):
            return descriptor.mul_(0.0).sum(dim=1)

    own = tm.PortableModel.create(
        tmp_path, model=InPlace(), species=SPECIES, descriptor=descriptor()
    )
    found = tm.Committee([own, models["nn0"]]).evaluate(carbide(), forces=False, virial=False)
    expected = models["nn0"].evaluate(carbide(), forces=False, virial=False).energy
    assert found.members[1].energy == expected


def test_deviations_of_forces_are_those_of_the_positions_evaluated(models):
    together = committee(models, "shared descriptor")
    verlet, atoms = tm.VerletList(together.cutoff, species=together.species), carbide()
    expected = together.evaluate(atoms).fold().forces_std
    c = verlet.update(atoms)
    p = together.evaluate(c).fold()
    c.positions += np.random.default_rng(0).normal(scale=0.1, size=c.positions.shape)
    np.testing.assert_allclose(p.forces_std, expected, rtol=0, atol=1e-12)


def test_particles_in_any_order_and_without_names(models):
    """Codes without names are those of the first member, whatever the order of the others."""
    together = committee(models, "mixed")
    c = tm.Configuration.from_atoms(carbide(), together.cutoff, SPECIES, n_layers=3)
    expected = together.evaluate(c)
    other, order = shuffled(c)
    other.species_names = None
    found = together.evaluate(other)
    assert other.species_names is None
    np.testing.assert_allclose(found.forces, expected.forces[order], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.forces_std, expected.forces_std[order], rtol=0, atol=1e-12)
    other.species = np.full_like(other.species, 2)
    with pytest.raises(tm.InputError, match="a code of one of the 2 species"):
        together.evaluate(other)


def test_what_a_member_cannot_give_is_said(models):
    p = tm.Committee([models["pairs"], models["total"], models["nn0"]]).evaluate(carbide())
    for read in (lambda: p.particle_energies, lambda: p.particle_energies_std):
        with pytest.raises(tm.UnsupportedError, match=r"the model returns energies of shape \(\)"):
            read()
    with pytest.raises(tm.UnsupportedError, match="a raw model gives forces on particles"):
        _ = p.particle_virials
    p = committee(models, "mixed").evaluate(carbide(), forces=False, virial=False).fold()
    for name in ("forces", "forces_std"):
        with pytest.raises(tm.InputError, match="forces was not computed"):
            getattr(p, name)
    p = committee(models, "shared descriptor").evaluate(carbide(), forces=False)
    assert np.abs(p.virial_std).max() > 0
    with pytest.raises(tm.InputError, match="forces was not computed"):
        _ = p.forces_std


def test_a_configuration_without_contributing_particles(models):
    c = tm.Configuration(np.zeros((1, 3)), [0], [False], [], [0], [])
    p = committee(models, "mixed").evaluate(c)
    assert p.energy == p.energy_std == 0.0
    assert not p.forces.any()
    assert not p.forces_std.any()


def test_members_of_a_folder_are_loaded_in_order(models, tmp_path):
    for number in range(1, 12):
        models[f"nn{number % 3}"].save(tmp_path / "members" / str(number))
    (tmp_path / "members" / "notes.txt").touch()
    together = tm.Committee.load(tmp_path)
    assert [model.folder.name for model in together.models] == [str(k) for k in range(1, 12)]
    expected = [models[f"nn{number % 3}"].evaluate(carbide()).energy for number in range(1, 12)]
    assert together.evaluate(carbide()).energy_std == pytest.approx(np.std(expected), rel=1e-12)
    assert len(list(together.evaluate_many([carbide(), carbide()]))) == 2
    with pytest.raises(tm.MissingFileError, match="there is no folder members"):
        tm.Committee.load(tmp_path / "members")


def test_models_that_are_no_committee(models, tmp_path):
    silicon = tm.PortableModel.create(
        tmp_path / "Si", model=PairNet(), species=["Si"], cutoff=3.0, convention="raw"
    )
    for members in ([], [silicon], silicon, "folder", 3):
        with pytest.raises(tm.InputError, match="models = .* at least two portable models"):
            tm.Committee(members)
    with pytest.raises(tm.InputError, match=r"models\[1\] has the species Si: .* Si, C, are"):
        tm.Committee([models["pairs"], silicon])
    together = tm.Committee([tmp_path / "Si", silicon])
    assert together.evaluate(bulk("Si")).energy_std == 0.0
    assert "Committee of 2" in repr(together)
