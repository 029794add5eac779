"""Dataset: labels from files, which may be missing; kinds, weights, parts, reference energies."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import torchml_core as tm
from torchml_core.dataset import Dataset


def labeled(symbols="Si2", energy=-3.0, *, kind=None, **results):
    atoms = bulk("Si") if symbols == "Si2" else Atoms(symbols, np.eye(3)[: len(Atoms(symbols))])
    if energy is not None:
        results["energy"] = energy
    atoms.calc = SinglePointCalculator(atoms, **results)
    if kind is not None:
        atoms.info["config_type"] = kind
    return atoms


@pytest.fixture
def written(tmp_path):
    """Write structures to a file; return its path."""

    def write_file(*structures):
        write(tmp_path / "data.extxyz", list(structures))
        return tmp_path / "data.extxyz"

    return write_file


def test_labels_in_ase_s_places(written):
    forces, stress = np.arange(6.0).reshape(2, 3), np.arange(6.0)
    path = written(labeled(forces=forces, stress=stress), labeled(energy=None), labeled())
    data = Dataset.read(path)
    assert len(data) == 3
    assert [data.count(name) for name in ("energy", "forces", "stress")] == [2, 1, 1]
    first = data[0]
    assert first.label == f"{path}@0 (line 1)"
    assert first.energy == -3.0
    np.testing.assert_array_equal(first.forces, forces)
    np.testing.assert_array_equal(first.stress, stress)
    assert data[1].energy is data[1].forces is data[1].stress is None
    assert first.atoms.calc is None
    assert repr(data) == ("<Dataset: 3 structures, 6 atoms of Si; 2 energy, 1 forces, 1 stress>")


def test_labels_under_other_names(written):
    atoms = bulk("Si")
    atoms.info |= {"dft_energy": -5.0, "dft_stress": np.diag([1.0, 2.0, 3.0]).ravel()}
    atoms.info["dft_stress"][[1, 3]] = 6.0
    atoms.arrays["dft_forces"] = np.ones((2, 3))
    keys = {"energy_key": "dft_energy", "forces_key": "dft_forces", "stress_key": "dft_stress"}
    (example,) = Dataset.read([written(atoms)], **keys)
    assert example.energy == -5.0
    np.testing.assert_array_equal(example.forces, 1)
    np.testing.assert_array_equal(example.stress, [1, 2, 3, 0, 0, 6])
    assert not Dataset.read(written(atoms)).count("energy")
    with pytest.raises(tm.InputError, match="energy_key = 'nothing': no structure has a value"):
        Dataset.read(written(atoms), energy_key="nothing")


def test_what_ase_reads_as_results_has_its_name_in_the_file_too(written):
    path = written(labeled(forces=np.ones((2, 3)), free_energy=-4.0))
    keys = {"energy_key": "free_energy", "forces_key": "forces"}
    (example,) = Dataset.read(path, **keys)
    assert example.energy == -4.0
    np.testing.assert_array_equal(example.forces, 1)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"energy": np.nan}, "energy = nan: a finite number is needed"),
        ({"forces": np.full((2, 3), np.inf)}, r"forces\[0, 0\] = inf"),
    ],
)
def test_labels_that_are_no_numbers(results, message):
    good, bad = labeled(), labeled(**results)
    with pytest.raises(tm.InputError, match=rf"structures\[1\]: {message}"):
        Dataset.from_atoms([good, bad])


def test_wrong_stresses():
    atoms = labeled()
    for stress, message in (
        (np.ones(5), "6 numbers, xx yy zz yz xz xy, or a"),
        (np.arange(9.0), "a symmetric matrix is needed"),
    ):
        atoms.calc.results["stress"] = stress
        with pytest.raises(tm.InputError, match=message):
            Dataset.from_atoms([atoms])
    with pytest.raises(tm.InputError, match="stress is given, for which a cell with three"):
        Dataset.from_atoms([labeled("SiO", stress=np.ones(6))])


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "bad.extxyz"
    path.write_text("2\nenergy=1\nSi 0 0 0\n")
    with pytest.raises(tm.InputError, match=rf"{path}@0 \(line 3\): 2 atoms are announced"):
        Dataset.read(path)
    with pytest.raises(tm.TorchMLError, match="no such file"):
        Dataset.read(tmp_path / "nothing.extxyz")


def test_kinds_and_weights():
    named = labeled()
    named.info["name"] = "runs/T300_step-1.5"
    structures = [labeled(kind="surface"), labeled(kind="bulk"), named, labeled(kind="bulk")]
    data = Dataset.from_atoms(structures, weights={"bulk": 2.0, "surface": 0})
    assert [example.kind for example in data] == ["surface", "bulk", "runs/T#_step#", "bulk"]
    assert [example.weight for example in data] == [0, 2, 1, 2]
    with pytest.raises(tm.InputError, match=r"weights\['bulk'\] = -1"):
        Dataset.from_atoms(structures, weights={"bulk": -1})


def test_weights_and_labels_of_structures_under_keys():
    atoms = [labeled(kind="bulk"), labeled(kind="bulk"), labeled(kind="surface")]
    atoms[0].info["w"], atoms[1].info["E"] = 0.5, -7.0
    data = Dataset.from_atoms(atoms, weight_key="w", energy_key="E", weights={"bulk": 3.0})
    assert [example.weight for example in data] == [1.5, 3, 1]
    assert [example.energy for example in data] == [None, -7, None]
    for keys, message in (
        ({"weight_key": "v"}, "weight_key = 'v': no structure has a value of this name"),
        ({"kind_key": "v"}, "kind_key = 'v': no structure"),
        ({"energy_key": 3}, "energy_key = 3: a str is needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            Dataset.from_atoms(atoms, **keys)
    atoms[2].info["w"] = -1
    with pytest.raises(tm.InputError, match=r"structures\[2\]: w = -1: a finite number of at"):
        Dataset.from_atoms(atoms, weight_key="w")


def test_weights_of_kinds_that_do_not_occur(written):
    with pytest.raises(tm.InputError, match="weights: kind 'liquid' does not occur; one of 'bulk'"):
        Dataset.read(written(labeled(kind="bulk")), weights={"liquid": 1.0})


def test_split_by_kind():
    structures = [labeled(energy=k, kind="ab"[k >= 10]) for k in range(14)]
    data = Dataset.from_atoms(structures)
    large, small = data.split(0.3, seed=1)
    assert [sum(e.kind == kind for e in small) for kind in "ab"] == [3, 1]
    assert sorted(e.energy for e in [*large, *small]) == list(range(14))
    again = data.split(0.3, seed=1)
    assert [e.energy for e in again[1]] == [e.energy for e in small]
    assert [e.energy for e in data.split(0.3, seed=2)[1]] != [e.energy for e in small]
    assert len(data.split(0.99)[0]) == 2  # one of each kind stays
    with pytest.raises(tm.InputError, match="fraction = 1"):
        data.split(1)


def test_configurations_are_made_once():
    data = Dataset.from_atoms([labeled(), labeled("SiO")])
    assert data.species == ("O", "Si")
    c = data.configuration(1, 2.0)
    assert c.species_names == ("O", "Si")
    assert data.configuration(1, 2.0) is c
    assert data.select([1]).configuration(0, 2.0) is c
    assert data.configuration(1, 2.5) is not c
    assert data.configuration(1, 2.0, ["Si", "O"]).species_names == ("Si", "O")


def test_reference_energies():
    atoms = [labeled("Si", -1.0), labeled("O", -2.0), labeled("SiO", -4.0)]
    assert Dataset.from_atoms(atoms).reference_energies() == {"O": -2.0, "Si": -1.0}
    given = Dataset.from_atoms(atoms).reference_energies({"Si": -5, "O": 0, "H": 7})
    assert given == {"O": 0, "Si": -5}
    with pytest.raises(tm.InputError, match="isolated has no energy of O"):
        Dataset.from_atoms(atoms).reference_energies({"Si": -5})
    # by least squares: exact where the energies are sums
    sums = [labeled("SiO", -4.0), labeled("SiO2", -7.0), labeled("SiO", None)]
    fitted = Dataset.from_atoms(sums).reference_energies()
    assert fitted == pytest.approx({"O": -3.0, "Si": -1.0})
    # one composition: the smallest ones that give its energy
    assert Dataset.from_atoms(sums[:1]).reference_energies() == pytest.approx({"O": -2, "Si": -2})
    assert Dataset.from_atoms([labeled(energy=None)]).reference_energies() == {"Si": 0.0}
