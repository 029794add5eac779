"""The two forms of descriptor models: forward(descriptor), and forward(descriptor, species)."""

import warnings
from typing import Optional

import numpy as np
import pytest
import torch
from ase.build import bulk
from small_models import CUTOFF, DescriptorNet, ElementNet, PairNet, shuffled

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.finite_differences import finite_difference_forces, finite_difference_stress
from torchml_core.kim.model import KimModel, Results
from torchml_core.portable.species_input import ELEMENTS_MAP

SPECIES = ["Si", "C"]
FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]]), ("g5", [[1, 1, 0.05]])]
POOLED = tm.SymmetryFunctions(["C", "Si"], CUTOFF, FUNCTIONS)
create, load = tm.PortableModel.create, tm.PortableModel.load
OF = {"species": SPECIES, "descriptor": POOLED}
N = "# Number of inputs\n"


class Energies(torch.nn.Module):
    """Each atom's energy is what the model is given for its species."""

    def forward(self, descriptor, species):
        return species.to(descriptor.dtype) + 0.0 * descriptor.sum(dim=1)


class EnergiesOfNumbers(torch.nn.Module):
    def forward(self, descriptor, atomic_numbers):
        return atomic_numbers.to(descriptor.dtype) + 0.0 * descriptor.sum(dim=1)


class Optional_(torch.nn.Module):
    """Only TorchScript knows this optional argument's type: it could be anything."""

    def forward(self, descriptor, weights: Optional[torch.Tensor] = None):  # noqa: UP045
        energies = descriptor.sum(dim=1)
        return energies if weights is None else energies * weights


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    net = ElementNet(2, POOLED.width)
    return create(tmp_path_factory.mktemp("m") / "m", model=net, **OF)


def carbide(symbols="SiC"):
    atoms = bulk("SiC", "zincblende", 4.3, cubic=True)
    if symbols != "SiC":
        atoms.symbols[:] = symbols
    atoms.rattle(0.1, seed=2)
    return atoms


def exported(network, **dims):
    rows = torch.export.Dim("rows", **dims)
    example = (torch.rand(3, POOLED.width, dtype=torch.float64), torch.tensor([0, 1, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        return torch.export.export(network, example, dynamic_shapes=({0: rows}, {0: rows}))


def test_elements_are_told_apart(model):
    """Pooled functions are the same in all of these crystals."""
    energies = {}
    for symbols in (("Si", "C"), ("C", "Si"), ("Si", "Si"), ("C", "C")):
        atoms = bulk("SiC", "zincblende", 4.3)
        atoms.symbols[:] = symbols
        energies["".join(symbols)] = model.evaluate(atoms).energy
    assert energies["SiC"] == pytest.approx(energies["CSi"], rel=1e-12)
    assert energies["SiC"] == pytest.approx((energies["SiSi"] + energies["CC"]) / 2, rel=1e-12)
    assert abs(energies["SiSi"] - energies["CC"]) > 0.1


def test_energies_forces_and_stress(model):
    assert model.parameters.n_inputs == 2
    assert N + "2\n" in (model.folder / "model.param").read_text()
    atoms = carbide()
    c = tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES)
    codes = torch.tensor([SPECIES.index(symbol) for symbol in atoms.symbols])
    expected = ElementNet(2, POOLED.width)(torch.from_numpy(POOLED.compute(c)), codes)
    p = model.evaluate(atoms).fold()
    np.testing.assert_allclose(p.particle_energies, expected.detach(), rtol=1e-14)
    scale = np.abs(p.forces).max()
    some = finite_difference_forces(model, atoms, indices=[0, 5])
    np.testing.assert_allclose(p.forces[[0, 5]], some, rtol=0, atol=1e-7 * scale)
    stress = finite_difference_stress(model, atoms)
    np.testing.assert_allclose(p.stress, stress, rtol=0, atol=1e-7 * np.abs(stress).max())
    np.testing.assert_allclose(p.stresses.sum(axis=0), p.stress, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_particles_rows_and_names(seed, model):
    """Rows are in the order of the centers, which need not be that of the particles."""
    c = tm.Configuration.from_atoms(carbide(), CUTOFF, ["H", "C", "Si"])
    mixed, order = shuffled(c, seed)
    assert (np.diff(mixed.centers) < 0).any()
    one, other = model.evaluate(c), model.evaluate(mixed)
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(other.particle_energies, one.particle_energies[order], **close)
    np.testing.assert_allclose(other.forces, one.forces[order], **close)


def test_ase_and_many(model):
    atoms = [carbide(), carbide("C"), carbide("SiC") * (1, 1, 2), carbide()[:1]]
    for structure, p in zip(atoms, model.evaluate_many(atoms), strict=True):
        structure.calc = TorchMLCalculator(model)
        assert structure.get_potential_energy() == pytest.approx(p.energy, rel=1e-13)
        np.testing.assert_allclose(structure.get_forces(), p.fold().forces, rtol=0, atol=1e-13)
    lone = torch.zeros(1, POOLED.width, dtype=torch.float64)
    expected = ElementNet(2, POOLED.width)(lone, torch.tensor([0])).item()
    assert atoms[3].get_potential_energy() == pytest.approx(expected, rel=1e-13)


def test_a_committee(model, tmp_path):
    """Members share the descriptor, and each is given the codes in its own order."""
    other = create(
        tmp_path / "m", model=ElementNet(2, POOLED.width), species=SPECIES[::-1], descriptor=POOLED
    )
    p = tm.Committee([model, other]).evaluate(carbide())
    energies = [one.evaluate(carbide()).energy for one in (model, other)]
    assert abs(energies[0] - energies[1]) > 0.01
    assert p.energy == pytest.approx(np.mean(energies), rel=1e-12)
    assert p.energy_std == pytest.approx(np.std(energies), rel=1e-9)


def test_training_sees_the_same_energy(model):
    atoms = carbide()
    c = tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES)
    positions = torch.tensor(c.positions, requires_grad=True)
    species = torch.from_numpy(c.codes(SPECIES)[c.centers]).to(torch.int64)
    net = ElementNet(2, POOLED.width)
    energy = net(tm.autograd.compute(POOLED, c, positions), species).sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    p = model.evaluate(c)
    assert p.energy == pytest.approx(energy.item(), rel=1e-13)
    np.testing.assert_allclose(p.forces, -gradient, rtol=0, atol=1e-12)


def test_codes_or_atomic_numbers(tmp_path, monkeypatch):
    """The rules are those of raw and graph models."""

    def given(model):
        return [model.evaluate(carbide(symbol)).energy / 8 for symbol in SPECIES]

    codes = create(tmp_path / "codes", model=Energies(), **OF)
    numbers = create(tmp_path / "numbers", model=EnergiesOfNumbers(), **OF)
    stored = create(tmp_path / "s", model=Energies(), species_input="sorted_codes", **OF)
    assert given(codes) == [0, 1]
    assert given(numbers) == [14, 6]
    assert given(stored) == given(load(tmp_path / "s")) == [1, 0]
    assert given(load(tmp_path / "codes", species_input="atomic_numbers")) == [14, 6]
    assert codes.species_input.kind == "codes"
    why = "the second argument of forward is named atomic_numbers"
    assert numbers.species_input.why == why
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    assert given(codes) == [14, 6]
    assert given(stored) == [1, 0]
    energy = np.zeros((1, 1))
    c = tm.Configuration.from_atoms(carbide("C"), CUTOFF, SPECIES)
    KimModel(tmp_path / "codes").compute(c, Results(energy, None, None, None, None))
    assert energy[0, 0] == 48


def test_float32(tmp_path, model):
    net = ElementNet(2, POOLED.width, torch.float32)
    single = create(tmp_path, model=net, **OF)
    found, expected = single.evaluate(carbide()), model.evaluate(carbide())
    assert single.dtype == torch.float32
    assert found.energy == pytest.approx(expected.energy, rel=1e-5)


@pytest.mark.slow
def test_exported_programs(tmp_path, model):
    """One row, although two may have been the fewest while it was traced."""
    atoms = carbide()
    for name, program in {
        "any": exported(ElementNet(2, POOLED.width)),
        "from 1": exported(ElementNet(2, POOLED.width), min=1),
    }.items():
        found = create(tmp_path / name, model=program, **OF)
        assert "model.pt2" in found.files
        assert found.parameters.n_inputs == 2
        for some in (atoms, atoms[:1], atoms[:2]):
            p, expected = found.evaluate(some), model.evaluate(some)
            assert p.energy == pytest.approx(expected.energy, rel=1e-13)
            np.testing.assert_allclose(p.forces, expected.forces, rtol=0, atol=1e-13)
        nothing = tm.Configuration(
            np.eye(3), [0, 1, 0], [False] * 3, [], [0], [], species_names=SPECIES
        )
        assert found.evaluate(nothing).energy == 0.0


# --- which form it is ----------------------------------------------------------------------------


def test_an_argument_with_a_default_keeps_it(tmp_path):
    one = {"species": ["Si"], "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)}
    model = create(tmp_path / "o", model=Optional_(), **one)
    assert model.parameters.n_inputs == 1
    silicon = bulk("Si")
    expected = model.descriptor.compute(tm.Configuration.from_atoms(silicon, CUTOFF, ["Si"])).sum()
    assert model.evaluate(silicon).energy == pytest.approx(expected, rel=1e-14)
    # the .param file may say otherwise: the code of silicon is 0
    param = tmp_path / "o" / "model.param"
    param.write_text(param.read_text().replace(N + "1", N + "2"))
    (param.parent / "model.json").unlink()  # its checksums
    assert load(tmp_path / "o").evaluate(silicon).energy == 0.0
    with pytest.warns(tm.ModelWarning, match=r"\(weights keeps its default\)"):
        create(tmp_path / "two", model=Optional_(), **OF)


@pytest.mark.parametrize(
    ("network", "right", "takes"),
    [
        (DescriptorNet(1), 1, "takes the descriptor alone"),
        (Energies(), 2, "also takes the species"),
    ],
)
def test_a_file_that_says_the_wrong_form(network, right, takes, tmp_path):
    one = {"species": ["Si"], "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS[:1])}
    create(tmp_path / "m", model=network, **one)
    param = tmp_path / "m" / "model.param"
    param.write_text(param.read_text().replace(f"{N}{right}\n", f"{N}{3 - right}\n"))
    (param.parent / "model.json").unlink()  # its checksums
    message = rf"model\.param: number of inputs = {3 - right}: {right} is needed, .*{takes}"
    with pytest.raises(tm.FileFormatError, match=message):
        load(tmp_path / "m")


def test_the_order_of_a_module_s_own_species(tmp_path):
    """Networks of other elements would be used, without a word."""
    networks = tm.nn.ElementNetworks(POOLED, hidden=(3,))
    assert networks.species == ("C", "Si")
    message = r"species = \['Si', 'C'\]: \['C', 'Si'\], the attribute species of the model, is"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        scripted = torch.jit.script(networks)
    for module in (networks, scripted):
        with pytest.raises(tm.InputError, match=message):
            create(tmp_path / "wrong", model=module, **OF)
    assert not (tmp_path / "wrong").exists()
    create(tmp_path / "right", model=networks, species=networks.species, descriptor=POOLED)


def test_untidy_files_of_one_input(tmp_path):
    one = {"species": ["Si"], "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)}
    model = create(tmp_path / "m", model=DescriptorNet(4 - 1), **one)
    param = tmp_path / "m" / "model.param"
    param.write_text(param.read_text().replace(N + "1", N + "5"))
    (param.parent / "model.json").unlink()  # its checksums
    assert load(tmp_path / "m").evaluate(bulk("Si")).energy == model.evaluate(bulk("Si")).energy


def test_other_numbers_of_arguments(tmp_path):
    class Three(torch.nn.Module):
        def forward(self, a, b, c):
            return a.sum() + b.sum() + c.sum()

    message = r"takes 3 arguments; the descriptor convention gives it 1 or 2"
    with pytest.raises(tm.ModelError, match=message):
        create(tmp_path / "m", model=Three(), **OF)
    message = r"takes 5 arguments; the graph convention gives it 4"
    with pytest.raises(tm.ModelError, match=message):
        create(tmp_path / "m", model=PairNet(), species=SPECIES, cutoff=3.0, convention="graph")
    assert not (tmp_path / "m").exists()


def test_a_warning_of_centers_that_are_not_told_apart(tmp_path):
    message = "SymmetryFunctions does not tell centers of different species apart: atoms of Si and"
    with pytest.warns(tm.ModelWarning, match=message) as caught:
        create(tmp_path / "m", model=DescriptorNet(POOLED.width), **OF)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "m")
        create(tmp_path / "both", model=ElementNet(2, POOLED.width), **OF)
        one = tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)
        create(tmp_path / "one", model=DescriptorNet(one.width), species=["Si"], descriptor=one)


def test_a_descriptor_that_tells_centers_apart_needs_no_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(tm.SymmetryFunctions, "tells_centers_apart", True)
    create(tmp_path / "m", model=DescriptorNet(POOLED.width), **OF)


@pytest.mark.parametrize(
    "descriptor",
    [
        POOLED,
        tm.SymmetryFunctions(SPECIES, CUTOFF, FUNCTIONS, species_mode="resolved"),
        tm.SymmetryFunctions(SPECIES, CUTOFF, FUNCTIONS, species_mode="weighted"),
        tm.SOAP(SPECIES, CUTOFF, n_max=2, l_max=2),
        tm.SphericalExpansion(SPECIES, CUTOFF, n_max=2, l_max=2),
    ],
    ids=["pooled", "resolved", "weighted", "SOAP", "SphericalExpansion"],
)
def test_descriptors_say_the_truth_about_centers(descriptor):
    rows = []
    for symbol in SPECIES:
        atoms = carbide()
        atoms.symbols[0] = symbol
        atoms.pbc = False  # as an image of itself, it would be its own neighbor
        rows.append(descriptor.compute(tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES))[0])
    assert np.array_equal(*rows) != descriptor.tells_centers_apart
