"""The driver, installed in a collection of KIM's that is thrown away, and models under it."""

import gc
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import small_models
from one_thread import one_torch_thread  # noqa: F401  a fixture of all tests here
from requirements import need

import torchml_core as tm

COMMAND = [sys.executable, "-m", "torchml_core.cli"]
EXAMPLES = ("StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si")
SPECIES = ["Si", "C"]


def pytest_collection_modifyitems(items):
    """What needs an installed driver is slow: models are built for it, simulators started."""
    for item in items:
        if "collection" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, request):
    """The test's own folder, where the KIM-API writes its kim.log."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if "kimpy" in request.fixturenames:
        gc.collect()  # models of kimpy's log their end


def program(name, package):
    return need(shutil.which(name), f"{name} is not on PATH (Debian: {package})")


@pytest.fixture(scope="session")
def kim_api():
    """The KIM-API's tools, and what they need to build a driver."""
    program("kim-api-collections-management", "libkim-api-dev")
    program("cmake", "cmake")
    program("make", "make")
    program("c++", "g++")


@pytest.fixture(scope="session")
def lmp():
    program("lmp", "lammps")


@pytest.fixture(scope="session")
def mpirun():
    program("mpirun", "openmpi-bin")


@pytest.fixture(scope="session")
def kimpy(collection):
    """The module; it lives in this process, so it sees the collection only if made after it."""
    try:
        import kimpy
    except ImportError as error:
        return need(None, f"kimpy cannot be imported ({error}): pip install kimpy")
    return kimpy


class Collection:
    """KIM's collection "environment" in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.user = folder / "user"  # with the folders that KIM names
        self.variables = {"KIM_API_CONFIGURATION_FILE": str(folder / "configuration")}
        self.installed = {}
        # Unless told otherwise, the KIM-API makes its "user" collection in the home directory.
        lines = []
        for kind in ("model-drivers", "portable-models", "simulator-models"):
            for owner in ("user", "environment"):
                (folder / owner / kind).mkdir(parents=True)
            variable = f"KIM_API_{kind.upper().replace('-', '_')}_DIR"
            self.variables[variable] = str(folder / "environment" / kind)
            lines.append(f"{kind}-dir = {folder / 'user' / kind}\n")
        (folder / "configuration").write_text("".join(lines))

    def command(self, *words):
        """Run ``torchml-core kim ...`` in a process of its own."""
        return subprocess.run(
            [*COMMAND, "kim", *map(str, words)], capture_output=True, text=True, cwd=self.folder
        )

    def model(self, source):
        """Install the portable model in a folder, once; return its name."""
        name = Path(source).name
        if name not in self.installed:
            done = self.command("install", source, "--collection", "environment")
            assert done.returncode == 0, done.stderr
            self.installed[name] = Path(source)
        return name

    def unchanged(self, source):
        """Install a model by KIM's own tool, from the CMakeLists.txt that it came with."""
        name = Path(source).name
        if name not in self.installed:
            tool = ["kim-api-collections-management", "install", "environment", source]
            done = subprocess.run(tool, capture_output=True, text=True, cwd=self.folder)
            assert done.returncode == 0, done.stdout + done.stderr
            self.installed[name] = Path(source)
        return name


@pytest.fixture(scope="session")
def collection(kim_api, tmp_path_factory):
    """The collection, with the driver in it; this process and all it starts use it."""
    own = Collection(tmp_path_factory.mktemp("kim"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in own.variables.items():
            monkeypatch.setenv(name, value)
        for name in list(os.environ):
            if name.startswith(("KIM_MODEL_", "TORCHML_CORE_KIM_")):
                monkeypatch.delenv(name)
        prefix = Path(shutil.which("kim-api-collections-management")).resolve().parents[1]
        monkeypatch.setenv("KIM_API_CMAKE_PREFIX_DIR", str(prefix))
        done = own.command("install-driver", "--collection", "environment")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "installed the driver TorchMLModelDriver (environment)\n"
        yield own


@pytest.fixture(scope="session")
def example_folders(examples):
    return {name: examples / "models" / name for name in EXAMPLES}


@pytest.fixture(scope="session")
def two_species(tmp_path_factory):
    """A model of silicon and carbon in each convention, in that order: {name: folder}."""
    folder = tmp_path_factory.mktemp("models")
    functions = [("g2", [[0.3, 0.0], [0.5, 1.5]]), ("g4", [[1, 1, 0.05], [2, -1, 0.1]])]
    cutoffs = {("Si", "Si"): small_models.CUTOFF, ("Si", "C"): 3.0, ("C", "C"): 2.8}
    descriptor = tm.SymmetryFunctions(SPECIES, cutoffs, functions)
    resolved = tm.SymmetryFunctions(SPECIES, cutoffs, functions, species_mode="resolved")
    of = {"species": SPECIES, "cutoff": small_models.CUTOFF}
    networks = {
        "Raw_SiC": {"model": small_models.PairNet(), "convention": "raw", **of},
        "Descriptor_SiC": {
            "model": small_models.DescriptorNet(descriptor.width),
            "species": SPECIES,
            "descriptor": descriptor,
        },
        "Graph_SiC": {  # the repulsion reaches beyond the cutoff
            "model": small_models.GraphNet(),
            "convention": "graph",
            "n_layers": 3,
            "pair_terms": [{"kind": "zbl", "inner": 3.0, "outer": 4.4}],
            **of,
        },
        "Elements_SiC": {
            "model": small_models.ElementNet(2, resolved.width),
            "species": SPECIES,
            "descriptor": resolved,  # descriptor.json
            "pair_terms": [{"kind": "zbl", "inner": 1.2, "outer": 2.6}],
        },
    }
    for name, options in networks.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tm.ModelWarning)  # Descriptor_SiC: of one input
            tm.PortableModel.create(folder / name, **options)
    return {name: folder / name for name in networks}


@pytest.fixture(scope="session")
def our_models(collection, example_folders, two_species):
    """The examples and the models of two species, installed: {name: folder}."""
    folders = {**example_folders, **two_species}
    return {collection.model(folder): folder for folder in folders.values()}


@pytest.fixture(scope="session")
def real_models(collection, shared_data):
    """Models that others wrote, installed from their own CMakeLists.txt: {name: folder}."""
    names = ("TorchMLModel1_SW", "TorchMLModel2_Desc", "TorchMLModel3_Graph")
    folders = [shared_data / "portable_models" / name for name in names]
    return {collection.unchanged(folder): folder for folder in folders}
