"""Staged graphs: for each layer of a message-passing model the edges that it needs."""

import numpy as np

from torchml_core import _memory
from torchml_core._graph import staged_edges
from torchml_core.errors import InputError
from torchml_core.pairs import search_pairs
from torchml_core.structure import as_structure, check_length


def staged_graph(positions, contributing, cutoff, n_layers, *, n_threads=None):
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
    All particles are searched once, with sorted rows; a stage then keeps those pairs that have an
    end in its set, which come out sorted.
    """
    structure = as_structure(positions=positions)
    cutoff = check_length(cutoff, "cutoff")
    if n_layers != int(n_layers) or n_layers < 1:
        raise InputError(f"n_layers = {n_layers!r}: a whole number of at least 1 is needed")
    search = search_pairs(structure, cutoff, inclusive=True, sorted_rows=True, n_threads=n_threads)
    neighbors = _memory.empty(search.n_pairs, np.int32)
    search.fill(j=neighbors)
    stage = np.ascontiguousarray(contributing, dtype=np.uint8)
    graphs = []
    for _ in range(int(n_layers)):
        edges, stage = staged_edges(search.offsets, neighbors, stage)
        graphs.append(edges)
    return graphs
