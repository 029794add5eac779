"""The operators of torch_scatter and torch_sparse in plain loops over arrays: slow and clear."""

import numpy as np


def _reduced(reduce, items, start, dtype, rounding):
    """The value of one slot with these items, begun with `start`, and which item won (or None).

    `items` are pairs (place along the dimension, value); `start` is None where there was no `out`.
    """
    values = [value for _, value in items]
    if reduce in ("min", "max"):
        best, winner = start, None
        for place, value in items:
            if best is None or (value < best if reduce == "min" else value > best):
                best, winner = value, place
        return (0 if best is None else best), winner
    total = (1 if reduce == "mul" else 0) if start is None else start
    for value in values:
        total = total * value if reduce == "mul" else total + value
    if reduce == "mean":
        count = max(len(values), 1)
        if not np.issubdtype(dtype, np.integer):
            total = total / dtype.type(count)
        else:
            total = total // count if rounding == "floor" else int(np.trunc(total / count))
    return total, None


def scatter(reduce, src, index, dim, n_slots, out=None, rounding="trunc"):
    """Values and winners; `index` has the shape of `src`, and -1 for items that go nowhere."""
    shape = (*src.shape[:dim], n_slots, *src.shape[dim + 1 :])
    items = {slot: [] for slot in np.ndindex(shape)}
    for place in np.ndindex(src.shape):
        if index[place] >= 0:
            slot = (*place[:dim], index[place], *place[dim + 1 :])
            items[slot].append((place[dim], src[place]))
    values = np.zeros(shape, src.dtype)
    winners = np.full(shape, src.shape[dim], np.int64)
    for slot in np.ndindex(shape):
        start = None if out is None else out[slot]
        values[slot], winner = _reduced(reduce, items[slot], start, src.dtype, rounding)
        if winner is not None:
            winners[slot] = winner
    if reduce == "mul" and out is None and src.size == 0:
        values[:] = 0  # as the packages do
    return values, winners


def full_index(index, shape, dim):
    """`index` for each item of an array of this shape: repeated over dimensions it has not."""
    if index.ndim == 1:
        index = index.reshape((1,) * dim + (-1,))
    return np.broadcast_to(index.reshape(index.shape + (1,) * (len(shape) - index.ndim)), shape)


def slots_of_items(indptr, batch, n_items):
    """The slot of each item (*batch, n_items) by pointers, -1 outside of all slots."""
    indptr = np.broadcast_to(indptr, (*batch, indptr.shape[-1]))
    slots = np.full((*batch, n_items), -1)
    for b in np.ndindex(*batch):
        for k in range(indptr.shape[-1] - 1):
            slots[b][indptr[b][k] : indptr[b][k + 1]] = k
    return slots


def gather(src, slots, dim, out):
    """Item e is the slot slots[..., e] of `src`; kept from `out` where that is -1."""
    result = out.copy()
    for place in np.ndindex(out.shape):
        slot = slots[place[: dim + 1]]
        if slot >= 0:
            result[place] = src[(*place[:dim], slot, *place[dim + 1 :])]
    return result


def spmm(reduce, row, col, value, mat, n_rows):
    """Products of a sparse matrix, entry by entry, reduced over each row."""
    items = np.zeros((*mat.shape[:-2], len(col), mat.shape[-1]), mat.dtype)
    for e, c in enumerate(col):
        items[..., e, :] = mat[..., c, :] * (1 if value is None else value[e])
    dim = mat.ndim - 2
    return scatter(reduce, items, full_index(row, items.shape, dim), dim, n_rows)


def non_diag_mask(row, col, M, N, k):
    """Entries and the k-th diagonal sorted together: which are entries (off the diagonal)."""
    entries = {(r, c) for r, c in zip(row, col, strict=True) if c != r + k}
    diagonal = {(r, r + k) for r in range(M) if 0 <= r + k < N}
    return np.array([place in entries for place in sorted(entries | diagonal)], bool)
