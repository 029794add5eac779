"""Staged graphs: for each layer of a message-passing model the edges that it needs."""

import numpy as np

from torchml_core._neighbors import pairs_within
from torchml_core.errors import InputError
from torchml_core.structure import check_length, check_positions
from torchml_core.threads import resolve_n_threads


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

    Returns
    -------
    list of (2, n_edges) int64 arrays
        One a layer, sorted by first particle, then second, so that runs repeat to the last bit.

    Raises
    ------
    InputError
        A cutoff that is not positive and finite, or n_layers below 1.
    """
    positions = check_positions(positions)
    cutoff = check_length(cutoff, "cutoff")
    if n_layers != int(n_layers) or n_layers < 1:
        raise InputError(f"n_layers = {n_layers!r}: a whole number of at least 1 is needed")
    limit, n_threads = np.nextafter(cutoff**2, np.inf), resolve_n_threads(n_threads)
    n = len(positions)
    stage = np.flatnonzero(contributing).astype(np.int32)
    graphs = []
    for _ in range(int(n_layers)):
        offsets, j = pairs_within(positions, stage, cutoff, limit, n_threads)
        i = np.repeat(stage, np.diff(offsets)).astype(np.int64)
        edges = np.unique(np.concatenate([i * n + j, j.astype(np.int64) * n + i]))
        graphs.append(np.stack(np.divmod(edges, max(n, 1))))
        stage = np.unique(j)
    return graphs
