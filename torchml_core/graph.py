"""Staged graphs: for each layer of a message-passing model the edges that it needs."""

import numpy as np

from torchml_core import _memory, checks
from torchml_core._graph import near_rows, staged_edges
from torchml_core.pairs import search_pairs
from torchml_core.structure import as_structure


def staged_graph(positions, contributing, cutoff, n_layers, *, all_rows=None, n_threads=None):
    """Build the staged graph of a set of particles.

    Stage 1 starts from the contributing particles. Each stage adds, for every particle i of its
    set and every particle j with r_ij <= cutoff, both edges (i, j) and (j, i), each edge once;
    the set of the next stage is all those j. So the first graph is the innermost, used by the
    model's last convolution, and the last one the outermost (the TorchML driver's definition).

    Parameters
    ----------
    positions : (n_particles, 3) float64
        In Å.
    contributing : (n_particles,) bool
    cutoff : float
        In Å.
    n_layers : int
    all_rows : (particles, offsets, neighbors), optional
        A row of neighbors for every particle, up to the cutoff at least, as
        :class:`~torchml_core.Configuration` has them. None: they are searched for.
    n_threads : int, optional

    Returns
    -------
    list of (2, n_edges) int64 arrays
        One a layer, sorted by first particle, then second, so that runs repeat to the last bit.

    Raises
    ------
    InputError
        A cutoff that is not positive and finite, or n_layers below 1.

    Notes
    -----
    The rows of all particles are made once, sorted; a stage then keeps those pairs that have an
    end in its set, which come out sorted.
    """
    cutoff = checks.positive("cutoff", cutoff)
    n_layers = checks.whole("n_layers", n_layers, least=1)
    if all_rows is None:
        offsets, neighbors = _search_rows(positions, cutoff, n_threads)
    else:
        offsets, neighbors = near_rows(positions, *all_rows, cutoff**2)
    stage = np.ascontiguousarray(contributing, dtype=np.uint8)
    graphs = []
    for _ in range(n_layers):
        edges, stage = staged_edges(offsets, neighbors, stage)
        graphs.append(edges)
    return graphs


def _search_rows(positions, cutoff, n_threads):
    structure = as_structure(positions=positions)
    search = search_pairs(structure, cutoff, inclusive=True, sorted_rows=True, n_threads=n_threads)
    neighbors = _memory.empty(search.n_pairs, np.int32)
    search.fill(j=neighbors)
    return search.offsets, neighbors
