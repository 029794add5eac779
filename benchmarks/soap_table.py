"""Print the speed of SOAP, ours and other packages', as a table in Markdown.

    RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/soap_table.py

The structure has 1000 rattled silicon atoms with 28 neighbors each; n_max is 8, l_max is 6. All run
in one process with one thread, in turns. Figures are medians of several turns; the first turn is
not counted.
"""

import numpy as np
from ase.build import bulk
from neighbors_table import measure
from soap_peers import L_MAX, N_MAX, PEERS, PEERS_GRADIENTS, SIGMA
from tables import Table

import torchml_core as tm

CUTOFF = 5.0


def ours(d, c, dtype, gradients):
    """Return {name: function of (atoms, cutoff)}, with and without making neighbor lists."""
    weights = np.random.default_rng(0).standard_normal((c.n_centers, d.width)).astype(dtype)

    def work(c):
        d.compute(c, dtype=dtype, n_threads=1)
        if gradients:
            d.vjp(c, weights, n_threads=1)

    def with_lists(atoms, cutoff):
        work(tm.Configuration.from_atoms(atoms, cutoff, d.species, n_threads=1))

    bits = np.dtype(dtype).itemsize * 8
    return {
        f"ours, float{bits}": lambda *_: work(c),
        f"ours, float{bits}, lists included": with_lists,
    }


def jacobian(d, c):
    return {"ours, sparse Jacobian": lambda *_: d.jacobian(c, n_threads=1)}


def report(table, title, functions, atoms, first):
    times = measure(functions, atoms, CUTOFF)
    for name, seconds in times.items():
        table.add(name, {title: len(atoms) / seconds})
    print(f"\n| {title} | atoms/s | times as fast: {first} |\n|---|---|---|")
    for name, seconds in times.items():
        print(
            f"| {name} | {len(atoms) / seconds:,.0f} | {seconds / times[first]:.1f} |", flush=True
        )


def main():
    table = Table("soap", "atoms/s", higher_is_better=True)
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    atoms.rattle(0.05, seed=0)
    d = tm.SOAP(["Si"], CUTOFF, N_MAX, L_MAX, sigma=SIGMA)
    c = tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"])
    single = ours(d, c, np.float32, False)
    report(table, "values", ours(d, c, np.float64, False) | single | PEERS, atoms, "ours, float64")
    single = ours(d, c, np.float32, True)
    both = ours(d, c, np.float64, True) | single | jacobian(d, c) | PEERS_GRADIENTS
    report(table, "values and gradients", both, atoms, "ours, float64")
    mixed = atoms.copy()
    mixed.symbols = np.random.default_rng(0).choice(["H", "C", "N", "O"], len(atoms))
    four = tm.SOAP(["H", "C", "N", "O"], CUTOFF, N_MAX, L_MAX, sigma=SIGMA)
    c = tm.Configuration.from_atoms(mixed, CUTOFF, four.species)
    report(table, "four species", ours(four, c, np.float64, False) | PEERS, mixed, "ours, float64")
    both = ours(four, c, np.float64, True)
    report(table, "four species, values and gradients", both, mixed, "ours, float64")
    table.save()


if __name__ == "__main__":
    main()
