"""SOAP, ours and other packages'."""

from __future__ import annotations

import functools
import warnings

import numpy as np

import torchml_core as tm
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.ours import values_and_vjp, with_and_without_lists
from torchml_core.bench.structures import cluster, mixed, silicon

CUTOFF, N_MAX, L_MAX, SIGMA = 5.0, 8, 6, 0.5
SILICON, FOUR = ("Si",), ("H", "C", "N", "O")
WITH_LISTS = "ours, lists included"
JACOBIAN = "ours, Jacobian, lists included"
OTHER_BASIS = "its radial functions are others, so values cannot be compared"


@functools.cache
def _dscribe(basis, species):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dscribe.descriptors import SOAP
    return SOAP(
        species=list(species),
        r_cut=CUTOFF,
        n_max=N_MAX,
        l_max=L_MAX,
        sigma=SIGMA,
        rbf=basis,
        weighting={"w0": 0},
        periodic=True,
    )


def dscribe_gto(atoms, species, _):
    return _dscribe("gto", species).create(atoms)


def dscribe_polynomial(atoms, species, _):
    return _dscribe("polynomial", species).create(atoms)


@functools.cache
def _mdescriptor(species, n_threads):
    import mdescriptor
    from ase.data import atomic_numbers

    return mdescriptor.get_descriptor("SOAP")(
        species=[atomic_numbers[name] for name in species],
        r_cut=CUTOFF,
        n_max=N_MAX,
        l_max=L_MAX,
        sigma=SIGMA,
        average="off",
        weighting={"w0": 0},
        execution=mdescriptor.ExecutionOptions(num_threads=n_threads),
    )


def mdescriptor_gto(atoms, species, n_threads):
    return _mdescriptor(species, n_threads).compute([atoms]).values


@functools.cache
def _featomic():
    import featomic

    return featomic.SoapPowerSpectrum(
        cutoff={"radius": CUTOFF, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        density={"type": "Gaussian", "width": SIGMA, "center_atom_weight": 0.0},
        basis={
            "type": "TensorProduct",
            "max_angular": L_MAX,
            "radial": {"type": "Gto", "max_radial": N_MAX - 1},
        },
    )


def featomic_values(atoms, *_):
    return _featomic().compute(atoms, use_native_system=True)


def featomic_gradients(atoms, *_):
    return _featomic().compute(atoms, gradients=["positions"], use_native_system=True)


@functools.cache
def _quippy(species):
    from ase.data import atomic_numbers
    from quippy.descriptors import Descriptor

    numbers = " ".join(str(atomic_numbers[name]) for name in species)
    return Descriptor(
        f"soap cutoff={CUTOFF} cutoff_transition_width=0.5 l_max={L_MAX} n_max={N_MAX}"
        f" atom_sigma={SIGMA} n_Z={len(species)} Z={{{numbers}}}"
        f" n_species={len(species)} species_Z={{{numbers}}}"
    )


def quippy_values(atoms, species, _):
    return _quippy(species).calc(atoms)


def quippy_gradients(atoms, species, _):
    return _quippy(species).calc(atoms, grad=True)


# title: (package, function, radial basis with which ours has the same values)
PEERS = {
    "DScribe gto": ("DScribe", dscribe_gto, "gto"),
    "DScribe polynomial": ("DScribe", dscribe_polynomial, "polynomial"),
    "MDescriptor": ("MDescriptor", mdescriptor_gto, "gto"),
    "featomic": ("featomic", featomic_values, None),
    "quippy": ("quippy", quippy_values, None),
}
PEERS_WITH_GRADIENTS = {
    "featomic": ("featomic", featomic_gradients, None),
    "quippy": ("quippy", quippy_gradients, None),
}


def silicon_atoms():
    return silicon(5)


def four_elements():
    return mixed(silicon(5), FOUR)


def values(make, species, n_threads):
    """Return the number of atoms, and programs that compute values."""
    atoms, d = make(), tm.SOAP(list(species), CUTOFF, N_MAX, L_MAX, sigma=SIGMA)
    works = {
        "ours": lambda c: d.compute(c, n_threads=n_threads),
        "ours, float32": lambda c: d.compute(c, dtype=np.float32, n_threads=n_threads),
    }
    found = [*with_and_without_lists(d, atoms, n_threads, works)]
    found += _peers(PEERS, atoms, species, n_threads, WITH_LISTS)
    return len(atoms), found


def gradients(make, species, n_threads):
    """Return the number of atoms, and programs that compute values and derivatives."""
    atoms, d = make(), tm.SOAP(list(species), CUTOFF, N_MAX, L_MAX, sigma=SIGMA)
    weights = np.random.default_rng(0).standard_normal((len(atoms), d.width))
    both = values_and_vjp(d, weights, n_threads)
    works = {
        "ours": lambda c: both(c, np.float64),
        "ours, float32": lambda c: both(c, np.float32),
    }
    if species == SILICON:  # with four elements a Jacobian takes gigabytes
        works["ours, Jacobian"] = lambda c: d.jacobian(c, n_threads=n_threads)
    found = [*with_and_without_lists(d, atoms, n_threads, works)]
    if species == SILICON:
        found += _peers(PEERS_WITH_GRADIENTS, atoms, species, n_threads, JACOBIAN)
    return len(atoms), found


def _peers(peers, atoms, species, n_threads, against):
    for title, (package, function, basis) in peers.items():
        check = None if basis is None else functools.partial(_compare, function, species, basis)
        yield Program(
            title,
            functools.partial(function, atoms, species, n_threads),
            peer=package,
            against=against,
            check=check,
            note=OTHER_BASIS if basis is None else "",
        )


def _compare(function, species, basis):
    """Compare values for a cluster within the cutoff; DScribe counts neighbors beyond it too."""
    atoms = cluster(species)
    d = tm.SOAP(
        list(species), CUTOFF, N_MAX, L_MAX, sigma=SIGMA, radial_basis=basis, smoothing=None
    )
    expected = d.compute(tm.Configuration.from_atoms(atoms, CUTOFF, d.species))
    found = np.asarray(function(atoms, species, 1))
    if found.shape != expected.shape:
        return Agreement("values", np.inf, 0.0)
    difference = np.abs(found[:, _order(len(species))] - expected).max() / np.abs(expected).max()
    # The root of an ill-conditioned matrix in double precision limits DScribe's polynomials.
    allowed = 1e-8 if basis == "gto" else 1e-4
    return Agreement("values for a cluster, no smoothing", float(difference), allowed)


def _order(n_species):
    """Places of our values among those of DScribe, which has l outside of n and n'."""
    theirs, ours = [], []
    for a in range(n_species):
        for b in range(a, n_species):
            pairs = [(n, k) for n in range(N_MAX) for k in range(n if a == b else 0, N_MAX)]
            theirs += [(a, b, *pair, l) for l in range(L_MAX + 1) for pair in pairs]
            ours += [(a, b, *pair, l) for pair in pairs for l in range(L_MAX + 1)]
    place = {key: k for k, key in enumerate(theirs)}
    return [place[key] for key in ours]


TEXT = (
    f"1000 rattled Si atoms with 28 neighbors each within {CUTOFF:g} Å, n_max {N_MAX}, l_max"
    f" {L_MAX}; the same positions with four elements (3696 values per atom). The other packages"
    " make their own neighbor lists, so they are compared with ours *lists included*."
)
SOAP = Comparison(
    "soap",
    "SOAP",
    "atoms/s",
    "values",
    TEXT,
    {
        "one element": Case(functools.partial(values, silicon_atoms, SILICON), quick=True),
        "four elements": Case(functools.partial(values, four_elements, FOUR)),
    },
)
SOAP_GRADIENTS = Comparison(
    "soap-gradients",
    "SOAP with gradients",
    "atoms/s",
    "values and derivatives",
    TEXT + " *ours* computes values and the vjp that forces need. The other packages return the"
    " derivatives of all values, as our sparse *Jacobian* does, and are compared with it.",
    {
        "one element": Case(functools.partial(gradients, silicon_atoms, SILICON)),
        "four elements": Case(functools.partial(gradients, four_elements, FOUR)),
    },
)
