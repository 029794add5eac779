"""Staged graphs: for each layer of a message-passing model the edges that it needs."""

import numpy as np

from torchml_core import _memory, checks
from torchml_core._graph import near_rows, staged_edges
from torchml_core.available_memory import available_memory
from torchml_core.configuration_checks import check_all_rows
from torchml_core.distances import scaled_limit
from torchml_core.errors import InputError
from torchml_core.pairs import search_pairs
from torchml_core.structure import as_structure

EDGE_BYTES = 16
MOST_LAYERS = 1000  # more would be a slip of the pen


def staged_graph(positions, contributing, cutoff, n_layers, *, all_rows=None, n_threads=None):
    """Build the staged graph of a set of particles.

    Stage 1 starts from the contributing particles. Each stage adds, for every particle i of its
    set and every particle j with r_ij <= cutoff (up to 1e-10 of it), both edges (i, j) and (j, i),
    each edge once; the set of the next stage is all those j. So the first graph is the innermost,
    used by the model's last convolution, and the last one the outermost (the TorchML driver's
    definition).

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
        A cutoff that is not positive and finite, or n_layers below 1; particles or rows that
        :class:`~torchml_core.Configuration` would refuse.

    Notes
    -----
    The rows of all particles are made once, sorted; a stage then keeps those pairs that have an
    end in its set, which come out sorted.
    """
    cutoff = checks.positive("cutoff", cutoff)
    n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
    positions = checks.positions("positions", positions)
    contributing = checks.flags("contributing", contributing, (len(positions),))
    if all_rows is not None:
        all_rows = check_all_rows(all_rows, len(positions))
    return graph_of_checked(positions, contributing, cutoff, n_layers, all_rows, n_threads)


def graph_of_checked(positions, contributing, cutoff, n_layers, all_rows, n_threads=None):
    """Do what :func:`staged_graph` does with arguments that need no check."""
    if all_rows is None:
        offsets, neighbors = _search_rows(positions, cutoff, n_threads)
    else:
        offsets, neighbors = near_rows(positions, *all_rows, *scaled_limit(cutoff))
    stage = contributing.view(np.uint8)
    graphs = []
    for layer in range(n_layers):
        edges, stage = staged_edges(offsets, neighbors, stage)
        graphs.append(edges)
        # later stages have hardly ever fewer edges
        if edges.nbytes * (n_layers - layer - 1) > available_memory():
            raise InputError(
                f"n_layers = {n_layers}: fewer layers are needed; there is not enough memory for"
                f" the edges of these, at least {edges.nbytes} bytes per layer"
            )
    return graphs


def _search_rows(positions, cutoff, n_threads):
    with search_pairs(
        as_structure(positions=positions),
        cutoff,
        inclusive=True,
        sorted_rows=True,
        n_threads=n_threads,
        bytes_per_pair=4 + EDGE_BYTES,
    ) as search:
        neighbors = _memory.empty(search.n_pairs, np.int32)
        search.fill(j=neighbors)
        return search.offsets, neighbors
