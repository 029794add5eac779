"""The life of Python inside simulators, which have one of their own, or none, or are one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import structures
from ase.io.lammpsdata import write_lammps_data
from requirements import need
from simulators import QUIET, lammps, run

import torchml_core as tm
from torchml_core.kim import system

MODELS = ("StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si")


@pytest.fixture
def silicon(tmp_path):
    atoms = structures.rattled_silicon(1, seed=1)
    write_lammps_data(tmp_path / "silicon.data", atoms, masses=True)
    return atoms


# --- a host without Python -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(kim_api, tmp_path_factory):
    """A C program, compiled here."""
    prefix = system.find_management().resolve().parents[1]
    kim = [f"-I{prefix}/include/kim-api", f"-L{prefix}/lib", f"-Wl,-rpath,{prefix}/lib"]
    program = tmp_path_factory.mktemp("host") / "host"
    source = Path(__file__).with_name("host.c")
    command = ["cc", "-std=c11", "-Wall", "-Werror", "-o", program, source, *kim]
    subprocess.run([*command, "-lkim-api", "-lm", "-lpthread"], check=True)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    assert "kim-api" in linked
    assert "python" not in linked
    return program


@pytest.fixture
def cluster(tmp_path):
    atoms = structures.rattled_silicon(1, seed=2)
    atoms.pbc = False
    np.savetxt(tmp_path / "cluster", atoms.positions, header=f"{len(atoms)}", comments="")
    return atoms


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("how", ["once", "twice", "thread", "leave"])
def test_a_host_without_python(how, model, host, cluster, our_models, tmp_path):
    check_host(how, model, host, cluster, our_models, tmp_path)


@pytest.mark.parametrize("how", ["created-in-thread", "after-thread", "two-threads"])
def test_threads_of_a_host(how, host, cluster, our_models, tmp_path):
    check_host(how, "SymmetryFunctions_Si", host, cluster, our_models, tmp_path)


def check_host(how, model, host, cluster, our_models, tmp_path):
    done = run([host, model, "cluster", how], tmp_path, QUIET).good()
    expected = tm.PortableModel.load(our_models[model]).evaluate(cluster)
    energy, *forces = done.stdout.splitlines()
    assert float(energy) == pytest.approx(expected.energy, rel=1e-13)
    forces = np.array([line.split() for line in forces], dtype=float)
    np.testing.assert_allclose(forces, expected.forces, rtol=0, atol=1e-10)


def test_python_stays_with_the_main_thread(host, cluster, our_models, tmp_path):
    """Between models another thread is told so, rather than wait forever."""
    done = run([host, "SymmetryFunctions_Si", "cluster", "before-thread"], tmp_path)
    assert done.code == 0
    assert len(done.stdout.splitlines()) == 1 + len(cluster)
    assert "Python was started by the main thread" in done.stderr


@pytest.mark.parametrize(("how", "code"), [("once", 2), ("failed-in-thread", 0)])
def test_a_model_that_cannot_be_created(how, code, host, cluster, our_models, tmp_path):
    environment = {"KIM_MODEL_EXECUTION_DEVICE": "nonsense"}
    done = run([host, "Graph_Si", "cluster", how], tmp_path, environment)
    assert done.code == code
    assert "KIM_MODEL_EXECUTION_DEVICE = 'nonsense'" in done.stderr


# --- LAMMPS, which has Python --------------------------------------------------------------------

RUN = """
clear
kim           init {model} metal
atom_modify   map array
read_data     silicon.data
kim           interactions Si
thermo_style  custom step pe
thermo_modify format float %.17g
run           2
"""
PYTHON = '''
python {name} here """
def {name}():
    import sys, threading
    print("{name}", sys.version_info[0])
    worker = threading.Thread(target=print, args=("a thread of {name}",))
    worker.start()
    worker.join()
"""
python {name} invoke
'''


def check_energies(done, silicon, folders):
    for table, folder in zip(done.thermo(), folders, strict=True):
        expected = tm.PortableModel.load(folder).evaluate(silicon).energy
        assert table["PotEng"][0] == pytest.approx(expected, rel=1e-13)


def test_clear_and_another_model(our_models, silicon, lmp, tmp_path):
    names = [*MODELS, *MODELS]
    done = lammps("".join(RUN.format(model=name) for name in names), tmp_path).good()
    check_energies(done, silicon, [our_models[name] for name in names])


def test_python_of_lammps_around_runs(our_models, silicon, lmp, tmp_path):
    model = "SymmetryFunctions_Si"
    text = RUN.format(model=model)
    text = (
        PYTHON.format(name="before")
        + text
        + PYTHON.format(name="during")
        + "clear\n"
        + PYTHON.format(name="between")
        + text
        + "clear\n"
        + PYTHON.format(name="after")
    )
    done = lammps(text, tmp_path)
    known = "ERROR: Unrecognized command: python" not in done.stdout
    need(known, "this LAMMPS was built without its PYTHON package")
    done.good()
    for name in ("before", "during", "between", "after"):
        assert f"{name} 3\n" in done.stdout
        assert f"\na thread of {name}\n" in done.stdout
    check_energies(done, silicon, [our_models[model]] * 2)


def test_python_of_lammps_at_every_step(our_models, silicon, lmp, tmp_path):
    text = (
        PYTHON.format(name="step").partition("python step invoke")[0].replace("step()", "step(lmp)")
    )
    text += (
        RUN.format(model="StillingerWeber_Si")
        .replace("clear\n", "")
        .replace("run ", "fix call all python/invoke 1 end_of_step step\nrun ")
    )
    done = lammps(text, tmp_path).good()
    assert done.stdout.count("a thread of step") == 2
    check_energies(done, silicon, [our_models["StillingerWeber_Si"]])


# --- LAMMPS inside Python ------------------------------------------------------------------------

LIBRARY = """
import ctypes, sys
import {first}
library = ctypes.CDLL("liblammps.so.0", mode=ctypes.RTLD_GLOBAL)
library.lammps_open_no_mpi.restype = ctypes.c_void_p
library.lammps_get_thermo.restype = ctypes.c_double
words = [b"liblammps", b"-log", b"none", b"-screen", b"none"]
argv = (ctypes.c_char_p * len(words))(*words)
for model in sys.argv[1:]:
    lammps = ctypes.c_void_p(library.lammps_open_no_mpi(len(words), argv, None))
    for line in {text!r}.format(model=model).splitlines():
        library.lammps_command(lammps, line.encode())
    print(repr(library.lammps_get_thermo(lammps, b"pe")))
    library.lammps_close(lammps)
print("the end", flush=True)
"""


@pytest.fixture(scope="module")
def liblammps():
    code = "import ctypes; ctypes.CDLL('liblammps.so.0')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    need(done.returncode == 0, f"liblammps.so.0 cannot be loaded (Debian: lammps): {done.stderr}")


@pytest.mark.parametrize("first", ["json", "torch", "torchml_core.kim._kim"])
def test_lammps_as_a_library(first, liblammps, our_models, silicon, tmp_path):
    """Opened and closed for one model after another; the host may have loaded torch already."""
    text = RUN.replace("run           2", "run           0")
    (tmp_path / "host.py").write_text(LIBRARY.format(first=first, text=text))
    models = ("SymmetryFunctions_Si", "Graph_Si", "SymmetryFunctions_Si")
    done = run([sys.executable, "host.py", *models], tmp_path).good()
    *energies, end = done.stdout.split("\n", 3)
    assert end == "the end\n"
    for model, energy in zip(models, energies, strict=True):
        expected = tm.PortableModel.load(our_models[model]).evaluate(silicon).energy
        assert float(energy) == pytest.approx(expected, rel=1e-13)
