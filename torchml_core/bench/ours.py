"""Programs of ours that comparisons of several descriptors have."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torchml_core as tm
from torchml_core.bench.comparison import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from ase import Atoms
    from numpy.typing import DTypeLike

    from torchml_core.descriptors.base import Descriptor


def with_and_without_lists(
    d: Descriptor,
    atoms: Atoms,
    n_threads: int,
    works: Mapping[str, Callable[[tm.Configuration], object]],
) -> Iterator[Program]:
    """Yield programs for {title: work on a configuration}: without its making, then with it."""

    def configuration(n_threads=None):
        return tm.Configuration.from_atoms(atoms, d.cutoff, d.species, n_threads=n_threads)

    def with_lists(work):
        return work(configuration(n_threads))

    c = configuration()
    for title, work in works.items():
        yield Program(title, functools.partial(work, c))
    for title, work in works.items():
        yield Program(f"{title}, lists included", functools.partial(with_lists, work))


def values_and_vjp(
    d: Descriptor, weights: np.ndarray, n_threads: int
) -> Callable[[tm.Configuration, DTypeLike], object]:
    """Return a function of a configuration and a dtype that does what forces need."""

    def both(c, dtype):
        evaluated = d.evaluate(c, dtype=dtype, n_threads=n_threads)
        return evaluated.vjp(weights.astype(dtype))

    return both
