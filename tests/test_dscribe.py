"""SOAP equal to DScribe's, after reordering; and the slow SOAP of the tests too.

Clusters that fit into the cutoff: DScribe counts neighbors beyond it too. Not in descriptors/:
those tests are run with the address sanitizer as well, and what DScribe loads is not for that.
"""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from descriptors import soap_reference
from descriptors.soap_cases import SOAP_DEFAULTS, reference

import torchml_core as tm

pytestmark = pytest.mark.slow

CASES = [  # basis, n_max, l_max, sigma, cutoff
    ("gto", 1, 0, 0.5, 6.0),
    ("gto", 4, 4, 0.5, 5.5),
    ("gto", 8, 6, 0.5, 5.5),
    ("gto", 6, 9, 0.3, 5.3),
    ("polynomial", 1, 0, 0.5, 6.0),
    ("polynomial", 4, 4, 0.5, 5.5),
    ("polynomial", 5, 9, 0.3, 5.3),  # from 6 on its root in double precision is wrong by more
]
CLUSTERS = {"Si7": ["Si"], "SiCSiCCSiC": ["C", "Si"], "HCOHHCO": ["H", "C", "O"]}


@pytest.fixture(scope="module")
def dscribe_soap():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dscribe.descriptors import SOAP
    return SOAP


def dscribe_order(n_species, n_max, l_max):
    """[(z, z', n, n', l)] in DScribe's order: l outside of n, n'."""
    return [
        (a, b, n, k, l)
        for a in range(n_species)
        for b in range(a, n_species)
        for l in range(l_max + 1)
        for n in range(n_max)
        for k in range(n if a == b else 0, n_max)
    ]


def our_order(n_species, n_max, l_max):
    pairs = soap_reference.power_spectrum_order(n_species, n_max, "full")
    return [(*pair, l) for pair in pairs for l in range(l_max + 1)]


@pytest.mark.parametrize("symbols", CLUSTERS)
@pytest.mark.parametrize(("basis", "n_max", "l_max", "sigma", "cutoff"), CASES)
def test_equal_to_dscribe(dscribe_soap, symbols, basis, n_max, l_max, sigma, cutoff):
    species = CLUSTERS[symbols]  # in the order of atomic numbers, as DScribe sorts them
    sizes = {"n_max": n_max, "l_max": l_max}
    atoms = Atoms(symbols, positions=np.random.default_rng(0).uniform(0, 3, (7, 3)))
    peer = dscribe_soap(
        species=species, r_cut=cutoff, sigma=sigma, rbf=basis, weighting={"w0": 0}, **sizes
    )
    order = dscribe_order(len(species), n_max, l_max)
    place = {key: k for k, key in enumerate(order)}
    columns = [place[key] for key in our_order(len(species), n_max, l_max)]
    expected = peer.create(atoms)[:, columns]
    largest = np.abs(expected).max()

    c = tm.Configuration.from_atoms(atoms, cutoff, species)
    settings = {"radial_basis": basis, "smoothing": None}
    told = SOAP_DEFAULTS | settings | sizes | {"eta": 1 / (2 * sigma**2)}
    slow = reference(
        soap_reference.soap, SimpleNamespace(species=species, cutoff=cutoff, **told), c
    )
    np.testing.assert_allclose(slow, expected, rtol=0, atol=1e-8 * largest)
    d = tm.SOAP(species, cutoff, n_max, l_max, sigma=sigma, **settings)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-8 * largest)
