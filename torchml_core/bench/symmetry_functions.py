"""Behler-Parrinello symmetry functions, ours and other packages'."""

from __future__ import annotations

import functools
import warnings

import numpy as np

import torchml_core as tm
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.ours import values_and_vjp, with_and_without_lists
from torchml_core.bench.structures import silicon

CUTOFF = 5.0
PER_SQUARE_BOHR = 1 / 0.529177**2
G2 = [[eta * PER_SQUARE_BOHR, 0.0] for eta in (0.001, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4)]
G4 = [
    *([zeta, lam, eta] for eta in (0.0001, 0.003, 0.008) for zeta in (1, 2) for lam in (-1, 1)),
    *(
        [zeta, lam, eta]
        for eta in (0.015, 0.025, 0.045, 0.08)
        for zeta in (1, 2, 4, 16)
        for lam in (-1, 1)
    ),
][:-1]
G4 = [[zeta, lam, eta * PER_SQUARE_BOHR] for zeta, lam, eta in G4]
WITH_LISTS = "ours, lists included"


def set51():
    """Return a descriptor of silicon: 8 g2 and 43 g4, cutoff 5 Å."""
    return tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", G2), ("g4", G4)])


@functools.cache
def _mdescriptor(n_threads):
    import mdescriptor

    return mdescriptor.get_descriptor("ACSF")(
        species=[14],
        r_cut=CUTOFF,
        g2_params=[tuple(row) for row in G2],
        g4_params=[(eta, zeta, lam) for zeta, lam, eta in G4],
        execution=mdescriptor.ExecutionOptions(num_threads=n_threads),
    )


def mdescriptor_values(atoms, n_threads):
    return _mdescriptor(n_threads).compute([atoms]).values


@functools.cache
def _dscribe():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dscribe.descriptors import ACSF
    return ACSF(
        species=["Si"],
        r_cut=CUTOFF,
        g2_params=G2,
        g4_params=[[eta, zeta, lam] for zeta, lam, eta in G4],
        periodic=True,
    )


def dscribe_values(atoms, _):
    return _dscribe().create(atoms)


PEERS = {"MDescriptor": mdescriptor_values, "DScribe": dscribe_values}


def values(n_threads):
    """Return the number of atoms, and programs that compute values."""
    atoms, d = silicon(5), set51()

    def compare(peer):
        found = np.asarray(peer(atoms, n_threads))[:, -d.width :]  # theirs begin with g1
        expected = d.compute(tm.Configuration.from_atoms(atoms, CUTOFF, d.species))
        difference = np.abs(found - expected).max(axis=0) / np.abs(expected).max(axis=0)
        return Agreement("values, each function", float(difference.max()), 1e-6)

    works = {
        "ours": lambda c: d.compute(c, n_threads=n_threads),
        "ours, float32": lambda c: d.compute(c, dtype=np.float32, n_threads=n_threads),
    }
    found = [*with_and_without_lists(d, atoms, n_threads, works)]
    for name, peer in PEERS.items():
        found.append(
            Program(
                name,
                functools.partial(peer, atoms, n_threads),
                peer=name,
                against=WITH_LISTS,
                check=functools.partial(compare, peer),
            )
        )
    return len(atoms), found


def gradients(n_threads):
    """Return the number of atoms, and programs that also compute what forces need."""
    atoms, d = silicon(5), set51()
    weights = np.random.default_rng(0).standard_normal((len(atoms), d.width))
    both = values_and_vjp(d, weights, n_threads)
    works = {
        "ours": lambda c: both(c, np.float64),
        "ours, float32": lambda c: both(c, np.float32),
    }
    return len(atoms), [*with_and_without_lists(d, atoms, n_threads, works)]


SYMMETRY_FUNCTIONS = Comparison(
    "symmetry-functions",
    "Symmetry functions",
    "atoms/s",
    "51 functions (8 g2, 43 g4)",
    "1000 rattled Si atoms with 28 neighbors each within 5 Å. The other packages make their own"
    " neighbor lists, so they are compared with ours *lists included*; they have no gradients of"
    " periodic structures.",
    {"values": Case(values, quick=True), "values, and vjp for forces": Case(gradients, quick=True)},
)
