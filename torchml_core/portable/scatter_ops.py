"""The operators of torch_scatter and torch_sparse, made of ATen operators.

A TorchScript model that was written with these packages names their operators, and cannot even be
loaded if they are unknown. `register` defines them under the same names, so that neither compiled
package is needed. Each is composed of differentiable ATen operators, so gradients, second
derivatives and devices need no further code.

Meaning
-------
The operators behave like the C++ operators (torch_scatter 2.1, torch_sparse 0.6), not like the
Python functions of the same name that call them. Common to all of them:

* Slot k of the result collects the items whose index is k. A slot without items is 0 (1 in a
  product).
* ``scatter_*``: `index` has the shape of `src`, or one dimension (then it runs along `dim`), or
  lacks dimensions of `src` at the end. The result has ``dim_size`` slots, else index.max() + 1.
* ``*_coo``: as scatter, along the last dimension of `index`.
* ``*_csr``: slot k collects items ``indptr[k] <= e < indptr[k + 1]`` along the last dimension of
  `indptr`, whose leading dimensions are those of `src`, or 1.
* min and max also return which item won, the first of equal ones; ``src.size(dim)`` where no item
  did. Its gradient goes to that item alone. Items not below the largest finite number (not above
  the lowest one, for max) never win: infinities of that sign, and NaN.
* means of integers are rounded down by ``scatter_mean``, towards zero by all others.
* `out`, where given, is changed in place and returned. ``scatter_*`` and ``segment_*_coo`` go on
  from what it holds (means divide what it held too); ``*_csr`` and ``gather_*`` overwrite it.

Where the C++ code would read or write outside of its arrays, an error is raised. Two gradients that
are wrong in the C++ code are right here: of a product with a factor 0, and with respect to `out`.
"""

import importlib
import threading
import warnings

import torch

from torchml_core.errors import InputError


def register():
    """Make the operators of torch_scatter and torch_sparse known to torch, under their names.

    The original operators take precedence: an installed package is imported first, and operators
    that exist are not replaced. Calling this again does nothing.

    Warns
    -----
    UserWarning
        If a package is installed but cannot be imported (most often because it was compiled for
        another version of torch); the operators it failed to define are then defined here.

    Notes
    -----
    Torch ends the process (``terminate called ... multiple times``) if a compiled package is loaded
    when its operators exist already. This can happen only to a package that is installed,
    or put on the path, after this function was called: restart Python.
    """
    with _lock:
        for package, operators in _OPERATORS.items():
            if package not in _libraries:
                _import_compiled(package)
                _libraries[package] = _define_missing(package, operators)


# A Library that is garbage-collected removes its operators: keep these until the process ends.
_libraries: dict[str, torch.library.Library | None] = {}
_lock = threading.RLock()  # reentrant: a signal handler may also load a model


def _import_compiled(package):
    try:
        with warnings.catch_warnings():  # they use torch.jit, which is deprecated but not gone
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module(package)
    except Exception as error:  # a broken binary may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            return  # not installed: the usual case
        warnings.warn(
            f"{package} is installed but cannot be imported ({type(error).__name__}: {error}); "
            "torchml_core's own operators are used for what it did not define",
            stacklevel=3,
        )


def _define_missing(package, operators):
    library = torch.library.Library(package, "FRAGMENT")
    for schema, function in operators.items():
        name = schema.partition("(")[0]
        if not hasattr(getattr(torch.ops, package), name):
            library.define(schema)
            library.impl(name, function, "CompositeImplicitAutograd")
    return library


# ---- index and shape -----------------------------------------------------------------------------


def _align(index, src, dim):
    """`index` with as many dimensions as `src`, to be broadcast: its own run along `dim`."""
    lead = [1] * dim if index.dim() == 1 else []
    trail = [1] * (src.dim() - len(lead) - index.dim())
    return index.reshape([*lead, *index.shape, *trail])


def _along(shape, dim, size):
    return [*shape[:dim], size, *shape[dim + 1 :]]


def _overwrite(out, values):
    return values if out is None else out.copy_(values)


def _n_slots(index, dim, out, dim_size):
    if out is not None:
        return out.size(dim)
    if dim_size is not None:
        return dim_size
    return int(index.max()) + 1 if index.numel() else 0


def _check_pointers(name, pointers, n_items):
    ends = pointers[..., :1], pointers[..., -1:]
    if (pointers.diff() < 0).any() or (ends[0] < 0).any() or (ends[1] > n_items).any():
        raise InputError(
            f"{name} must never decrease and stay within 0 and the number of items, {n_items}, "
            f"but it is {pointers}"
        )


def _slots_of_items(indptr, batch, n_items):
    """The slot of each item, counted from 1: 0 and n_slots + 1 are items outside of all slots."""
    _check_pointers("indptr", indptr, n_items)
    indptr = indptr.expand(*batch, -1).contiguous()
    items = torch.arange(n_items, device=indptr.device).expand(*batch, -1).contiguous()
    return torch.searchsorted(indptr, items, right=True)


# ---- reductions: `index` is aligned, `size` the number of slots ----------------------------------


def _sum(src, index, dim, size, out=None):
    if out is None:
        out = src.new_zeros(_along(src.shape, dim, size))
    return out.scatter_add_(dim, index.expand_as(src), src)


def _mean(src, index, dim, size, out=None, *, rounding="trunc"):
    index = index.expand(_along(index.shape, dim, src.size(dim)))
    count = index.new_zeros(_along(index.shape, dim, size))
    count = count.scatter_add_(dim, index, torch.ones_like(index)).clamp_(min=1)
    total = _sum(src, index, dim, size, out)
    return total.div_(count, rounding_mode=None if src.is_floating_point() else rounding)


def _product(src, index, dim, size, out=None):
    if out is None:  # 0 without any item at all is what the C++ operator gives
        one = 1 if src.numel() else 0
        out = src.new_full(_along(src.shape, dim, size), one)
    return out.scatter_reduce_(dim, index.expand_as(src), src, "prod")


def _winners(src, index, dim, start, largest):
    """For each slot the first best item, if better than `start`; otherwise src.size(dim)."""
    n_items = src.size(dim)
    index = index.expand_as(src)
    bound = start.gather(dim, index)
    better = src > bound if largest else src < bound  # False for NaN
    candidates = torch.where(better, src, bound)
    best = start.scatter_reduce(dim, index, candidates, "amax" if largest else "amin")
    wins = better & (src == best.gather(dim, index))
    items = torch.arange(n_items, device=src.device)
    items = torch.where(wins, _align(items, src, dim), n_items)
    return items.new_full(start.shape, n_items).scatter_reduce_(dim, index, items, "amin")


def _extremum(src, index, dim, size, out=None, *, largest):
    start = out
    if out is None:
        info = torch.finfo if src.is_floating_point() else torch.iinfo
        worst = info(src.dtype).min if largest else info(src.dtype).max
        start = src.new_full(_along(src.shape, dim, size), worst)
    winners = _winners(src.detach(), index, dim, start.detach(), largest)
    # Gathered, so that the gradient finds the winner; the 0 at the end is the value of no item.
    nothing = src.new_zeros(_along(src.shape, dim, 1))
    values = torch.cat([src, nothing], dim).gather(dim, winners)
    if out is not None:
        values = out.copy_(torch.where(winners < src.size(dim), values, out))
    return values, winners


def _minimum(src, index, dim, size, out=None):
    return _extremum(src, index, dim, size, out, largest=False)


def _maximum(src, index, dim, size, out=None):
    return _extremum(src, index, dim, size, out, largest=True)


# ---- torch_scatter -------------------------------------------------------------------------------


def _scatter(reduce, **options):
    def scatter(src, index, dim, out, dim_size):
        dim = dim + src.dim() if dim < 0 else dim
        index = _align(index, src, dim)
        size = _n_slots(index, dim, out, dim_size)
        return reduce(src, index, dim, size, out, **options)

    return scatter


def _segment_coo(reduce):
    def segment_coo(src, index, out, dim_size):
        dim = index.dim() - 1
        size = _n_slots(index, dim, out, dim_size)
        return reduce(src, _align(index, src, dim), dim, size, out)

    return segment_coo


def _segment_csr(reduce):
    def segment_csr(src, indptr, out):
        dim = indptr.dim() - 1
        n_slots = max(indptr.size(-1) - 1, 0)
        slots = _slots_of_items(indptr, src.shape[:dim], src.size(dim))
        results = reduce(src, _align(slots, src, dim), dim, n_slots + 2)

        def within(result):
            return result.narrow(dim, 1, n_slots).contiguous()

        if isinstance(results, torch.Tensor):
            return _overwrite(out, within(results))
        values, winners = results
        return _overwrite(out, within(values)), within(winners)

    return segment_csr


def gather_coo(src, index, out):
    """Item e of the result is slot index[e] of `src`."""
    dim = index.dim() - 1
    shape = _along(src.shape, dim, index.size(dim))
    items = src.gather(dim, _align(index, src, dim).expand(shape))
    return _overwrite(out, items)


def gather_csr(src, indptr, out):
    """Items indptr[k] <= e < indptr[k + 1] of the result are slot k of `src`; others 0 or kept."""
    dim = indptr.dim() - 1
    n_slots = src.size(dim)
    if indptr.size(-1) != n_slots + 1:
        raise InputError(
            f"indptr must have one entry more than src has along dimension {dim}, {n_slots}, "
            f"but it has {indptr.size(-1)}"
        )
    n_items = int(indptr[..., -1].max()) if out is None else out.size(dim)
    slots = _align(_slots_of_items(indptr, src.shape[:dim], n_items), src, dim)
    outside = src.new_zeros(_along(src.shape, dim, 1))
    shape = _along(src.shape, dim, n_items)
    items = torch.cat([outside, src, outside], dim).gather(dim, slots.expand(shape))
    if out is None:
        return items
    return out.copy_(torch.where((slots > 0) & (slots <= n_slots), items, out))


def cuda_version():
    """-1: compiled without CUDA; the packages' way to say that they do not depend on it."""
    return -1


# ---- torch_sparse: rows of a sparse matrix by pointers, its columns one by one -------------------


def ind2ptr(ind, M):
    """Pointers (M + 1,) of M rows from the sorted row of each entry."""
    counts = ind.new_zeros(M).scatter_add_(0, ind, torch.ones_like(ind))
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def ptr2ind(ptr, E):
    """The row of each of E entries from the pointers of the rows."""
    if ptr[0] != 0 or ptr[-1] != E:
        raise InputError(f"ptr must rise from 0 to E = {E}, but it is {ptr}")
    _check_pointers("ptr", ptr, E)
    rows = torch.arange(ptr.numel() - 1, device=ptr.device)
    return rows.repeat_interleave(ptr.diff(), output_size=E)


def _spmm(reduce, rowptr, col, value, mat):
    """Reduce value[e] * mat[..., col[e], :] over the entries e of each row."""
    dim = mat.dim() - 2
    items = mat.index_select(dim, col)
    if value is not None:
        items = value.unsqueeze(-1) * items
    index = _align(ptr2ind(rowptr, col.numel()), items, dim)
    return reduce(items, index, dim, rowptr.numel() - 1)


# row, rowcount, colptr and csr2csc serve the packages' hand-written gradients; ours need none.
def spmm_sum(row, rowptr, col, value, colptr, csr2csc, mat):
    """Sparse matrix times dense `mat` (..., n_columns, K)."""
    return _spmm(_sum, rowptr, col, value, mat)


def spmm_mean(row, rowptr, col, value, rowcount, colptr, csr2csc, mat):
    """As spmm_sum, divided by the number of entries of each row."""
    return _spmm(_mean, rowptr, col, value, mat)


def spmm_min(rowptr, col, value, mat):
    """As spmm_sum with the least product in place of the sum, and the entry that it came from."""
    return _spmm(_minimum, rowptr, col, value, mat)


def spmm_max(rowptr, col, value, mat):
    """As spmm_sum with the largest product in place of the sum, and its entry."""
    return _spmm(_maximum, rowptr, col, value, mat)


def non_diag_mask(row, col, M, N, k):
    """Where the existing entries are after the whole k-th diagonal is inserted.

    Of n_entries + n_diagonal places of an M x N matrix, sorted by row and column: True for the
    entries (row, col), False for the diagonal. Entries on it are left out.
    """
    n_diagonal = max(min(M + k, N) if k < 0 else min(M, N - k), 0)
    before = row + min(k, 0) + (col > row + k)  # number of diagonal places before each entry
    places = torch.arange(row.numel(), device=row.device) + before.clamp(0, n_diagonal)
    mask = torch.zeros(row.numel() + n_diagonal, dtype=torch.bool, device=row.device)
    mask[places[col != row + k]] = True
    return mask


# ---- names ---------------------------------------------------------------------------------------

# Argument order as in C++, and no defaults, as there: TorchScript leaves defaults out of the file,
# so a model saved with ours could else not be loaded with theirs.
_SCATTER = "(Tensor src, Tensor index, int dim, Tensor(a!)? out, int? dim_size) -> "
_COO = "(Tensor src, Tensor index, Tensor(a!)? out, int? dim_size) -> "
_CSR = "(Tensor src, Tensor indptr, Tensor(a!)? out) -> "
_SPARSE = "Tensor rowptr, Tensor col, Tensor? value, "
_ONE, _TWO = "Tensor(a!)", "(Tensor(a!), Tensor)"

_OPERATORS = {
    "torch_scatter": {
        f"scatter_sum{_SCATTER}{_ONE}": _scatter(_sum),
        f"scatter_mul{_SCATTER}{_ONE}": _scatter(_product),
        f"scatter_mean{_SCATTER}{_ONE}": _scatter(_mean, rounding="floor"),
        f"scatter_min{_SCATTER}{_TWO}": _scatter(_minimum),
        f"scatter_max{_SCATTER}{_TWO}": _scatter(_maximum),
        f"segment_sum_csr{_CSR}{_ONE}": _segment_csr(_sum),
        f"segment_mean_csr{_CSR}{_ONE}": _segment_csr(_mean),
        f"segment_min_csr{_CSR}{_TWO}": _segment_csr(_minimum),
        f"segment_max_csr{_CSR}{_TWO}": _segment_csr(_maximum),
        f"gather_csr{_CSR}{_ONE}": gather_csr,
        f"segment_sum_coo{_COO}{_ONE}": _segment_coo(_sum),
        f"segment_mean_coo{_COO}{_ONE}": _segment_coo(_mean),
        f"segment_min_coo{_COO}{_TWO}": _segment_coo(_minimum),
        f"segment_max_coo{_COO}{_TWO}": _segment_coo(_maximum),
        f"gather_coo(Tensor src, Tensor index, Tensor(a!)? out) -> {_ONE}": gather_coo,
        "cuda_version() -> int": cuda_version,
    },
    "torch_sparse": {
        "ind2ptr(Tensor ind, int M) -> Tensor": ind2ptr,
        "ptr2ind(Tensor ptr, int E) -> Tensor": ptr2ind,
        f"spmm_sum(Tensor? row, {_SPARSE}Tensor? colptr, Tensor? csr2csc, Tensor mat)"
        " -> Tensor": spmm_sum,
        f"spmm_mean(Tensor? row, {_SPARSE}Tensor? rowcount, Tensor? colptr, Tensor? csr2csc,"
        " Tensor mat) -> Tensor": spmm_mean,
        f"spmm_min({_SPARSE}Tensor mat) -> (Tensor, Tensor)": spmm_min,
        f"spmm_max({_SPARSE}Tensor mat) -> (Tensor, Tensor)": spmm_max,
        "non_diag_mask(Tensor row, Tensor col, int M, int N, int k) -> Tensor": non_diag_mask,
        "cuda_version() -> int": cuda_version,
    },
}
