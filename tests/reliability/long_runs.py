"""Many evaluations with flat memory, and the same results from many Python threads.

    PYTHONPATH=tests python -m reliability.long_runs [--size N] [--threads N]

Each evaluation searches neighbors and computes values, vjp and jvp of one of the descriptors, for
one of 50 structures. Memory is that of the process after a tenth of the evaluations, and at the
end. Then threads of Python evaluate the same structures at once; each result must be equal, to the
last bit, to that of one thread.
"""

import argparse
import sys
import threading
import time

import numpy as np

import torchml_core as tm
from reliability.mutated_inputs import resident
from reliability.random_structures import KINDS, SPECIES, structure

N_STRUCTURES = 50
MOST_GROWTH = 4e6  # bytes


def evaluate(d, arrays):
    c = tm.Configuration.from_atoms(cutoff=d.cutoff, species=SPECIES, **arrays)
    values = d.compute(c)
    return values, d.vjp(c, values), d.jvp(c, c.positions)


def flat_memory(descriptors, structures, size):
    """Return whether memory does not grow."""
    begin, early = time.perf_counter(), 0
    for k in range(size):
        evaluate(descriptors[k % len(descriptors)], structures[k // 5 % len(structures)])
        if k == size // 10:
            early = resident()
    growth = resident() - early
    print(
        f"{size} evaluations: memory {growth / 1e6:+.2f} MB, {time.perf_counter() - begin:.0f} s",
        flush=True,
    )
    return growth < MOST_GROWTH


def equal_in_threads(descriptors, structures, n_threads, rounds):
    """Return whether all results of all threads are those of one thread."""
    expected = {
        (a, b): evaluate(d, arrays)
        for a, d in enumerate(descriptors)
        for b, arrays in enumerate(structures)
    }
    different = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(rounds):
            for at in rng.permutation(list(expected)).tolist():
                found = evaluate(descriptors[at[0]], structures[at[1]])
                if not all(map(np.array_equal, found, expected[tuple(at)])):
                    different.append(at)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n = n_threads * rounds * len(expected)
    print(f"{n_threads} threads: {n} evaluations, {len(different)} different", flush=True)
    return not different


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=1_000_000, help="evaluations")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20, help="of each thread")
    told = parser.parse_args(arguments)
    rng = np.random.default_rng(1)
    descriptors = [draw(rng, 3.2) for draw, _ in KINDS.values()]
    structures = [structure(rng) for _ in range(N_STRUCTURES)]
    flat = flat_memory(descriptors, structures, told.size)
    equal = equal_in_threads(descriptors, structures, told.threads, told.rounds)
    return 0 if flat and equal else 1


if __name__ == "__main__":
    sys.exit(main())
