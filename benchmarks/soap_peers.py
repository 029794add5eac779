"""SOAP of other packages: functions of (atoms, cutoff) for n_max 8, l_max 6, sigma 0.5 Å.

Packages that are not installed are left out (``pip install torchml_core[peers]``). All make their
own neighbor lists. None has a vector-Jacobian product: they return the gradients of all components.
"""

import functools
import importlib.util
import warnings

N_MAX, L_MAX, SIGMA = 8, 6, 0.5


def dscribe_gto(atoms, cutoff):
    return _dscribe("gto", _species(atoms), cutoff).create(atoms)


def dscribe_polynomial(atoms, cutoff):
    return _dscribe("polynomial", _species(atoms), cutoff).create(atoms)


def featomic_gto(atoms, cutoff):
    return _featomic(cutoff).compute(atoms, use_native_system=True)


def mdescriptor_gto(atoms, cutoff):
    return _mdescriptor(_species(atoms), cutoff).compute([atoms]).values


def quippy_gto(atoms, cutoff):
    return _quippy(_species(atoms), cutoff).calc(atoms)


def featomic_gradients(atoms, cutoff):
    return _featomic(cutoff).compute(atoms, gradients=["positions"], use_native_system=True)


def quippy_gradients(atoms, cutoff):
    return _quippy(_species(atoms), cutoff).calc(atoms, grad=True)


def _species(atoms):
    return tuple(sorted(set(atoms.numbers.tolist())))


@functools.cache
def _dscribe(basis, species, cutoff):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dscribe.descriptors import SOAP
    return SOAP(
        species=list(species),
        r_cut=cutoff,
        n_max=N_MAX,
        l_max=L_MAX,
        sigma=SIGMA,
        rbf=basis,
        weighting={"w0": 0},
        periodic=True,
    )


@functools.cache
def _featomic(cutoff):
    import featomic

    return featomic.SoapPowerSpectrum(
        cutoff={"radius": cutoff, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        density={"type": "Gaussian", "width": SIGMA, "center_atom_weight": 0.0},
        basis={
            "type": "TensorProduct",
            "max_angular": L_MAX,
            "radial": {"type": "Gto", "max_radial": N_MAX - 1},
        },
    )


@functools.cache
def _mdescriptor(species, cutoff):
    import mdescriptor

    return mdescriptor.get_descriptor("SOAP")(
        species=list(species),
        r_cut=cutoff,
        n_max=N_MAX,
        l_max=L_MAX,
        sigma=SIGMA,
        average="off",
        weighting={"w0": 0},
        execution=mdescriptor.ExecutionOptions(num_threads=1),
    )


@functools.cache
def _quippy(species, cutoff):
    from quippy.descriptors import Descriptor

    numbers = " ".join(map(str, species))
    return Descriptor(
        f"soap cutoff={cutoff} cutoff_transition_width=0.5 l_max={L_MAX} n_max={N_MAX}"
        f" atom_sigma={SIGMA} n_Z={len(species)} Z={{{numbers}}}"
        f" n_species={len(species)} species_Z={{{numbers}}}"
    )


def _installed(*peers):
    return {p.__name__: p for p in peers if importlib.util.find_spec(p.__name__.split("_")[0])}


PEERS = _installed(dscribe_gto, dscribe_polynomial, featomic_gto, mdescriptor_gto, quippy_gto)
PEERS_GRADIENTS = _installed(featomic_gradients, quippy_gradients)
