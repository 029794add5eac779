"""Values and derivatives of every kernel for a small structure, to compare builds with each other.

``python level_values.py FILE.npz`` writes them, with the name of the build that was used. ASE and
torch are not imported: under an emulator that takes long.
"""

import sys

import torchml_core as tm  # before numpy, which ends without a word on some old processors

import numpy as np  # isort: skip

SPECIES = ["C", "Si"]
CUTOFF = 4.0
FUNCTIONS = [("g1", []), ("g2", [[0.3, 1.0]]), ("g4", [[2, -1, 0.05]]), ("g5", [[1, 1, 0.01]])]


def descriptors():
    from torchml_core.descriptors.symmetry_functions import CompactFunction

    compact = [
        CompactFunction("c2", ("C",), (0.0, 3.9), None, "poly2", False),
        CompactFunction("c4", ("C", "Si"), (0.0, 3.9), (20.0, 150.0), "poly2", False),
        CompactFunction("c5", ("C", "Si"), (0.0, 3.9), (20.0, 150.0), "exp", False),
    ]
    return {
        "SymmetryFunctions": tm.SymmetryFunctions(SPECIES, CUTOFF, FUNCTIONS),
        "compact functions": tm.ElementSymmetryFunctions({"C": compact, "Si": compact}),
        "SOAP": tm.SOAP(SPECIES, CUTOFF, 3, 3),
        "SphericalExpansion": tm.SphericalExpansion(SPECIES, CUTOFF, 3, 3),
        "Bispectrum": tm.Bispectrum(SPECIES, CUTOFF, 4),
        "Xi": tm.Xi(3, CUTOFF),
        "ZBL": tm.ZBL(SPECIES, 3.0, CUTOFF),
    }


def crystal(rng):
    sites = 2.2 * np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    return {
        "positions": sites + rng.uniform(-0.2, 0.2, sites.shape),
        "cell": np.diag([4.4, 4.4, 4.4]),
        "pbc": True,
    }


def values():
    """Return the arrays by name."""
    rng = np.random.default_rng(5)
    arrays = crystal(rng)
    i, j, distances = tm.neighbor_list("ijd", cutoff=5.0, **arrays)
    results = {"neighbor list": np.column_stack([i, j, distances])[np.lexsort((distances, j, i))]}
    configuration = tm.Configuration.from_atoms(
        cutoff=CUTOFF, species=SPECIES, symbols=["C", "Si"] * 4, **arrays
    )
    moves = rng.normal(size=(configuration.n_particles, 3))
    for name, descriptor in descriptors().items():
        for dtype in (np.float64, np.float32):
            suffix = f" {np.dtype(dtype)}"
            found = descriptor.compute(configuration, dtype=dtype)
            gradient = rng.normal(size=found.shape).astype(dtype)
            results[name + suffix] = found
            results[f"{name} vjp{suffix}"] = descriptor.vjp(configuration, gradient)
            results[f"{name} jvp{suffix}"] = descriptor.jvp(configuration, moves.astype(dtype))
            jacobian = descriptor.jacobian(configuration, dtype=dtype).values
            results[f"{name} jacobian{suffix}"] = jacobian
    return results


if __name__ == "__main__":
    from torchml_core import _compiled

    np.savez(sys.argv[1], level=_compiled.LEVEL, **values())
