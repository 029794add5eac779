"""What models are given for species: codes or atomic numbers, by whatever says so first."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from small_models import CUTOFF, DescriptorNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.kim.model import KimModel, Results
from torchml_core.portable.species_input import ELEMENTS_MAP, SpeciesInput, decide

SPECIES = ["Si", "C"]


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)


class Tells(torch.nn.Module):
    """An energy that is the sum of what it was given for the species of its atoms."""

    def forward(self, z, coords, graph_1, contributing):
        pairs = torch.sum((coords[graph_1[0]] - coords[graph_1[1]]) ** 2)
        return torch.sum(z * (1 - contributing)) + 0.0 * pairs


class TellsOfSpecies(torch.nn.Module):
    def forward(self, species, coords, graph_1, contributing):
        pairs = torch.sum((coords[graph_1[0]] - coords[graph_1[1]]) ** 2)
        return torch.sum(species * (1 - contributing)) + 0.0 * pairs


def given(model):
    """What the model is given for silicon and carbon."""
    found = []
    for symbol in SPECIES:
        atoms = rattled_silicon(1)
        atoms.symbols[:] = symbol
        found.append(model.evaluate(atoms).energy / 8)
    return found


GRAPH = {"species": SPECIES, "cutoff": CUTOFF, "convention": "graph"}
CODES, SORTED, NUMBERS = [0, 1], [1, 0], [14, 6]


# --- the decision --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["z", "Z", "atomic_numbers", "atomic_number", "numbers", "number", "AtomicNumbers", "_z"],
)
def test_names_of_atomic_numbers(name):
    found = decide(name, "model.param")
    assert found.numbers(SPECIES).tolist() == NUMBERS
    assert found.why == f"the first argument of forward is named {name}"


@pytest.mark.parametrize("name", ["species", "x", "types", "zeta", "n", "size", "codes", None])
def test_other_names(name):
    assert decide(name, "model.param").numbers(SPECIES).tolist() == CODES


def test_who_says_it_first(monkeypatch):
    def kind(name="species", **said):
        return decide(name, "kliff_graph.param", **said).kind

    assert kind() == "sorted_codes"
    assert kind("x") == "codes"
    assert kind("z") == "atomic_numbers"
    assert kind("z", stored="codes") == "codes"
    assert kind("z", stored="codes", asked="sorted_codes") == "sorted_codes"
    monkeypatch.setenv(ELEMENTS_MAP, "")
    assert kind() == kind("x") == "atomic_numbers"
    assert kind(stored="codes") == kind(asked="codes") == "codes"
    assert ELEMENTS_MAP in decide("x", "model.param").why


def test_numbers_of_many_species():
    species = ["O", "H", "Ag", "C"]
    expected = {
        "codes": [0, 1, 2, 3],
        "sorted_codes": [2, 0, 3, 1],
        "atomic_numbers": [8, 1, 47, 6],
    }
    for kind, numbers in expected.items():
        assert SpeciesInput(kind, "").numbers(species).tolist() == numbers
    text = SpeciesInput("atomic_numbers", "it is so").describe(SPECIES)
    assert text == "Si 14, C 6 (atomic numbers), because it is so"


# --- models --------------------------------------------------------------------------------------


def test_by_the_name_of_the_argument(tmp_path, monkeypatch):
    numbers = tm.PortableModel.create(tmp_path / "z", model=Tells(), **GRAPH)
    codes = tm.PortableModel.create(tmp_path / "species", model=TellsOfSpecies(), **GRAPH)
    assert numbers.species_input.kind == "atomic_numbers"
    assert codes.species_input.kind == "codes"
    assert given(numbers) == NUMBERS
    assert given(codes) == CODES
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    assert given(codes) == NUMBERS


@pytest.mark.slow
def test_exported_programs(tmp_path):
    n, e = torch.export.Dim("n"), torch.export.Dim("e")
    example = (
        torch.zeros(4, dtype=torch.int64),
        torch.rand(4, 3, dtype=torch.float64),
        torch.zeros(2, 5, dtype=torch.int64),
        torch.zeros(4, dtype=torch.int64),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        program = torch.export.export(
            Tells(), example, dynamic_shapes=({0: n}, {0: n}, {1: e}, {0: n})
        )
    model = tm.PortableModel.create(tmp_path, model=program, **GRAPH)
    assert "model.pt2" in model.files
    assert given(model) == NUMBERS


def test_a_setting_is_kept(tmp_path, monkeypatch):
    network = {"model": TellsOfSpecies(), **GRAPH}
    made = tm.PortableModel.create(tmp_path / "made", species_input="atomic_numbers", **network)
    plain = tm.PortableModel.create(tmp_path / "plain", **network)
    told = tm.PortableModel.load(tmp_path / "plain", species_input="sorted_codes")
    told.save(tmp_path / "told")
    made.save(tmp_path / "copy")
    expected = {"made": NUMBERS, "plain": CODES, "told": SORTED, "copy": NUMBERS}
    assert given(told) == SORTED
    for name, numbers in expected.items():
        assert given(tm.PortableModel.load(tmp_path / name)) == numbers
    assert given(tm.PortableModel.load(tmp_path / "made", species_input="codes")) == CODES
    # what the file says comes before the environment, and is none of the values of the format
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    assert given(tm.PortableModel.load(tmp_path / "told")) == SORTED
    text = (tmp_path / "told" / "model.param").read_text()
    assert text.endswith("# torchml_core: species_input = sorted_codes\n")
    assert plain.parameters.species_input is None


def test_what_cannot_be_said(tmp_path):
    tm.PortableModel.create(tmp_path / "m", model=Tells(), **GRAPH)
    for wrong in ("atomic numbers", True, 3):
        with pytest.raises(tm.InputError, match=r"species_input = .*: one of .*'codes'"):
            tm.PortableModel.load(tmp_path / "m", species_input=wrong)
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0]])])
    model = {"model": DescriptorNet(1), "species": ["Si"], "descriptor": descriptor}
    with pytest.raises(tm.InputError, match=r"species_input = 'codes': None, for a descriptor"):
        tm.PortableModel.create(tmp_path / "d", species_input="codes", **model)
    assert tm.PortableModel.create(tmp_path / "d", **model).species_input is None


class Embeds(torch.nn.Module):
    """Named as if it took atomic numbers, which it does not."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(2, 1).double()

    def forward(self, z, coords, graph_1, contributing):
        return self.embedding(z).sum() + 0.0 * coords.sum()


def test_what_it_was_given_is_in_the_error_of_a_model_that_fails(tmp_path):
    model = tm.PortableModel.create(tmp_path, model=Embeds(), **GRAPH)
    message = r"edges, atomic numbers for species \(because the first .* z\): index out of range"
    with pytest.raises(tm.ModelError, match=message):
        model.evaluate(rattled_silicon(1))
    codes = tm.PortableModel.load(tmp_path, species_input="codes")
    assert np.isfinite(codes.evaluate(rattled_silicon(1)).energy)


# --- models that KLIFF trained -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["schnet_z_SiC", "graph2_species_SiC"])
def test_kliff_s_models_give_kliff_s_numbers(name, shared_data):
    folder = shared_data / "kliff" / name
    reference = np.load(folder / "reference.npz")
    atoms = Atoms(
        reference["species"], reference["coords"], cell=reference["cell"], pbc=reference["pbc"]
    )
    model = tm.PortableModel.load(folder)
    p = model.evaluate(atoms).fold()
    assert p.energy == pytest.approx(float(reference["e"]), rel=1e-12)
    np.testing.assert_allclose(p.forces, reference["f"], rtol=0, atol=1e-12)
    c = tm.Configuration.from_atoms(
        atoms, model.cutoff, model.species, n_layers=model.parameters.n_layers
    )
    energy = np.zeros((1, 1))
    KimModel(folder).compute(c, Results(energy, None, None, None, None))
    assert energy[0, 0] == pytest.approx(float(reference["e"]), rel=1e-12)
