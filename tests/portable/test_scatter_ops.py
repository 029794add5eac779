"""The ATen operators of torch_scatter and torch_sparse against plain loops, and in TorchScript."""

import importlib.util
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scatter_loops as loops
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick import examples

from torchml_core.portable import scatter_ops

INSTALLED = [p for p in ("torch_scatter", "torch_sparse") if importlib.util.find_spec(p)]

pytestmark = [
    pytest.mark.skipif(bool(INSTALLED), reason=f"{INSTALLED} installed: these would test theirs"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

scatter, sparse = torch.ops.torch_scatter, torch.ops.torch_sparse
seeds = st.integers(0, 2**32 - 1)
DTYPES = [torch.float64, torch.float32, torch.int64]


@pytest.fixture(autouse=True)
def _registered():
    scatter_ops.register()


def numbers(rng, shape, dtype):
    """Few different values, so that there are ties; exact in every type, and so are their sums."""
    values = torch.from_numpy(rng.integers(-6, 7, shape))
    return values if dtype == torch.int64 else values.to(dtype) / 4


def random_shape(rng, n_dims):
    return tuple(int(n) for n in rng.choice([0, 1, 2, 3, 4, 6], n_dims, p=[0.04] + [0.192] * 5))


def assert_same(result, expected):
    """Equal to the last digit but one, of the same type, contiguous: scripts call `view` on it."""
    expected = np.asarray(expected)
    assert result.is_contiguous()
    assert result.numpy().dtype == expected.dtype
    rtol = 1e-6 if expected.dtype == np.float32 else 1e-14
    np.testing.assert_allclose(result.numpy(), expected, rtol=rtol, atol=0, strict=True)


def assert_reduced(results, expected, out):
    """A value, or (value, winners), against both of the loop's; `out` was changed in place."""
    if isinstance(results, torch.Tensor):
        results = (results,)
    for result, array in zip(results, expected, strict=False):
        assert_same(result, array)
    if out is not None:
        assert results[0].data_ptr() == out.data_ptr()
        assert_same(out, expected[0])


# ---- values against loops ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", ["sum", "mul", "mean", "min", "max"])
@given(seed=seeds, n_dims=st.integers(1, 3), one_dim=st.booleans(), with_out=st.booleans())
@examples(25)
def test_scatter(reduce, dtype, seed, n_dims, one_dim, with_out):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, n_dims)
    dim = int(rng.integers(n_dims))
    src = numbers(rng, shape, dtype)
    index = rng.integers(0, 5, shape[dim] if one_dim else shape)
    n_slots = int(rng.integers(5, 8)) if with_out or rng.random() < 0.5 else None
    out = None
    if with_out:
        out = numbers(rng, (*shape[:dim], n_slots, *shape[dim + 1 :]), dtype)
    size = n_slots or (int(index.max()) + 1 if index.size else 0)
    full = loops.full_index(index, shape, dim)
    start = None if out is None else out.numpy().copy()
    expected = loops.scatter(reduce, src.numpy(), full, dim, size, start, rounding="floor")
    operator = getattr(scatter, f"scatter_{reduce}")
    signed_dim = dim - n_dims if rng.random() < 0.5 else dim
    dim_size = None if with_out else n_slots
    results = operator(src, torch.from_numpy(index), signed_dim, out, dim_size)
    assert_reduced(results, expected, out)


def random_pointers(rng, batch, n_items, n_slots):
    """Pointers of slots, many of them empty; half of the time some items are in none."""
    pointers = np.sort(rng.integers(0, n_items + 1, (*batch, n_slots + 1)), axis=-1)
    if rng.random() < 0.5:
        pointers[..., 0], pointers[..., -1] = 0, n_items
    return pointers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", ["sum", "mean", "min", "max"])
@given(seed=seeds, n_dims=st.integers(1, 3), with_out=st.booleans(), repeat=st.booleans())
@examples(25)
def test_segment_csr(reduce, dtype, seed, n_dims, with_out, repeat):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, n_dims)
    dim, n_slots = int(rng.integers(n_dims)), int(rng.integers(1, 7))
    src = numbers(rng, shape, dtype)
    batch = shape[:dim]
    indptr = random_pointers(rng, (1,) * dim if repeat else batch, shape[dim], n_slots)
    slots = loops.full_index(loops.slots_of_items(indptr, batch, shape[dim]), shape, dim)
    expected = loops.scatter(reduce, src.numpy(), slots, dim, n_slots)
    out = numbers(rng, expected[0].shape, dtype) if with_out else None
    results = getattr(scatter, f"segment_{reduce}_csr")(src, torch.from_numpy(indptr), out)
    assert_reduced(results, expected, out)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds, n_dims=st.integers(1, 3), with_out=st.booleans(), repeat=st.booleans())
@examples(40)
def test_gather_csr(dtype, seed, n_dims, with_out, repeat):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, n_dims)
    dim, n_slots = int(rng.integers(n_dims)), int(rng.integers(1, 7))
    batch, n_items = shape[:dim], shape[dim]
    indptr = random_pointers(rng, (1,) * dim if repeat else batch, n_items, n_slots)
    src = numbers(rng, (*batch, n_slots, *shape[dim + 1 :]), dtype)
    out = numbers(rng, shape, dtype) if with_out else None
    if out is None:  # the last pointers tell the size
        indptr[..., -1] = n_items
    before = np.zeros(shape, src.numpy().dtype) if out is None else out.numpy()
    slots = loops.slots_of_items(indptr, batch, n_items)
    if out is None and indptr.size == 0:
        return  # no batch: nothing tells the size
    expected = loops.gather(src.numpy(), slots, dim, before)
    assert_reduced(scatter.gather_csr(src, torch.from_numpy(indptr), out), [expected], out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", ["sum", "mean", "min", "max"])
@given(seed=seeds, n_dims=st.integers(1, 3), with_out=st.booleans(), repeat=st.booleans())
@examples(25)
def test_segment_coo(reduce, dtype, seed, n_dims, with_out, repeat):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, n_dims)
    dim = int(rng.integers(n_dims))
    src = numbers(rng, shape, dtype)
    lead = (1,) * dim if repeat else shape[:dim]
    index = np.sort(rng.integers(0, 5, (*lead, shape[dim])), axis=-1)
    n_slots = int(rng.integers(5, 8)) if with_out or rng.random() < 0.5 else None
    out = None
    if with_out:
        out = numbers(rng, (*shape[:dim], n_slots, *shape[dim + 1 :]), dtype)
    size = n_slots or (int(index.max()) + 1 if index.size else 0)
    full = loops.full_index(index, shape, dim)
    start = None if out is None else out.numpy().copy()
    expected = loops.scatter(reduce, src.numpy(), full, dim, size, start)
    operator = getattr(scatter, f"segment_{reduce}_coo")
    dim_size = None if with_out else n_slots
    assert_reduced(operator(src, torch.from_numpy(index), out, dim_size), expected, out)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds, n_dims=st.integers(1, 3), with_out=st.booleans())
@examples(40)
def test_gather_coo(dtype, seed, n_dims, with_out):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, n_dims)
    dim = int(rng.integers(n_dims))
    index = np.sort(rng.integers(0, 5, shape[: dim + 1]), axis=-1)
    src = numbers(rng, (*shape[:dim], 5, *shape[dim + 1 :]), dtype)
    out = numbers(rng, shape, dtype) if with_out else None
    expected = loops.gather(src.numpy(), index, dim, np.zeros(shape, src.numpy().dtype))
    assert_reduced(scatter.gather_coo(src, torch.from_numpy(index), out), [expected], out)


def random_sparse(rng, n_entries, M, N):
    row = np.sort(rng.integers(0, M, n_entries))
    return row, rng.integers(0, N, n_entries), sparse.ind2ptr(torch.from_numpy(row), M)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", ["sum", "mean", "min", "max"])
@given(seed=seeds, n_entries=st.integers(0, 12), valued=st.booleans(), n_batch=st.integers(0, 2))
@examples(25)
def test_spmm(reduce, dtype, seed, n_entries, valued, n_batch):
    rng = np.random.default_rng(seed)
    M, N = (int(n) for n in rng.integers(1, 6, 2))
    row, col, rowptr = random_sparse(rng, n_entries, M, N)
    value = numbers(rng, n_entries, dtype) if valued else None
    mat = numbers(rng, (*(2, 3)[:n_batch], N, int(rng.integers(1, 4))), dtype)
    value_array = None if value is None else value.numpy()
    expected = loops.spmm(reduce, row, col, value_array, mat.numpy(), M)
    arguments = [rowptr, torch.from_numpy(col), value]
    if reduce in ("sum", "mean"):
        arguments = [None, *arguments, *[None] * (2 if reduce == "sum" else 3)]
    assert_reduced(getattr(sparse, f"spmm_{reduce}")(*arguments, mat), expected, None)


@given(seed=seeds, n_entries=st.integers(0, 12), M=st.integers(1, 6))
@examples(50)
def test_pointers_and_rows(seed, n_entries, M):
    row, _, rowptr = random_sparse(np.random.default_rng(seed), n_entries, M, 1)
    assert_same(rowptr, [int((row < m).sum()) for m in range(M + 1)])
    assert_same(sparse.ptr2ind(rowptr, n_entries), row)


@given(seed=seeds, M=st.integers(1, 5), N=st.integers(1, 5), k=st.integers(-5, 5))
@examples(100)
def test_non_diag_mask(seed, M, N, k):
    row, col = np.nonzero(np.random.default_rng(seed).random((M, N)) < 0.5)
    off = col != row + k
    row, col = row[off], col[off]
    mask = sparse.non_diag_mask(torch.from_numpy(row), torch.from_numpy(col), M, N, k)
    assert_same(mask, loops.non_diag_mask(row, col, M, N, k))


def test_cuda_version_is_none():
    assert scatter.cuda_version() == sparse.cuda_version() == -1


def test_infinities_and_nan_never_win_the_wrong_way():
    inf, nan = torch.inf, torch.nan
    src = torch.tensor([inf, -inf, nan, 1.0, inf, nan, -inf, 2.0])
    index = torch.tensor([0, 1, 2, 2, 3, 4, 5, 5])
    values, winners = scatter.scatter_max(src, index, 0, None, None)
    assert values.tolist() == [inf, 0, 1, inf, 0, 2]
    assert winners.tolist() == [0, 8, 3, 4, 8, 7]
    values, winners = scatter.scatter_min(src, index, 0, None, None)
    assert values.tolist() == [0, -inf, 1, 0, 0, -inf]
    assert winners.tolist() == [8, 1, 3, 8, 8, 6]


def test_one_index_for_all_items_counts_each_of_them():
    src = torch.tensor([1.0, 3.0, 5.0])
    assert scatter.segment_mean_coo(src, torch.tensor([1]), None, None).tolist() == [0, 3]


# ---- properties ----------------------------------------------------------------------------------


@given(seed=seeds, n=st.integers(0, 20))
@examples(50)
def test_sum_is_conserved_and_order_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    src, index = numbers(rng, (n, 2), torch.float64), torch.from_numpy(rng.integers(0, 4, n))
    order = torch.from_numpy(rng.permutation(n))
    total = scatter.scatter_sum(src, index, 0, None, 4)
    assert torch.equal(total.sum(0), src.sum(0))
    assert torch.equal(total, scatter.scatter_sum(src[order], index[order], 0, None, 4))
    least, _ = scatter.scatter_min(src, index, 0, None, 4)
    assert torch.equal(least, scatter.scatter_min(src[order], index[order], 0, None, 4)[0])
    assert torch.equal(least, -scatter.scatter_max(-src, index, 0, None, 4)[0])


@given(seed=seeds, n=st.integers(1, 20))
@examples(50)
def test_every_item_of_a_slot_gets_its_mean_back(seed, n):
    rng = np.random.default_rng(seed)
    src = torch.from_numpy(rng.normal(size=(n, 2)))
    indptr = torch.from_numpy(random_pointers(rng, (), n, 4))
    indptr[0], indptr[-1] = 0, n
    means = scatter.segment_mean_csr(src, indptr, None)
    again = scatter.segment_mean_csr(scatter.gather_csr(means, indptr, None), indptr, None)
    torch.testing.assert_close(again, means, rtol=1e-14, atol=1e-15)


@given(seed=seeds, n_entries=st.integers(0, 20))
@examples(50)
def test_spmm_sum_is_the_dense_product(seed, n_entries):
    rng = np.random.default_rng(seed)
    row, col, rowptr = random_sparse(rng, n_entries, 4, 5)
    value, mat = rng.normal(size=n_entries), rng.normal(size=(5, 3))
    dense = np.zeros((4, 5))
    np.add.at(dense, (row, col), value)
    tensors = [torch.from_numpy(a) for a in (col, value, mat)]
    result = sparse.spmm_sum(None, rowptr, *tensors[:2], None, None, tensors[2])
    np.testing.assert_allclose(result, dense @ mat, rtol=1e-12, atol=1e-12)


# ---- gradients, in TorchScript -------------------------------------------------------------------

INDEX = torch.tensor([0, 2, 2, 4, 4, 4])  # slots 1, 3 are empty
INDPTR = torch.tensor([0, 1, 1, 3, 3, 6])
COL = torch.tensor([1, 0, 2, 2, 1, 0])
ROWCOUNT, COLPTR, CSR2CSC = INDPTR.diff(), torch.tensor([0, 2, 4, 6]), torch.argsort(COL)


def distinct(*shape, seed=1):
    """Values at least 0.1 apart: differences across a change of the winner mean nothing."""
    n = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(n)
    return torch.from_numpy(0.1 * (order - n / 3) + 0.03).reshape(shape)


def cases():
    """(package, operator, arguments): floating-point ones are differentiated."""
    items, out = distinct(6, 2), distinct(5, 2, seed=2)
    batch = distinct(3, 6, 2, seed=3)
    for reduce in ("sum", "mul", "mean", "min", "max"):
        name = f"scatter_{reduce}"
        yield "torch_scatter", name, (items, INDEX, 0, None, 6)
        yield "torch_scatter", name, (batch, INDEX, -2, None, None)
        yield "torch_scatter", name, (items, INDEX, 0, out, None)
    for reduce in ("sum", "mean", "min", "max"):
        yield "torch_scatter", f"segment_{reduce}_csr", (items, INDPTR, None)
        yield "torch_scatter", f"segment_{reduce}_csr", (batch, INDPTR.expand(3, -1), None)
        yield "torch_scatter", f"segment_{reduce}_csr", (items, INDPTR, out)
        yield "torch_scatter", f"segment_{reduce}_coo", (items, INDEX, None, 6)
        yield "torch_scatter", f"segment_{reduce}_coo", (batch, INDEX.expand(3, -1), None, None)
        yield "torch_scatter", f"segment_{reduce}_coo", (items, INDEX, out, None)
    for target in (None, items):
        yield "torch_scatter", "gather_csr", (out, INDPTR, target)
        yield "torch_scatter", "gather_coo", (out, INDEX, target)
    for value in (None, distinct(6, seed=4)):
        mat = distinct(2, 3, 2, seed=5)
        pointers = COLPTR, CSR2CSC
        yield "torch_sparse", "spmm_sum", (INDEX, INDPTR, COL, value, *pointers, mat)
        yield "torch_sparse", "spmm_mean", (INDEX, INDPTR, COL, value, ROWCOUNT, *pointers, mat)
        yield "torch_sparse", "spmm_min", (INDPTR, COL, value, mat)
        yield "torch_sparse", "spmm_max", (INDPTR, COL, value, mat)


def other_cases():
    """Operators without gradients."""
    yield "torch_scatter", "cuda_version", ()
    yield "torch_sparse", "cuda_version", ()
    yield "torch_sparse", "ind2ptr", (INDEX, 5)
    yield "torch_sparse", "ptr2ind", (INDPTR, 6)
    yield "torch_sparse", "non_diag_mask", (INDEX, COL, 5, 3, 0)


def case_name(case):
    _, name, arguments = case
    shapes = [list(a.shape) if isinstance(a, torch.Tensor) else a for a in arguments]
    return f"{name}-{'-'.join(str(s).replace(' ', '') for s in shapes)}"


def fresh(arguments):
    return [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]


@pytest.mark.parametrize("case", [*cases()], ids=case_name)
def test_gradients_and_second_derivatives(case):
    package, name, arguments = case
    operator = getattr(getattr(torch.ops, package), name)
    where = [
        k for k, a in enumerate(arguments) if isinstance(a, torch.Tensor) and a.is_floating_point()
    ]

    def value(*inputs):
        all_arguments = list(arguments)
        for k, x in zip(where, inputs, strict=True):
            all_arguments[k] = x.clone()  # `out` is changed in place
        result = operator(*all_arguments)
        return result if isinstance(result, torch.Tensor) else result[0]

    inputs = [arguments[k].clone().requires_grad_() for k in where]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(lambda *x: value(*x) ** 2, inputs)


def test_gradient_of_a_product_with_zeros():
    src = torch.tensor([0.0, 2.0, 3.0, 0.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    product = scatter.scatter_mul(src, torch.tensor([0, 0, 0, 1, 1, 1]), 0, None, None)
    (gradient,) = torch.autograd.grad(product.sum(), src)
    assert gradient.tolist() == [6, 0, 0, 0, 0, 0]


def test_gradient_of_equal_items_goes_to_the_first():
    src = torch.tensor([1.0, 2.0, 2.0], requires_grad=True)
    value, winner = scatter.scatter_max(src, torch.zeros(3, dtype=torch.int64), 0, None, None)
    (gradient,) = torch.autograd.grad(value.sum(), src)
    assert gradient.tolist() == [0, 1, 0]
    assert winner.tolist() == [1]
    assert not winner.requires_grad


def test_nothing_at_all_is_still_differentiable():
    src = torch.zeros(0, 3, requires_grad=True)
    for reduce in ("sum", "mul", "mean", "min", "max"):
        operator = getattr(scatter, f"scatter_{reduce}")
        result = operator(src, torch.zeros(0, dtype=torch.int64), 0, None, 2)
        value = result if reduce in ("sum", "mul", "mean") else result[0]
        assert torch.equal(value, torch.zeros(2, 3))
        (gradient,) = torch.autograd.grad(value.sum(), src)
        assert gradient.shape == (0, 3)


def scripted(package, name, path):
    """A saved and loaded TorchScript module that calls one operator with all its arguments."""
    arguments = getattr(getattr(torch.ops, package), name).default._schema.arguments
    typed = "".join(f", {a.name}: {a.type.annotation_str}" for a in arguments)
    names = ", ".join(a.name for a in arguments)

    class Empty(torch.nn.Module):  # a class of its own: TorchScript keeps one type for each
        pass

    module = torch.jit.script(Empty())
    module.define(f"def forward(self{typed}):\n    return torch.ops.{package}.{name}({names})\n")
    torch.jit.save(module, path)
    return torch.jit.load(path)


@pytest.mark.parametrize("case", [*cases(), *other_cases()], ids=case_name)
def test_called_from_torchscript(case, tmp_path):
    package, name, arguments = case
    module = scripted(package, name, tmp_path / "script.pt")
    expected = getattr(getattr(torch.ops, package), name)(*fresh(arguments))
    for _ in range(3):  # the third time it is optimised
        result = module(*fresh(arguments))
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_every_operator_is_tried():
    tried = {(package, name) for package, name, _ in [*cases(), *other_cases()]}
    ours = {
        (package, schema.partition("(")[0])
        for package, operators in scatter_ops._OPERATORS.items()
        for schema in operators
    }
    assert tried == ours


def test_script_sees_that_out_changes():
    script = torch.jit.CompilationUnit("""
        def run(x: Tensor, index: Tensor):
            out = torch.zeros_like(x)
            before = out + 1
            torch.ops.torch_scatter.scatter_sum(x, index, 0, out, None)
            return before, out + 1
    """)
    for _ in range(3):
        before, after = script.run(torch.ones(2), torch.tensor([1, 1]))
        assert before.tolist() == [1, 1]
        assert after.tolist() == [1, 3]


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("indptr", [[0, 2, 1], [-1, 1, 3], [0, 2, 4]])
def test_impossible_pointers(indptr):
    indptr = torch.tensor(indptr)
    with pytest.raises(ValueError, match="indptr must never decrease and stay within 0 and .*, 3"):
        scatter.segment_sum_csr(torch.ones(3), indptr, None)
    with pytest.raises(ValueError, match="ptr must"):
        sparse.ptr2ind(indptr, 3)


def test_gather_csr_needs_one_slot_between_two_pointers():
    with pytest.raises(ValueError, match="one entry more than src has along dimension 0, 3"):
        scatter.gather_csr(torch.ones(3), torch.tensor([0, 1, 2]), None)


@pytest.mark.parametrize("index", [[0, 3, 1], [0, -1, 1], [0, 1]])
def test_impossible_index(index):
    for reduce in ("sum", "mul", "mean", "min", "max"):
        with pytest.raises(RuntimeError):
            getattr(scatter, f"scatter_{reduce}")(torch.ones(3), torch.tensor(index), 0, None, 3)


# ---- registration, each in a process of its own --------------------------------------------------


def run(code, *arguments):
    """What a fresh Python prints, and its complaints; it must not fail."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n"), done.stderr


@pytest.mark.slow
def test_a_model_loads_only_after_register(tmp_path):
    scripted("torch_sparse", "ptr2ind", tmp_path / "script.pt")
    code = """
        import sys, torch
        from torchml_core.portable import scatter_ops
        try:
            torch.jit.load(sys.argv[1])
        except RuntimeError as error:
            print("Unknown builtin op: torch_sparse::ptr2ind" in str(error))
        scatter_ops.register()
        scatter_ops.register()
        print(torch.jit.load(sys.argv[1])(torch.tensor([0, 0, 2]), 2).tolist())
    """
    assert run(code, tmp_path / "script.pt")[0][:2] == ["True", "[1, 1]"]


@pytest.mark.slow
def test_operators_of_an_installed_package_win(tmp_path):
    (tmp_path / "torch_scatter.py").write_text(
        "import torch\n"
        "library = torch.library.Library('torch_scatter', 'FRAGMENT')\n"
        "library.define('cuda_version() -> int')\n"
        "library.impl('cuda_version', lambda: 12060, 'CompositeImplicitAutograd')\n"
    )
    code = """
        import sys, torch, warnings
        warnings.simplefilter("error")
        sys.path.insert(0, sys.argv[1])
        from torchml_core.portable import scatter_ops
        scatter_ops.register()
        print(torch.ops.torch_scatter.cuda_version(), torch.ops.torch_sparse.cuda_version())
        print(torch.ops.torch_scatter.gather_coo(torch.ones(1), torch.tensor([0]), None).tolist())
    """
    assert run(code, tmp_path)[0][:2] == ["12060 -1", "[1.0]"]


@pytest.mark.slow
def test_a_broken_package_is_told_and_replaced(tmp_path):
    (tmp_path / "torch_sparse.py").write_text("raise OSError('undefined symbol: _ZN5torch')\n")
    code = """
        import sys, torch
        sys.path.insert(0, sys.argv[1])
        from torchml_core.portable import scatter_ops
        scatter_ops.register()
        scatter_ops.register()
        print(torch.ops.torch_sparse.ptr2ind(torch.tensor([0, 1]), 1).tolist())
    """
    output, complaints = run(code, tmp_path)
    assert output[0] == "[0]"
    message = "torch_sparse is installed but cannot be imported (OSError: undefined symbol: _ZN5tor"
    assert complaints.count(message) == 1


@pytest.mark.slow
def test_importing_registers_nothing():
    code = """
        import torch
        from torchml_core.portable import scatter_ops
        print(hasattr(torch.ops.torch_scatter, "scatter_sum"))
    """
    assert run(code)[0][0] == "False"


# ---- a real model --------------------------------------------------------------------------------


def test_real_graph_model(shared_data):
    path = shared_data / "portable_models" / "TorchMLModel3_Graph" / "model_exp.pt"
    model = torch.jit.load(path).eval()
    species = torch.tensor([14, 14, 14, 14])
    contributing = torch.tensor([0, 0, 0, 1])
    edges = torch.tensor([(i, j) for i in range(4) for j in range(4) if i != j]).T.contiguous()
    positions = torch.tensor(
        [[0.0, 0.0, 0.0], [2.3, 0.1, 0.0], [0.1, 2.2, 0.3], [0.5, 0.4, 2.1]], dtype=torch.float64
    )

    def energy(x):
        return model(species, x, edges, edges, edges, contributing).sum()

    x = positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x), x)
    assert gradient.abs().max() > 1
    assert gradient.sum(0).abs().max() < 1e-11 * gradient.abs().max()
    with torch.no_grad():
        turned = positions.flip(1) + torch.tensor([1.0, -2.0, 3.0])  # a reflection and a shift
        assert abs(energy(turned) - energy(positions)) < 1e-11
        step = 1e-4
        for place in np.ndindex(4, 3):
            ahead = []
            for k in (-2, -1, 1, 2):
                moved = positions.clone()
                moved[place] += k * step
                ahead.append(float(energy(moved)))
            difference = (ahead[0] - 8 * ahead[1] + 8 * ahead[2] - ahead[3]) / (12 * step)
            assert abs(difference - gradient[place]) < 1e-7 * gradient.abs().max()
