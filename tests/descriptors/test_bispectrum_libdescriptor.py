"""Equal to libdescriptor on the reference cases, from parameters and from its own files."""

import numpy as np
import pytest
from descriptors.libdescriptor_cases import cases_of, configuration_of
from requirements import shared_cases

import torchml_core as tm

CASES = (
    *(f"{a}__bs_j3_diag0_w" for a in ("si8", "sic64", "ethanol_water", "single_si")),
    *(f"{a}__bs_j3_diag1_noswitch" for a in ("si8", "ethanol_water")),
    *(f"{a}__bs_j3_diag2" for a in ("si8", "sic64", "ethanol_water")),
    *(f"{a}__bs_j4" for a in ("si8", "sic64", "ethanol_water", "single_si")),
)


@pytest.fixture(scope="module")
def manifest(shared_data):
    return cases_of(shared_data, "Bispectrum")


@pytest.fixture(scope="module", params=shared_cases(CASES))
def case(request, manifest, shared_data):
    """(entry, the descriptor from the file, configuration, arrays)."""
    entry = manifest[request.param]
    with np.load(shared_data / "libdescriptor" / entry["file"]) as arrays:
        arrays = dict(arrays)
    path = shared_data / "libdescriptor" / entry["dat"]
    descriptor = tm.read_descriptor(path, "Bispectrum", entry["species"])
    return entry, descriptor, configuration_of(entry, arrays), arrays


def test_all_cases_are_tested(manifest):
    assert sorted(manifest) == sorted(CASES)


def test_values(case):
    """libdescriptor subtracts j, where an isolated atom has j + 1."""
    _, descriptor, configuration, arrays = case
    found, expected = descriptor.compute(configuration), arrays["desc"]
    if descriptor.subtract_isolated:
        expected = expected - 1
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max(initial=1)


def test_gradients(case):
    """Σ w·D by coordinates; lists as they are, ghosts on their own."""
    _, descriptor, configuration, arrays = case
    gradient = descriptor.vjp(configuration, arrays["w"])
    if "grad_enzyme" in arrays:
        expected, tolerance = arrays["grad_enzyme"], 1e-12
        known = np.ones(len(expected), dtype=bool)
    else:  # finite differences of libdescriptor's values, for some of the atoms
        expected, tolerance = arrays["grad_fd"], 1e-8
        known = np.isfinite(expected).all(axis=1)
    assert known.any()
    error = np.abs(gradient - expected)[known].max()
    assert error <= tolerance * max(1, np.abs(expected[known]).max())
