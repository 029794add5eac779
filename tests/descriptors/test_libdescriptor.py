"""Equal to libdescriptor on the reference cases, from parameters and from its own files."""

import numpy as np
import pytest
from descriptors.libdescriptor_cases import cases_of, configuration_of
from requirements import shared_cases

import torchml_core as tm

ORDER = {
    "g1": [],
    "g2": ["eta", "Rs"],
    "g3": ["kappa"],
    "g4": ["zeta", "lambda", "eta"],
    "g5": ["zeta", "lambda", "eta"],
}
STRUCTURES = ("si8", "sic64", "ethanol_water", "single_si")
SETS = ("sf_set51", "sf_set30", "sf_mix_paircut")
NOT_THERE = {("single_si", "sf_set30")}
CASES = [
    f"{structure}__{name}"
    for structure in STRUCTURES
    for name in SETS
    if (structure, name) not in NOT_THERE
]


@pytest.fixture(scope="module")
def manifest(shared_data):
    """{name: case} of the cases of symmetry functions."""
    return cases_of(shared_data, "SymmetryFunctions")


@pytest.fixture(scope="module", params=shared_cases(CASES))
def case(request, manifest, shared_data):
    """(descriptor made from parameters, the one from the file, configuration, arrays)."""
    entry = manifest[request.param]
    arrays = np.load(shared_data / "libdescriptor" / entry["file"])
    configuration = configuration_of(entry, arrays)
    path = shared_data / "libdescriptor" / entry["dat"]
    return (
        from_parameters(entry),
        tm.read_descriptor(path, "SymmetryFunctions", entry["species"]),
        configuration,
        arrays,
    )


def from_parameters(entry):
    species, matrix = entry["species"], entry["params"]["cutoff_matrix"]
    cutoffs = {(a, b): matrix[i][j] for i, a in enumerate(species) for j, b in enumerate(species)}
    functions = []
    for type, rows in entry["params"]["hyperparameters"].items():
        rows = [{"lambda": row.get("lam"), **row} for row in rows or []]
        functions.append((type, [[row[name] for name in ORDER[type]] for row in rows]))
    return tm.SymmetryFunctions(species, cutoffs, functions)


def test_all_cases_are_tested(manifest):
    assert sorted(manifest) == sorted(CASES)


def test_file_and_parameters_say_the_same(case):
    assert case[0] == case[1]


def test_values(case):
    _, descriptor, configuration, arrays = case
    expected = arrays["desc"]
    error = np.abs(descriptor.compute(configuration) - expected).max()
    assert error <= 1e-12 * np.abs(expected).max()


def test_gradients(case):
    """Σ w·D by coordinates; lists as they are, ghosts on their own."""
    _, descriptor, configuration, arrays = case
    gradient = descriptor.vjp(configuration, arrays["w"])
    if "grad_enzyme" in arrays:
        expected, tolerance = arrays["grad_enzyme"], 1e-12
        done = np.ones(len(expected), dtype=bool)
    else:  # Enzyme was not run: finite differences of libdescriptor's values, of some atoms
        expected, tolerance = arrays["grad_fd"], 1e-9
        done = np.isfinite(expected).all(axis=1)
    assert done.sum() >= len(arrays["numneigh"])
    error = np.abs(gradient - expected)[done].max()
    assert error <= tolerance * np.abs(expected[done]).max()
    if "grad_on_atoms" in arrays:
        folded = configuration.fold(gradient)
        error = np.abs(folded - arrays["grad_on_atoms"]).max()
        assert error <= max(tolerance, 1e-9) * np.abs(gradient).max()
