"""Everything public can be pickled and copied, and is equal after it.

Equal means: of the same class and equal in every attribute, arrays to the last bit. What has
``==`` of its own (descriptors, parameters) is asked; of a model the bytes of its file count.
"""

import copy
import functools
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
import shutil

import numpy as np
import pytest
import small_models
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from structures import rattled_silicon

import torchml_core as tm
from torchml_core._moving import Mover, Reach
from torchml_core.ase import TorchMLCalculator
from torchml_core.dataset import Dataset, Example, FeatureFile, Finding, featurize
from torchml_core.dataset.batches import Batch, Batches
from torchml_core.descriptors.element_symmetry_functions import Function
from torchml_core.descriptors.symmetry_functions.functions import CompactFunction
from torchml_core.kim.extrapolations import Extrapolations
from torchml_core.kim.model import KimModel
from torchml_core.portable.executors import TorchScriptExecutor, _Executor
from torchml_core.portable.extrapolation import (
    ExtrapolationMonitor,
    Outside,
    TrainingLimits,
)
from torchml_core.portable.forward import Forward
from torchml_core.portable.model_facts import ModelFacts
from torchml_core.portable.model_file import model_facts
from torchml_core.portable.model_json import TrainingRange
from torchml_core.portable.parameters import ModelParameters, read_parameters
from torchml_core.portable.precision import Choice, Precision
from torchml_core.portable.species_input import SpeciesInput
from torchml_core.structure import Structure, as_structure
from torchml_core.torch_neighbors import NeighborGraph
from torchml_core.training import (
    CSVFile,
    Epoch,
    KalmanFilter,
    LevenbergMarquardt,
    LinearFit,
    TensorBoard,
    Trainer,
    fit_linear,
)

FUNCTIONS = [("g2", [[0.1, 0.0], [0.5, 1.0]]), ("g4", [[1, -1, 0.01]])]
CUTOFF = small_models.CUTOFF


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "raw"
    tm.PortableModel.create(
        folder,
        model=small_models.PairNet(),
        species=["Si", "C"],
        cutoff=CUTOFF,
        convention="raw",
    )
    return folder


@functools.cache
def configuration():
    return tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF, n_layers=2)


@functools.cache
def descriptor():
    return tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)


@functools.cache
def small_data():
    structures = [rattled_silicon(1, seed=k) for k in range(3)]
    for k, atoms in enumerate(structures):
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * k, forces=0.1 * atoms.positions)
    return Dataset.from_atoms(structures)


def small_features(folder):
    write(folder / "data.extxyz", rattled_silicon(1))
    return featurize(descriptor(), folder / "data.extxyz", folder / "features.h5")


def descriptor_model():
    network = tm.nn.ElementNetworks(descriptor(), hidden=(3,))
    return tm.nn.DescriptorModel(descriptor(), network, reference_energies={"Si": -1.0})


def with_linear():
    network = tm.nn.ElementNetworks(descriptor(), hidden=(3,))
    return tm.nn.WithLinear(tm.nn.ElementPolynomials(descriptor()), network)


def used_verlet_list():
    verlet = tm.VerletList(CUTOFF, species=["Si"])
    verlet.update(rattled_silicon(1))
    return verlet


def used_calculator(folder):
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(folder)
    atoms.get_forces()
    return atoms.calc


def used_workspace():
    workspace = tm.NeighborWorkspace()
    tm.neighbor_list("ijD", rattled_silicon(1), CUTOFF, out=workspace)
    return workspace


def committee(folder):
    """Two models of silicon that share a descriptor; made once in this folder."""
    folders = [folder.parent / "committee" / str(number) for number in (1, 2)]
    for own in folders:
        if not own.exists():
            network = small_models.DescriptorNet(descriptor().width)
            tm.PortableModel.create(own, model=network, species=["Si"], descriptor=descriptor())
    return tm.Committee(folders)


def outside():
    """Values of a descriptor that are outside of a training range."""
    n = descriptor().width
    limits = TrainingLimits(descriptor(), {"Si": (np.full(n, -2.0), np.full(n, -1.0))})
    return limits.outside(configuration(), descriptor().compute(configuration()))


def used_monitor():
    monitor = ExtrapolationMonitor("ignore")
    monitor.warn(tm.Prediction(configuration(), {}, [outside()]))
    return monitor


# How each public class is made.
MADE = {
    tm.Committee: committee,
    tm.CommitteePrediction: lambda folder: committee(folder).evaluate(configuration()),
    tm.Configuration: lambda folder: configuration(),
    tm.ElementSymmetryFunctions: lambda folder: tm.ElementSymmetryFunctions(
        {"H": [Function("g2", None, 4.0, 0.1)]}
    ),
    CompactFunction: lambda folder: CompactFunction("c2", None, (0.0, 3.0)),
    tm.Bispectrum: lambda folder: tm.Bispectrum(["Si"], 3.0, 2),
    tm.nn.ElementNetworks: lambda folder: tm.nn.ElementNetworks(descriptor(), hidden=(3,)),
    tm.nn.DescriptorModel: lambda folder: descriptor_model(),
    tm.nn.ModelOutput: lambda folder: tm.nn.ModelOutput(*(torch.ones(1),) * 3),
    tm.nn.WithLinear: lambda folder: with_linear(),
    Trainer: lambda folder: Trainer(descriptor(), with_linear(), schedule="constant"),
    CSVFile: lambda folder: CSVFile(folder / "x.csv"),
    TensorBoard: lambda folder: TensorBoard(folder),
    KalmanFilter: lambda folder: KalmanFilter(0.1, 2.0),
    LevenbergMarquardt: lambda folder: LevenbergMarquardt(0.1),
    Epoch: lambda folder: Epoch(1, 0.1, 2.0, {"energy": 0.1}, None, {}, 3.0),
    tm.nn.ElementPolynomials: lambda folder: tm.nn.ElementPolynomials(descriptor()),
    Extrapolations: lambda folder: Extrapolations(),
    Forward: lambda folder: tm.PortableModel.load(folder)._executor.forward,
    Function: lambda folder: Function("g2", None, 4.0, 0.1),
    tm.NeighborWorkspace: lambda folder: used_workspace(),
    tm.PortableModel: tm.PortableModel.load,
    tm.Extrapolation: lambda folder: outside().record(0),
    ExtrapolationMonitor: lambda folder: used_monitor(),
    Outside: lambda folder: outside(),
    TrainingLimits: lambda folder: outside().limits,
    tm.Prediction: lambda folder: tm.PortableModel.load(folder).evaluate(configuration()),
    tm.SOAP: lambda folder: tm.SOAP(["Si"], 3.0, n_max=2, l_max=1),
    tm.SphericalExpansion: lambda folder: tm.SphericalExpansion(["Si"], 3.0, n_max=2, l_max=1),
    tm.SymmetryFunctions: lambda folder: descriptor(),
    tm.Xi: lambda folder: tm.Xi(2, 3.0),
    Dataset: lambda folder: small_data(),
    Example: lambda folder: small_data()[0],
    Finding: lambda folder: Finding("duplicates", "one occurs twice", ("a.xyz@1", "a.xyz@2")),
    Batches: lambda folder: small_data().batches(descriptor(), 2, seed=0),
    Batch: lambda folder: small_data().batches(descriptor(), 2).batch([2, 0]),
    FeatureFile: lambda folder: small_features(folder),
    LinearFit: lambda folder: fit_linear(descriptor(), small_data(), ridge=1e-6),
    tm.ZBL: lambda folder: tm.ZBL(["Si"], 1.0, 3.0),
    tm.VerletList: lambda folder: used_verlet_list(),
    type(descriptor().jacobian(configuration())): lambda f: descriptor().jacobian(configuration()),
    KimModel: KimModel,
    tm.ModelCard: lambda folder: tm.PortableModel.load(folder).card,
    TrainingRange: lambda folder: TrainingRange((0.0,), (1.0,)),
    ModelFacts: lambda folder: model_facts(folder / "model.pt"),
    NeighborGraph: lambda folder: tm.neighbor_graph([rattled_silicon(1)], CUTOFF),
    Choice: lambda folder: tm.PortableModel.load(folder)._precision.choice,
    Precision: lambda folder: tm.PortableModel.load(folder)._precision,
    ModelParameters: lambda folder: read_parameters(folder / "model.param"),
    SpeciesInput: lambda folder: tm.PortableModel.load(folder).species_input,
    Structure: lambda folder: as_structure(rattled_silicon(1)),
    TorchMLCalculator: used_calculator,
    TorchScriptExecutor: lambda folder: tm.PortableModel.load(folder)._executor,
}
# Modules of which nobody outside of this library has an object for longer than a call.
WITHIN = {
    "batch",
    "bench",
    "cells",
    "cli",
    "convert",
    "dataset.look",
    "dataset.occurrences",
    "descriptors.bispectrum.coupling",
    "descriptors.bispectrum.packing",
    "descriptors.data_lines",
    "descriptors.density.packing",
    "descriptors.density.radial_table",
    "descriptors.symmetry_functions.compact_planning",
    "descriptors.symmetry_functions.n2p2_functions",
    "descriptors.symmetry_functions.n2p2_settings",
    "descriptors.symmetry_functions.packing",
    "descriptors.symmetry_functions.planning",
    "descriptors.xi.packing",
    "descriptors.xi.terms",
    "json_text",
    "kernels",
    "kim.doctor",
    "kim.installed",
    "kim.system",
    "nn.activations",
    "nn.portable_form",
    "pair_terms.zbl_kernel",
    "portable.added_terms",
    "portable.linear_model",
    "portable.archive",
    "portable.network_kernel",
    "portable.plain_network",
    "portable.conventions",
    "portable.evaluation",
    "portable.exported_file",
    "portable.script_pickle",
    "portable.stored_model",
    "portable.torchscript_file",
    "simd",
    "structure_files",
    "threads",
    "training.checkpoint",
    "training.choose",
    "training.deadline",
    "training.expected_errors",
    "training.features",
    "training.least_squares",
    "training.lower_triangle",
    "training.losses",
    "training.normal_equations",
    "training.optimizers",
    "training.run",
    "training.second_order.jacobians",
    "training.second_order.rows",
    "training.second_order.shared",
    "training.steps",
}
# Classes that are bases of others, results of C's kind, or tried elsewhere.
NOT_MADE = {"Ranges", "Descriptor", "Storable", "DensityDescriptor", "Results", "ExportedExecutor"}
NOT_MADE |= {"ElementNetwork", "Layer", "MeanNetwork"}  # parts of ElementNetworks
NOT_MADE |= {"Evaluation"}  # its kept memory has no equality: tests/descriptors/test_evaluation.py
NOT_MADE |= {"Epochs"}  # of a Trainer that runs
NOT_MADE |= {"Block", "FeatureWork", "FeatureWriter", "Labels", "Rows", "SafeFile"}  # of featurize


def public_classes():
    for found in pkgutil.walk_packages(tm.__path__, "torchml_core."):
        name = found.name.removeprefix("torchml_core.")
        within = any(name == other or name.startswith(f"{other}.") for other in WITHIN)
        if within or any(part.startswith("_") for part in name.split(".")):
            continue
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            own = inspect.isclass(kind) and kind.__module__ == module.__name__
            if own and not kind.__name__.startswith("_") and not issubclass(kind, Exception):
                yield kind


def test_no_public_class_is_forgotten():
    found = {kind for kind in public_classes() if kind.__name__ not in NOT_MADE}
    assert {kind.__name__ for kind in found ^ set(MADE)} == set()


def equal(a, b, above=()):
    """Whether two objects are of one class and have equal attributes, to the last bit."""
    if type(a) is not type(b):
        return False
    if id(a) in above:
        return True  # part of itself: a method of its own that it keeps
    same = functools.partial(equal, above=(*above, id(a)))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, torch.Tensor):
        return same(a.detach().numpy(), b.detach().numpy())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, functools.partial):
        return same((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
    if inspect.ismethod(a):
        return a.__func__ is b.__func__ and same(a.__self__, b.__self__)
    if isinstance(a, Dataset):
        return same(a.examples, b.examples)  # neighbor lists are made again
    if isinstance(a, FeatureFile):
        return same((a.path, a.settings, a.offsets), (b.path, b.settings, b.offsets))
    if isinstance(a, _Executor):
        return (a.path, a.content, a.device) == (b.path, b.content, b.device)
    if isinstance(a, (Mover, Reach)):
        return same(a.__reduce__()[1], b.__reduce__()[1])
    if isinstance(a, tm.NeighborWorkspace):
        return True  # memory: what is in it is of no account
    has_arrays = any(isinstance(v, np.ndarray) for v in getattr(a, "__dict__", {}).values())
    if type(a).__eq__ is not object.__eq__ and not has_arrays:
        return a == b
    return same(vars(a), vars(b)) if hasattr(a, "__dict__") else a is b


WAYS = {
    f"protocol {p}": lambda x, p=p: pickle.loads(pickle.dumps(x, p))
    for p in (2, pickle.HIGHEST_PROTOCOL)
}
WAYS |= {"copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.__name__)
def test_pickled_and_copied_is_equal(kind, folder):
    made = MADE[kind](folder)
    assert type(made) is kind
    for way in WAYS.values():
        again = way(made)
        assert again is not made
        assert equal(made, again)


def test_what_equal_finds():
    """A comparison that calls everything equal would test nothing."""
    a, b = configuration(), copy.deepcopy(configuration())
    b.positions[3, 1] = np.nextafter(b.positions[3, 1], 9)
    assert not equal(a, b)
    assert not equal(tm.VerletList(3.0), tm.VerletList(3.0, n_layers=2))
    assert not equal([1, np.zeros(2)], [1, np.zeros(2, np.float32)])
    assert equal({"a": (1, np.zeros(2))}, {"a": (1, np.zeros(2))})


def test_predictions_that_are_not_computed_yet(tmp_path):
    """Particle virials of descriptor models are made when somebody looks."""
    net = small_models.DescriptorNet(descriptor().width)
    arguments = {"model": net, "species": ["Si"], "descriptor": descriptor()}
    model = tm.PortableModel.create(tmp_path / "model", **arguments)
    for prediction in (model.evaluate(configuration()), model.evaluate(configuration()).fold()):
        again = pickle.loads(pickle.dumps(prediction))
        assert equal(again.particle_virials, prediction.particle_virials)
        assert equal(again.stress, prediction.stress)


def test_staged_graphs():
    graphs = configuration().staged_graph(CUTOFF, 2)
    assert equal(pickle.loads(pickle.dumps(graphs)), graphs)


def test_a_copied_calculator_is_its_own(folder):
    calculator = used_calculator(folder)
    again = copy.deepcopy(calculator)
    assert again.model is not calculator.model
    moved = rattled_silicon(1, seed=5)
    moved.calc = again
    energy = moved.get_potential_energy()
    assert calculator.results["energy"] != energy  # is not touched by the copy
    moved.calc = calculator
    assert moved.get_potential_energy() == energy


def test_a_model_without_its_folder(folder, tmp_path):
    """A pickle has the bytes of the files: it works when the folder is gone, or has other ones."""
    here = tmp_path / "gone"
    shutil.copytree(folder, here)
    atoms = rattled_silicon(1)
    model = tm.PortableModel.load(here)
    content, expected = pickle.dumps(model), model.evaluate(atoms)
    shutil.rmtree(here)
    again = pickle.loads(content)
    found = again.evaluate(atoms)
    assert found.energy == expected.energy
    assert np.array_equal(found.forces, expected.forces)
    assert (again.folder, repr(again)) == (model.folder, repr(model))
    again.save(tmp_path / "saved")
    for file in ("model.pt", "model.param"):
        assert (tmp_path / "saved" / file).read_bytes() == (folder / file).read_bytes()


def energy_of(model, atoms):
    return model.evaluate(atoms).energy


@pytest.mark.slow  # a new process imports torch
def test_a_model_in_a_spawned_process(folder):
    model, atoms = tm.PortableModel.load(folder), rattled_silicon(1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap(energy_of, [(model, atoms)])
    assert found == [model.evaluate(atoms).energy]
