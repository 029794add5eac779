"""Every argument of every public function, given what it cannot be: an error of ours that names it.

Each argument of each of the calls below is replaced by each of BAD, one at a time. What it may be
is in ALLOWED; anything else must raise a TorchMLError, and nothing else.
"""

import decimal
import fractions
import inspect
import warnings

import numpy as np
import pytest
import small_models
import torch
from ase import Atoms
from ase.build import bulk

import torchml_core as tm

CYCLE = []
CYCLE.append(CYCLE)

BAD = {
    "None": None,
    "True": True,
    "text": "5",
    "no text": "",
    "bytes": b"5",
    "NUL": "a\0b",
    "surrogate": "\ud800",
    "long text": "x" * 5000,
    "-1": -1,
    "0": 0,
    "1": 1,
    "1.5": 1.5,
    "nan": np.nan,
    "inf": np.inf,
    "-1e200": -1e200,
    "1e200": 1e200,
    "1e-200": 1e-200,
    "2**31": 2**31,
    "2**63": 2**63,
    "10**400": 10**400,
    "complex": 1j,
    "complex array": np.array([1j, 2]),
    "decimal": decimal.Decimal("NaN"),
    "fraction": fractions.Fraction(1, 3),
    "[]": [],
    "ragged": [[1, 2], [3]],
    "cycle": CYCLE,
    "[1, 2]": [1, 2],
    "['a', 1]": ["a", 1],
    "[None]": [None],
    "unhashable": [["a"], {}],
    "{}": {},
    "{1: 2}": {1: 2},
    "set": {"Si"},
    "range": range(3),
    "array": np.array([1.0, 2.0]),
    "0-d array": np.array(5.0),
    "empty array": np.empty((0, 3)),
    "4-d array": np.zeros((1, 1, 1, 1)),
    "text array": np.array(["a", "b"]),
    "object array": np.array([None, "x"], dtype=object),
    "dates": np.array(["2000-01-01"], dtype="datetime64[D]"),
    "record": np.zeros(2, dtype=[("a", float)]),
    "function": lambda *_: 0,
    "class": int,
    "module": np,
    "object": object(),
}

FLAG = {"True", "0", "1"}
NUMBER = {"1", "1.5", "1e-200", "1e200", "2**31", "2**63", "fraction", "0-d array"}  # positive
WHOLE = {"0", "1", "1e200", "2**31", "2**63", "10**400"}
SPECIES = {"text", "long text", "text array"}  # "5" is one name
NOTHING = {"[]", "empty array", "{}", "no text"}  # for a sequence
NORMALIZATION = NUMBER | {"True", "-1", "0", "-1e200", "[1, 2]", "array"}
# What each argument may be; None where it is the default of the public function.
ALLOWED = {
    "half": FLAG,
    "self_interaction": FLAG,
    "sorted_rows": FLAG,
    "pbc": FLAG,
    "forces": FLAG,
    "virial": FLAG,
    "trust": FLAG,
    "deviations": FLAG,
    "unit_norm": FLAG,
    "returns_forces": FLAG,
    "cutoff": NUMBER,
    "skin": NUMBER | {"0"},
    "basis_cutoff": NUMBER,
    "sigma": NUMBER,
    "eta": NUMBER | {"0"},
    "zeta": NUMBER,
    "lambda_": NUMBER | {"-1", "0"},
    "neighbors of _compact": {"None"},
    "radial": {"[1, 2]", "array"},
    "angular": {"[1, 2]", "array"},
    "asymmetric": FLAG,
    "smoothing_width": NUMBER,
    "inner": {"0", "1e-200", "fraction"},
    "inner of ZBL": NUMBER,
    "outer": NUMBER,
    "species of ZBL": set(),
    "length_unit": NUMBER,
    "mean": NORMALIZATION,
    "std": NORMALIZATION,
    "n_threads": WHOLE - {"0"},
    "n_bytes": WHOLE,
    "seed": WHOLE,
    "n_layers": {"1"},
    "n_max": {"1"},
    "l_max": {"0", "1"},
    "q": {"0", "1"},
    "smoothing": {"None"},
    "species": SPECIES,
    "element": set(),
    "twojmax": {"0", "1"},
    "rfac0": {"1", "1e-200", "fraction"},
    "rmin0": {"0", "1", "1.5", "1e-200", "fraction"},
    "diagonal_style": {"0", "1"},
    "switch": FLAG,
    "subtract_isolated": FLAG,
    "normalize": FLAG,
    "chemical": FLAG,
    "self_in_all": FLAG,
    "rcutfac": NUMBER,
    "training_range": {"{}"},
    "reference_energies": {"{}"},
    "pair_terms": NOTHING - {"no text"},
    "made_by": {"{}"},
    "checksums": {"{}"},
    "other": {"{}"},
    "license": {"text", "long text"},
    "citation": {"text", "long text"},
    "species_names": SPECIES,
    "names": SPECIES,
    "positions": NOTHING,
    "structures": NOTHING,
    "indices": NOTHING,
    "path": {"text"},
    "folder": {"text"},
    "cutoff of require_cutoff": NUMBER | {"-1", "0", "-1e200"},
    "what of require_cutoff": set(BAD),  # for a message
}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A public function and arguments that are right, for each of them."""
    folder = tmp_path_factory.mktemp("arguments")
    atoms = bulk("Si")
    particles = tm.Configuration.from_atoms(atoms, 3.0, ["Si", "C"])
    functions = [("g2", [[0.5, 1.0]]), ("g4", [[2, 1, 0.05]])]
    descriptor = tm.SymmetryFunctions(["Si", "C"], 3.0, functions)
    descriptor.to_file(folder / "descriptor.dat")
    (folder / "model_files").mkdir()
    elements = tm.ElementSymmetryFunctions({"Si": [_function()]})
    settings = folder / "input.nn"
    settings.write_text("elements Si\ncutoff_type 1\nsymfunction_short Si 2 Si 0.1 0.0 5.0\n")
    model = tm.PortableModel.create(
        folder / "model",
        model=small_models.PairNet(),
        species=["Si", "C"],
        cutoff=small_models.CUTOFF,
        convention="raw",
    )
    for number in ("1", "2"):
        model.save(folder / "committee" / "members" / number)
    committee = tm.Committee([model, folder / "model"])
    card = {"training_range": None, "reference_energies": {"Si": -1.0}, "license": "MIT"}
    card |= {"pair_terms": [{"kind": "zbl", "inner": 4.0, "outer": 4.8}], "citation": "A. B."}
    card_of_file = {"units": {"length": "Angstrom", "energy": "eV"}, "dtype": "float64"}
    card_of_file |= {key: {} for key in ("made_by", "checksums", "other")}
    cell = {"cell": atoms.cell.array, "pbc": True}
    kinds = {"half": False, "self_interaction": False, "sorted_rows": False, "n_threads": 1}
    one = {"positions": atoms.positions, **cell, "cutoff": 3.0}
    many = {**one, **kinds, "atom_offsets": [0, 2], "cells": [cell.pop("cell")]}
    del many["cell"]
    names = "positions species contributing centers offsets neighbors parents shifts species_names"
    whole = {name: getattr(particles, name) for name in names.split()}
    whole |= {"cell": atoms.cell.array, "pbc": True, "cutoff": 3.0, "n_layers": 1, "all_rows": None}
    density = {"species": ["Si"], "cutoff": 4.0, "n_max": 2, "l_max": 1, "sigma": 0.5, "eta": None}
    density |= {"radial_basis": "gto", "smoothing": "cosine", "smoothing_width": 0.5}
    density |= {"species_density": "separate", "species_weights": [[1.0]], "basis_cutoff": 4.0}
    soap = {"cross_blocks": "full", "normalization": "dscribe", "unit_norm": False}
    layers = {"n_layers": 1, "n_threads": 1}
    of = {"configuration": particles, "n_threads": 1}
    weights = np.ones((2, descriptor.width))
    run = {"forces": True, "virial": True, "n_threads": 1}
    return [
        (tm.neighbor_list, {"quantities": "ijSDd", **one, **kinds, "out": None, "structure": None}),
        (tm.neighbor_list, {"quantities": "ij", "structure": atoms, "cutoff": 3.0}),
        (tm.neighbor_lists, {"quantities": "ijSDd", **many, "structures": None}),
        (tm.neighbor_lists, {"quantities": "ij", "structures": [atoms], "cutoff": 3.0}),
        (tm.neighbor_graph, {**many, "structures": None}),
        (tm.set_kept_memory, {"n_bytes": 2**29}),
        (tm.VerletList, {"cutoff": 3.0, "skin": 0.5, "species": ["Si"], **layers}),
        (tm.VerletList(3.0, 0.5).update, {"structure": atoms}),
        (tm.Configuration, whole),
        (
            tm.Configuration.from_atoms,
            {"structure": atoms, "cutoff": 3.0, "species": ["Si"], **layers},
        ),
        (tm.Configuration.from_atoms, {**one, "symbols": ["Si"] * 2, "species": ["Si"], **layers}),
        (particles.codes, {"names": ["C", "Si"]}),
        (particles.fold, {"per_particle": np.ones(particles.n_particles)}),
        (
            particles.particle_positions,
            {"positions": torch.tensor(atoms.positions), "cell": torch.tensor(atoms.cell.array)},
        ),
        (particles.require_cutoff, {"cutoff": 3.0, "what": "a test"}),
        (particles.staged_graph, {"cutoff": 2.0, "n_layers": 1}),
        (particles.with_positions, {"atom_positions": atoms.positions}),
        (
            tm.SymmetryFunctions,
            {"species": ["Si", "C"], "cutoff": 4.0, "functions": functions}
            | {"species_mode": "weighted", "cutoff_function": "cos", "weights": {"Si": 1, "C": 2}}
            | {"mean": [0.0, 0.0], "std": [1.0, 1.0]},
        ),
        (_functions, {"kind": "g2", "rows": [[0.5, 1.0]]}),
        (_parameters, {"zeta": 1.0, "lambda_": 1.0, "eta": 0.1}),
        (_pair_cutoff, {"cutoff": 3.0}),
        (
            _compact,
            {"neighbors": ("Si", "Si"), "radial": (0.0, 4.0), "angular": (0.0, 90.0)}
            | {"core": "poly2", "asymmetric": True},
        ),
        (
            tm.ElementSymmetryFunctions,
            {"functions": {"Si": [_function()]}, "cutoff_function": "cos", "inner": 0.0},
        ),
        (tm.SOAP, {**density, **soap}),
        (tm.SOAP, {"species": ["Si"], "cutoff": 4.0, "n_max": 2, "l_max": 1, "eta": 1.0}),
        (tm.SphericalExpansion, density),
        (
            tm.Bispectrum,
            {"species": ["Si"], "cutoff": 4.0, "twojmax": 2, "rfac0": 0.99, "rmin0": 0.0}
            | {"diagonal_style": 3, "weights": {"Si": 1.0}, "inner_switch": {"Si": (1.0, 0.5)}}
            | dict.fromkeys(("switch", "subtract_isolated", "normalize", "chemical"), True)
            | {"self_in_all": True},
        ),
        (tm.Bispectrum.lammps_cutoffs, {"rcutfac": 4.6, "radii": {"Ta": 0.5}}),
        (tm.Xi, {"q": 2, "cutoff": 4.0, "species": ["Si"]}),
        (tm.Xi(2, 4.0, species=["Si"]).to_file, {"path": folder / "written.dat"}),
        (descriptor.compute, {**of, "dtype": "float64"}),
        (descriptor.vjp, {**of, "dE_dD": weights, "virial": True}),
        (descriptor.pair_gradients, {**of, "dE_dD": weights}),
        (descriptor.jvp, {**of, "dr": np.ones_like(particles.positions)}),
        (descriptor.jacobian, {**of, "dtype": "float64"}),
        (descriptor.jacobian_nbytes, {"configuration": particles, "dtype": "float64"}),
        (descriptor.n_values, {"element": "Si"}),
        (elements.n_values, {"element": "Si"}),
        (descriptor.labels_of, {"element": "Si"}),
        (elements.labels_of, {"element": "Si"}),
        (tm.ModelCard, {"species": ["Si"], **card, **card_of_file}),
        (
            tm.training_range,
            {"descriptor": descriptor, "structures": [atoms], "n_threads": 1},
        ),
        (tm.SymmetryFunctions.from_settings, {"settings": descriptor.settings()}),
        (descriptor.to_file, {"path": folder / "written.dat"}),
        (tm.SOAP(["Si"], 4.0, 2, 1).to_file, {"path": folder / "written.dat"}),
        (elements.to_file, {"path": folder / "written.nn"}),
        (
            tm.autograd.compute,
            {"descriptor": descriptor, **of, "positions": torch.tensor(particles.positions)},
        ),
        (
            tm.autograd.vjp,
            {"descriptor": descriptor, **of, "dE_dD": torch.from_numpy(weights)},
        ),
        (
            tm.read_descriptor,
            {
                "path": folder / "descriptor.dat",
                "kind": "SymmetryFunctions",
                "species": ["Si", "C"],
            },
        ),
        (tm.read_n2p2, {"path": settings, "length_unit": 1.0}),
        (
            tm.PortableModel.create,
            {"folder": folder / "created", "model": small_models.PairNet(), "species": ["Si", "C"]}
            | {"cutoff": 3.0, "descriptor": None, "convention": "raw", "n_layers": 1}
            | {"returns_forces": False, "species_input": None, "dtype": None, **card},
        ),
        (
            tm.PortableModel.load,
            {"folder": folder / "model", "device": "cpu", "trust": False}
            | {"species_input": "codes", "dtype": "float64"},
        ),
        (model.save, {"folder": folder / "saved"}),
        (model.write_files, {"folder": folder / "model_files"}),
        (model.evaluate, {"structure": atoms, **run}),
        (model.evaluate_many, {"structures": [atoms], **run}),
        (tm.ZBL, {"species": ["Si"], "inner": 1.0, "outer": 3.0}),
        (tm.Committee, {"models": [model, model]}),
        (tm.Committee.load, {"folder": folder / "committee", "device": "cpu", "trust": False}),
        (committee.evaluate, {"structure": atoms, **run}),
        (committee.evaluate_many, {"structures": [atoms], **run}),
        (
            tm.ase.TorchMLCalculator,
            {"model": committee, "skin": 0.5, "n_threads": 1, "deviations": True}
            | {"extrapolation": "warn"},
        ),
        (
            tm.testing.finite_difference_forces,
            {"model": model, "atoms": Atoms("Si"), "step": 1e-4, "indices": [0]},
        ),
        (
            tm.testing.finite_difference_stress,
            {"model": model, "atoms": atoms, "step": 1e-4},
        ),
        (
            tm.testing.check_descriptor,
            {"descriptor": descriptor, "atoms": Atoms("Si"), "seed": 0},
        ),
    ]


def _functions(kind, rows):
    return tm.SymmetryFunctions(["Si"], 4.0, [(kind, rows)])


def _parameters(zeta, lambda_, eta):
    return tm.SymmetryFunctions(["Si"], 4.0, [("g4", [[zeta, lambda_, eta]])])


def _pair_cutoff(cutoff):
    return tm.SymmetryFunctions(["Si"], {("Si", "Si"): cutoff}, [("g2", [[0.5, 1.0]])])


def _compact(neighbors, radial, angular, core, asymmetric):
    f = ("c5", neighbors, radial, angular, core, asymmetric)
    return tm.ElementSymmetryFunctions({"Si": [f]})


def _function():
    from torchml_core.descriptors.symmetry_functions.functions import Function

    return Function("g2", ("Si",), 4.0, 0.1)


def evaluated(function, arguments):
    """Call a function; the generators among them do their work too."""
    result = function(**arguments)
    return list(result) if inspect.isgenerator(result) else result


def allowed_for(function, name):
    """The names of what an argument may be."""
    own = ALLOWED.get(f"{name} of {function.__name__}", ALLOWED.get(name, set()))
    default = inspect.signature(function).parameters[name].default
    return own | ({"None"} if default is None else set())


@pytest.fixture(autouse=True)
def kept_memory():
    yield
    tm.set_kept_memory(512 * 2**20)


def test_calls_are_right(calls):
    """Or the errors below would be of something else."""
    for function, arguments in calls:
        evaluated(function, {k: v for k, v in arguments.items() if v is not None})


@pytest.mark.slow
def test_every_argument_given_what_it_cannot_be(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where what may be a path is written
    wrong = []
    for function, arguments in calls:
        given = {k: v for k, v in arguments.items() if v is not None}
        for name in arguments:
            allowed = allowed_for(function, name)
            for what, bad in BAD.items():
                call = f"{function.__qualname__}({name}={what})"
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        evaluated(function, {**given, name: bad})
                except tm.TorchMLError as error:
                    if len(str(error)) > 800:
                        wrong.append(f"{call}: a message of {len(str(error))} characters")
                except Exception as error:
                    wrong.append(f"{call}: {type(error).__name__}: {error}")
                else:
                    if what not in allowed:
                        wrong.append(f"{call} is taken")
    assert not wrong, "\n".join(wrong)


def test_every_public_argument_is_tried(calls):
    """What is added to the public functions is added here."""
    tried = {}
    for function, arguments in calls:
        name = getattr(function, "__qualname__", "").removeprefix("Descriptor.")
        tried.setdefault(name, set()).update(arguments)
    others = {  # not made by users, without checks by design, always an error, called by ASE
        "Prediction",
        "PortableModel",
        "CommitteePrediction",
        "Extrapolation",
        "Configuration.unchecked",
        "TorchMLCalculator.calculate",
        "TorchMLCalculator.check_state",
    }
    for name, function in public_functions():
        parameters = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in {"self", "cls"}
        ]
        if name not in others and parameters:
            assert name in tried, f"{name} is not tried"
            assert set(parameters) <= tried[name], f"not all arguments of {name} are tried"


def public_functions():
    """Yield (qualified name, function) of what is public and takes arguments."""
    modules = {tm.ase: ["TorchMLCalculator"], tm.autograd: ["compute", "vjp"]}
    modules[tm.testing] = [name for name in tm.testing.__all__]
    things = {name: getattr(tm, name) for name in tm.__all__ if name not in tm._MODULES}
    things |= {name: getattr(module, name) for module in modules for name in modules[module]}
    for name, thing in things.items():
        if inspect.isclass(thing) and issubclass(thing, Exception):
            continue
        yield name, thing
        if inspect.isclass(thing) and thing.__module__.startswith("torchml_core"):
            for member, function in vars(thing).items():
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function) and not member.startswith("_"):
                    yield f"{name}.{member}", function
