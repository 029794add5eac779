"""Random structures through every descriptor, compared with the slow references of the tests.

    PYTHONPATH=tests python -m reliability.random_structures [--size N] [--seed S]

The structures have 1 to 6 atoms of two species in a triclinic cell, periodic in any of its
directions or none. Settings of the descriptors are drawn too. Values of one random atom are
compared with the reference; the vjp is compared with a difference of values along a random
direction.
"""

import argparse
import sys
import time

import numpy as np
from descriptors import bispectrum_reference, soap_reference, xi_reference
from descriptors.symmetry_functions_reference import element_functions, symmetry_functions

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import CompactFunction
from torchml_core.descriptors.xi.terms import values_of

SPECIES = ["C", "Si"]
TOLERANCE = 1e-9  # relative to the largest value of the atom, or to LEAST
LEAST = 1e-4  # values near the cutoff are small differences of terms of order 1
DERIVATIVES = 2e-6  # of differences of values, relative to the sum of the terms' sizes


def structure(rng):
    """Return arguments of from_atoms: no two atoms nearer than 0.7 Å, images included."""
    while True:
        n = int(rng.integers(1, 7))
        cell = np.diag(rng.uniform(2.0, 6.0, 3)) + rng.uniform(-0.8, 0.8, (3, 3))
        pbc = rng.random(3) < 0.5
        made = {
            "positions": rng.uniform(-0.3, 1.2, (n, 3)) @ cell,
            "cell": cell,
            "pbc": pbc,
        }
        if len(tm.neighbor_list("i", cutoff=0.7, **made)) == 0:
            return made | {"symbols": list(rng.choice(SPECIES, n))}


def environment(c, row):
    """The names of all particles, and the neighbors of a row."""
    names = [c.species_names[code] for code in c.species]
    return names, c.neighbors[c.offsets[row] : c.offsets[row + 1]]


# ---- of each kind: a descriptor with settings drawn, and a row of its reference


def draw_symmetry_functions(rng, cutoff):
    functions = [
        ("g1", []),
        ("g2", [[rng.uniform(0, 2), rng.uniform(0, 3)]]),
        ("g3", [[rng.uniform(0, 3)]]),
        ("g4", [[rng.uniform(1, 8), rng.choice([-1, 1]), rng.uniform(0, 0.3)]]),
        ("g5", [[rng.integers(1, 9), rng.choice([-1, 1]), rng.uniform(0, 0.3)]]),
    ]
    mode = rng.choice(["pooled", "resolved"])
    return tm.SymmetryFunctions(SPECIES, cutoff, functions, species_mode=str(mode))


def symmetry_functions_row(d, c, row):
    names, neighbors = environment(c, row)
    cutoffs = d.cutoffs | {(b, a): rc for (a, b), rc in d.cutoffs.items()}
    centers = c.centers[row : row + 1]
    more = (d.species_mode, d.cutoff_function, d.weights)
    return symmetry_functions(
        d.species, cutoffs, d.functions, names, c.positions, centers, [neighbors], *more
    )[0]


def draw_compact(rng, cutoff):
    radial = (rng.uniform(-3, 0), cutoff)
    first = rng.uniform(0, 150)
    angular = (first, first + rng.uniform(5, 180 - first))
    core = str(rng.choice(["poly1", "poly2", "exp"]))
    asymmetric = core != "exp" and bool(rng.random() < 0.5)
    functions = [
        CompactFunction("c2", ("C",), radial, None, core, asymmetric),
        CompactFunction("c4", ("C", "Si"), radial, angular, core, asymmetric),
        CompactFunction("c5", ("Si", "Si"), radial, angular, core, asymmetric),
    ]
    return tm.ElementSymmetryFunctions({"C": functions, "Si": functions[::-1]})


def compact_row(d, c, row):
    names, neighbors = environment(c, row)
    numbers, centers = {"Si": 14, "C": 6}, c.centers[row : row + 1]
    return element_functions(
        d.functions, "cos", 0.0, numbers, names, c.positions, centers, [neighbors]
    )[0]


def draw_soap(rng, cutoff):
    basis = str(rng.choice(["gto", "polynomial"]))
    return tm.SOAP(SPECIES, cutoff, 2, int(rng.integers(0, 4)), sigma=0.6, radial_basis=basis)


def soap_row(d, c, row):
    names, neighbors = environment(c, row)
    return soap_reference.soap(d, names, c.positions, c.centers[row : row + 1], [neighbors])[0]


def draw_bispectrum(rng, cutoff):
    return tm.Bispectrum(SPECIES, cutoff, int(rng.integers(0, 4)), rfac0=rng.uniform(0.9, 0.999))


def bispectrum_row(d, c, row):
    return bispectrum_reference.reference(d, c, [row])[0]


def draw_xi(rng, cutoff):
    return tm.Xi(int(rng.integers(0, 5)), cutoff)


def xi_row(d, c, row):
    _, neighbors = environment(c, row)
    if len(neighbors) == 0:
        return np.zeros(d.width)
    vectors = c.positions[neighbors] - c.positions[c.centers[row]]
    return xi_reference.xi(vectors, d.q, d.cutoff, values_of(d.q))


KINDS = {
    "SymmetryFunctions": (draw_symmetry_functions, symmetry_functions_row),
    "compact functions": (draw_compact, compact_row),
    "SOAP": (draw_soap, soap_row),
    "Bispectrum": (draw_bispectrum, bispectrum_row),
    "Xi": (draw_xi, xi_row),
}


def errors(kind, seed):
    """Return the errors of values and of the derivative for one structure, relative."""
    rng = np.random.default_rng(seed)
    draw, row_of = KINDS[kind]
    # SOAP's reference integrates numerically once for each cutoff: few cutoffs
    d = draw(rng, float(rng.choice([2.5, 3.2, 4.1])))
    c = tm.Configuration.from_atoms(cutoff=d.cutoff, species=SPECIES, **structure(rng))
    values = d.compute(c)
    row = int(rng.integers(c.n_centers))
    expected = row_of(d, c, row)
    scale = max(np.abs(expected).max(), LEAST)
    off = np.abs(values[row] - expected).max() / scale

    gradient, move = rng.normal(size=values.shape), rng.normal(size=c.positions.shape)
    terms = d.vjp(c, gradient) * move
    step = 1e-6
    moved = [(gradient * d.compute(_moved(c, s * move))).sum() for s in (-step, step)]
    size = max(np.abs(terms).sum(), np.abs(gradient * values).sum(), LEAST)
    return off, abs((moved[1] - moved[0]) / (2 * step) - terms.sum()) / size


def _moved(c, by):
    arrays = ("species", "contributing", "centers", "offsets", "neighbors", "species_names")
    return tm.Configuration(
        positions=c.positions + by, **{name: getattr(c, name) for name in arrays}
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--size", type=int, default=10_000, help="structures for each kind")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args(arguments)
    good = True
    for kind in told.kinds or KINDS:
        begin, largest, worst = time.perf_counter(), np.zeros(2), [None, None]
        for k in range(told.size):
            for which, off in enumerate(errors(kind, [told.seed, k])):
                if not off <= largest[which]:
                    largest[which], worst[which] = off, k
        good &= bool((largest <= (TOLERANCE, DERIVATIVES)).all())
        print(
            f"{kind}: {told.size} structures, largest errors {largest[0]:.1e} (values, number"
            f" {worst[0]}), {largest[1]:.1e} (vjp, number {worst[1]}),"
            f" {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
