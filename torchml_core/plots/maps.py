"""Numbers behind pictures of data sets: principal components and neighbor distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.neighbors import neighbor_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    import ase
    from numpy.typing import ArrayLike

    from torchml_core.annotations import Doubles


def principal_map(values: ArrayLike, n_components: int = 2) -> tuple[Doubles, Doubles]:
    """Project rows onto the axes along which they vary most.

    Components are divided by their standard deviation before, so that large ones do not hide
    others; components that do not vary are left out.

    Parameters
    ----------
    values : (n, width) array_like
        Such as the values of a descriptor.
    n_components : int

    Returns
    -------
    coordinates : (n, n_components) float64
        The sign of an axis is such that its largest coefficient is positive.
    fractions : (n_components,) float64
        Of the variance that each axis has; 0 for axes beyond the rank.
    """
    rows: Doubles = checks.real_numbers("values", values, (None, None))
    k = checks.whole("n_components", n_components, 1)
    centered = rows - rows.mean(axis=0) if len(rows) else rows
    spread = centered.std(axis=0) if len(rows) else np.zeros(rows.shape[1])
    varies = spread > 1e-12 * max(1.0, float(np.abs(rows).max(initial=0.0)))
    scaled = centered[:, varies] / spread[varies]
    variances, axes = np.linalg.eigh(scaled.T @ scaled)
    axes, variances = axes[:, ::-1][:, :k], np.maximum(variances[::-1], 0)
    largest = np.abs(axes).argmax(axis=0) if axes.size else np.zeros(0, dtype=int)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    coordinates, fractions = np.zeros((len(rows), k)), np.zeros(k)
    found = axes.shape[1]
    coordinates[:, :found] = scaled @ axes
    if variances.sum() > 0:
        fractions[:found] = variances[:found] / variances.sum()
    return coordinates, fractions


def neighbor_histogram(
    structures: Iterable[ase.Atoms], cutoff: float, *, n_bins: int = 100
) -> tuple[Doubles, dict[tuple[str, str], Doubles]]:
    """Count the neighbors at each distance, by pair of elements.

    Parameters
    ----------
    structures : iterable of ase.Atoms
    cutoff : float
        In Å.
    n_bins : int

    Returns
    -------
    edges : (n_bins + 1,) float64
        Of the bins of distances, in Å.
    counts : dict of (str, str) to (n_bins,) float64
        By center and neighbor: how many neighbors of that element an atom of the first one has in
        each bin, on average.
    """
    edges = np.linspace(
        0.0, checks.positive("cutoff", cutoff), checks.whole("n_bins", n_bins, 1) + 1
    )
    sums: dict[tuple[str, str], Doubles] = {}
    n_atoms: dict[str, int] = {}
    for atoms in structures:
        symbols = np.array(atoms.get_chemical_symbols())
        i, j, d = neighbor_list("ijd", atoms, cutoff)
        for a in sorted(set(symbols)):
            n_atoms[a] = n_atoms.get(a, 0) + int((symbols == a).sum())
            for b in sorted(set(symbols)):
                chosen = d[(symbols[i] == a) & (symbols[j] == b)]
                found = np.histogram(chosen, edges)[0].astype(np.float64)
                sums[a, b] = sums.get((a, b), np.zeros(len(edges) - 1)) + found
    return edges, {pair: total / n_atoms[pair[0]] for pair, total in sums.items()}
