"""What fails is said, on stderr and in kim.log, and ends the run: all of its ranks, in seconds."""

import re

import pytest
import small_models
import structures
import torch
from ase.io.lammpsdata import write_lammps_data
from simulators import LMP, lammps, run

import torchml_core as tm
from torchml_core.kim.model import THREADS

INPUT = """
kim           init {model} metal
atom_modify   map array
read_data     silicon.data
kim           interactions {species}
velocity      all set 0 0 0
velocity      fast set 400 0 0
fix           ensemble all nve
thermo        1
{more}
run           {steps}
"""


class Fragile(small_models.PairNet):
    """It refuses atoms at high x: on the last rank only, and once one has come there."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = coords[contributing == 1]
        if bool(torch.any(own[:, 0] > 9.9)):
            raise RuntimeError("an atom is beyond 9.9")
        return torch.zeros(len(own), dtype=coords.dtype) + coords.sum() * 0


@pytest.fixture(scope="module")
def fragile(collection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fragile") / "Fragile_Si"
    options = {"species": ["Si"], "cutoff": 3.0, "convention": "raw"}
    tm.PortableModel.create(folder, model=Fragile(), **options)
    return collection.model(folder)


@pytest.fixture
def silicon(tmp_path):
    """8 atoms in a box of 10.86 Å, all below 5 Å; the fast one is at 9.4 Å, alone."""
    atoms = structures.rattled_silicon((2, 1, 1), seed=1)
    atoms = atoms[[k for k in range(16) if atoms.positions[k, 0] < 5]]
    atoms.positions[-1] = 9.4, 2.0, 2.0
    write_lammps_data(tmp_path / "silicon.data", atoms, masses=True)
    return atoms


def input_of(model, species="Si", more="", steps=10):
    text = INPUT.format(model=model, species=species, more=more, steps=steps)
    return text.replace("velocity      fast", "group         fast id 8\nvelocity      fast")


def check_failed(done, reason, *, model_failed=True):
    """It ended with an error, not by a signal; the reason is in both places, once a rank."""
    assert done.code in range(1, 128), (done.code, done.stdout[-1000:], done.stderr)
    assert re.search(reason, done.stderr), done.stderr
    if model_failed:
        assert "KIM model driver (torchml_core): " in done.stderr
        assert re.search(rf"\* error \* .*{reason}", done.kim_log), done.kim_log
    assert "Segmentation" not in done.stderr


def test_a_model_that_fails_at_some_step(fragile, silicon, lmp, tmp_path):
    done = lammps(input_of(fragile), tmp_path)
    check_failed(done, "an atom is beyond 9.9")
    assert "ERROR: KIM Compute returned error" in done.stdout
    table = done.text("log.lammps").partition("Step Temp")[2]
    assert re.findall(r"^ +(\d+) ", table, re.MULTILINE) == ["0", "1"]  # from 9.4 Å, 0.4 Å a step
    assert done.stderr.count("an atom is beyond") == 1
    assert "forward failed on" in done.stderr  # what the model was given


@pytest.mark.parametrize("ranks", [2, 4])
def test_on_one_rank_of_several_it_ends_the_job(ranks, fragile, silicon, lmp, mpirun, tmp_path):
    done = lammps(input_of(fragile), tmp_path, ranks, timeout=60)
    check_failed(done, "an atom is beyond 9.9")
    assert done.stderr.count("an atom is beyond") == 1


def two_different_ranks(text, variable, value, folder):
    """Two ranks, of which the first has a variable that makes it fail."""
    (folder / "in.lammps").write_text(text)
    one = ["-np", 1, "-x", f"{variable}={value}", *LMP]
    return run(["mpirun", *one, ":", "-np", 1, *LMP], folder, timeout=60)


def test_a_model_created_on_one_rank_of_two(our_models, silicon, lmp, mpirun, tmp_path):
    text = input_of("SymmetryFunctions_Si", steps=2)
    done = two_different_ranks(text, THREADS, "many", tmp_path)
    check_failed(done, f"{THREADS} = 'many': a whole number")
    assert "Loop time" not in done.stdout


def test_python_on_one_rank_of_two(our_models, silicon, lmp, mpirun, tmp_path):
    (tmp_path / "torchml_core.py").write_text("")
    text = input_of("SymmetryFunctions_Si", steps=2)
    done = two_different_ranks(text, "PYTHONPATH", tmp_path, tmp_path)
    check_failed(done, "torchml_core, installed for .*, cannot be imported")


def test_where_errors_are_the_caller_s_all_ranks_stop(our_models, silicon, lmp, mpirun, tmp_path):
    environment = {"TORCHML_CORE_KIM_KEEP_JOB": "1", THREADS: "many"}
    text = input_of("SymmetryFunctions_Si")
    done = lammps(text, tmp_path, 2, environment=environment)
    check_failed(done, f"{THREADS} = 'many': a whole number")
    assert done.stderr.count("KIM model driver (torchml_core): ") == 2
    assert "ERROR" in done.stdout + done.stderr  # LAMMPS's own


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({THREADS: "0"}, "at least 1"),
        ({"KIM_MODEL_EXECUTION_DEVICE": "nonsense"}, "KIM_MODEL_EXECUTION_DEVICE = 'nonsense'"),
        ({"KIM_MODEL_DISABLE_GRAPH": "1"}, "KIM_MODEL_DISABLE_GRAPH"),
    ],
)
def test_an_environment_that_cannot_be_used(
    environment, reason, our_models, silicon, lmp, tmp_path
):
    check_failed(lammps(input_of("Graph_Si"), tmp_path, environment=environment), reason)


def test_torch_is_missing(our_models, silicon, lmp, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no such library: libtorch')")
    done = lammps(input_of("Graph_Si"), tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    check_failed(done, "cannot be imported: no such library: libtorch; `.* kim doctor` tells more")


def test_the_package_is_missing(our_models, silicon, lmp, tmp_path):
    (tmp_path / "torchml_core.py").write_text("")
    done = lammps(input_of("Graph_Si"), tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    check_failed(done, "cannot be imported: No module named 'torchml_core.kim'")


OTHER_VERSION = """
import ctypes
memory = (ctypes.c_int * 64)(999)  # the version comes first
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
name = b"torchml_core.kim._kim.bridge"
bridge = new(ctypes.addressof(memory), name, None)
"""


def test_driver_and_package_of_different_versions(our_models, silicon, lmp, tmp_path):
    package = tmp_path / "torchml_core" / "kim"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "_kim.py").write_text(OTHER_VERSION)
    done = lammps(input_of("Graph_Si"), tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    check_failed(done, "different versions: install the driver again")


def test_a_species_that_the_model_does_not_know(our_models, silicon, lmp, tmp_path):
    done = lammps(input_of("SymmetryFunctions_Si", species="C"), tmp_path)
    assert done.code == 1
    assert "ERROR" in done.stdout
    assert "symbol not found: C" in done.stdout


def test_shares_of_atoms_where_there_are_none(our_models, lmp, tmp_path):
    atoms = structures.rattled_silicon(1)
    write_lammps_data(tmp_path / "silicon.data", atoms, masses=True)
    more = "compute energies all pe/atom\nthermo_style custom step c_total\n"
    more = more.replace("thermo", "compute total all reduce sum c_energies\nthermo", 1)
    done = lammps(input_of("Graph_SiC", more=more), tmp_path)
    check_failed(done, "particle_energies: the model returns energies of shape")


@pytest.mark.parametrize("what", ["sqrt(-1.0)", "1e308*10"])
def test_a_coordinate_that_is_none(what, our_models, silicon, lmp, tmp_path):
    """LAMMPS looks itself; that the driver does too is seen in test_kimpy.py."""
    more = f"variable bad atom {what}\nset atom 1 x v_bad"
    done = lammps(input_of("SymmetryFunctions_Si", more=more), tmp_path)
    assert done.code == 1
    assert "ERROR" in done.stdout
