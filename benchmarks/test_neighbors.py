"""Neighbor lists, compared with other packages; one group per structure. Run by ``make bench``.

``python benchmarks/neighbors_table.py`` prints ratios.
"""

import pytest
from cases import CASES
from peers import PEERS, ours, ours_reused

import torchml_core as tm

QUICK = [name for name in CASES if not name.startswith(("64 000", "216 000"))]


@pytest.mark.parametrize("case", QUICK)
@pytest.mark.parametrize("function", [ours, ours_reused, *PEERS.values()], ids=lambda f: f.__name__)
def test_full_list(benchmark, case, function):
    make, cutoff = CASES[case]
    atoms = make()
    if function.__name__ == "ase" and len(atoms) > 2000:
        pytest.skip("takes minutes")
    benchmark.group = case
    benchmark(function, atoms, cutoff)


@pytest.mark.parametrize("case", QUICK)
def test_from_atoms(benchmark, case):
    make, cutoff = CASES[case]
    benchmark.group = case
    benchmark(tm.Configuration.from_atoms, make(), cutoff, n_threads=1)
