"""SOAP equal to libdescriptor where that is right, and to the exact basis where it is not.

And to what KLIFF trains on, with the settings that its files mean: cumulative densities, and
neighbors counted as far as the lists reach.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from descriptors import soap_reference as ref
from descriptors.libdescriptor_cases import cases_of, configuration_of
from descriptors.soap_cases import reference, rows_of
from requirements import shared_cases
from structures import rattled_silicon

import torchml_core as tm

FROM_FILES = {
    "radial_basis": "polynomial",
    "smoothing": None,
    "cross_blocks": "upper",
    "normalization": "libdescriptor",
}
STRUCTURES = ("si8", "sic64", "ethanol_water", "single_si")
SETS = ("soap_n4l4", "soap_n5l6", "soap_n2l11", "soap_n3l3_skin")
NOT_THERE = {
    ("sic64", "soap_n2l11"),
    ("single_si", "soap_n2l11"),
    ("single_si", "soap_n3l3_skin"),
}
CASES = [f"{a}__{b}" for a in STRUCTURES for b in SETS if (a, b) not in NOT_THERE]


@pytest.fixture(scope="module")
def manifest(shared_data):
    """{name: case} of the cases of SOAP."""
    return cases_of(shared_data, "SOAP")


@pytest.fixture(scope="module", params=shared_cases(CASES))
def case(request, manifest, shared_data):
    """(entry, descriptor from parameters, the one from the file, configuration, arrays)."""
    entry = manifest[request.param]
    arrays = load(shared_data / "libdescriptor" / entry["file"])
    configuration = configuration_of(entry, arrays)
    path = shared_data / "libdescriptor" / entry["dat"]
    return (
        entry,
        from_parameters(entry),
        tm.read_descriptor(path, "SOAP", entry["species"]),
        configuration,
        arrays,
    )


def load(path):
    with np.load(path) as arrays:
        return dict(arrays)


def from_parameters(entry):
    p = entry["params"]
    return tm.SOAP(
        entry["species"], p["cutoff"], p["n_max"], p["l_max"], eta=p["eta"], **FROM_FILES
    )


def rows_within(c, cutoff):
    """Which rows have no entry beyond the cutoff: libdescriptor counts those too."""
    distances = np.linalg.norm(c.positions[c.neighbors] - c.positions[c.pair_centers()], axis=1)
    return np.array([np.all(part < cutoff) for part in np.split(distances, c.offsets[1:-1])])


def test_all_cases_are_tested(manifest):
    assert sorted(manifest) == sorted(CASES)


def test_file_and_parameters_say_the_same(case):
    assert case[1] == case[2]


def test_values(case):
    entry, _, d, c, arrays = case
    if d.n_max > 4:
        pytest.skip("libdescriptor's basis is wrong from n_max 5 on: see test_exact_basis")
    expected = arrays["desc_species_reset" if "desc_species_reset" in arrays else "desc"]
    within = rows_within(c, d.cutoff)
    assert within.all() or entry["set"].endswith("_skin")
    if not within.any():
        pytest.skip("every list reaches past the cutoff: see test_lists_are_cut")
    error = np.abs(d.compute(c) - expected)[within].max()
    assert error <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("species", [["Si"], ["C", "Si"]])
def test_lists_are_cut(species):
    """The skin makes no difference to ours: equal to the reference of lists cut at the cutoff."""
    settings = {"cutoff": 4.0, "n_max": 3, "l_max": 3, "eta": 1.0}
    entry = {"species": species, "params": settings}
    d = from_parameters(entry)
    atoms = rattled_silicon(1)
    atoms.symbols[::3] = species[0]
    c = tm.Configuration.from_atoms(atoms, 4.6, d.species)
    distances = np.linalg.norm(c.positions[c.neighbors] - c.positions[c.pair_centers()], axis=1)
    assert distances.max() > d.cutoff
    names = [c.species_names[code] for code in c.species]
    expected = ref.soap(told_of(entry), names, c.positions, c.centers, rows_of(c))
    error = np.abs(d.compute(c) - expected).max()
    assert error <= 1e-10 * np.abs(expected).max()


def told_of(entry):
    """What the reference needs to know."""
    p = entry["params"]
    return SimpleNamespace(
        species=entry["species"],
        cutoff=p["cutoff"],
        n_max=p["n_max"],
        l_max=p["l_max"],
        eta=p["eta"],
        smoothing_width=0.5,
        species_weights=None,
        unit_norm=False,
        basis_cutoff=None,
        species_density="separate",
        **FROM_FILES,
    )


def as_kliff_has_it(entry, c):
    """The descriptor of the lists that libdescriptor was given, all of whose entries it counts."""
    p = entry["params"]
    distances = np.linalg.norm(c.positions[c.neighbors] - c.positions[c.pair_centers()], axis=1)
    cutoff = max(p["cutoff"], 1.0001 * distances.max(initial=0))
    settings = {"eta": p["eta"], "basis_cutoff": p["cutoff"], "species_density": "cumulative"}
    return tm.SOAP(entry["species"], cutoff, p["n_max"], p["l_max"], **settings, **FROM_FILES)


def test_values_that_kliff_trains_on(case):
    entry, _, _, c, arrays = case
    d = as_kliff_has_it(entry, c)
    tolerance = 1e-9 if d.n_max < 5 else 2e-7  # its basis is wrong from n_max 5 on
    error = np.abs(d.compute(c) - arrays["desc"]).max()
    assert error <= tolerance * np.abs(arrays["desc"]).max()


def test_gradients(case):
    """Of Σ w·D with respect to the coordinates."""
    entry, _, _, c, arrays = case
    d = as_kliff_has_it(entry, c)
    if d.n_max > 4:
        pytest.skip("libdescriptor's basis is wrong from n_max 5 on: see test_exact_basis")
    gradient = d.vjp(c, arrays["w"])
    if "grad_enzyme" in arrays and np.isfinite(arrays["grad_enzyme"]).all():
        expected = arrays["grad_enzyme"]
    else:
        expected = arrays["grad_fd"]
    done = np.isfinite(expected).all(axis=1)
    assert done.any()
    error = np.abs(gradient - expected)[done].max()
    assert error <= 1e-8 * np.abs(expected[done]).max()


def test_exact_basis(shared_data, manifest):
    """n_max 5: the root in extended precision, by another program."""
    exact = load(shared_data / "libdescriptor" / "si8__soap_n5l6_exact.npz")
    d = from_parameters(manifest["si8__soap_n5l6"])
    for name in ("n_max", "l_max", "cutoff", "eta"):
        assert getattr(d, name) == exact[name]
    n_atoms, n_total = len(exact["numneigh"]), len(exact["coords"])
    c = tm.Configuration(
        exact["coords"],
        exact["species"],
        np.arange(n_total) < n_atoms,
        np.arange(n_atoms),
        np.concatenate([[0], np.cumsum(exact["numneigh"], dtype=np.int64)]),
        exact["neighlist"],
        species_names=["Si"],
    )
    expected = exact["desc_exact"]
    error = np.abs(d.compute(c) - expected).max()
    assert error <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("n_max", [8, 12])
def test_exact_bases_of_more_functions(n_max):
    """From n_max 8 on libdescriptor gives NaN."""
    d = tm.SOAP(["Si"], 4.5, n_max, 6, eta=1.0, **FROM_FILES)
    entry = {"species": ["Si"], "params": {"cutoff": 4.5, "n_max": n_max, "l_max": 6, "eta": 1.0}}
    c = tm.Configuration.from_atoms(rattled_silicon(1), 4.5)
    expected = reference(ref.soap, told_of(entry), c)
    error = np.abs(d.compute(c) - expected).max()
    assert error <= 1e-9 * np.abs(expected).max()
