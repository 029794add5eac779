"""Neighbor lists of torch tensors: the same lists, and derivatives."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from structures import random_structure, rattled_silicon

import torchml_core as tm


def tensors(atoms):
    return {
        "positions": torch.tensor(atoms.positions),
        "cell": torch.tensor(np.array(atoms.cell)),
        "pbc": atoms.pbc,
    }


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("half", [False, True])
def test_equals_the_lists_of_arrays(seed, half):
    atoms, cutoff = random_structure(seed)
    found = tm.neighbor_list("ijSDd", cutoff=cutoff, half=half, **tensors(atoms))
    expected = tm.neighbor_list("ijSDd", atoms, cutoff, half=half)
    for mine, theirs in zip(found, expected, strict=True):
        assert isinstance(mine, torch.Tensor)
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-12)


def test_derivatives_by_positions_and_cell():
    atoms = rattled_silicon(1)
    given = tensors(atoms)
    inputs = (given["positions"].requires_grad_(), given["cell"].requires_grad_())

    def vectors_and_distances(positions, cell):
        return tm.neighbor_list("Dd", cutoff=2.6, positions=positions, cell=cell, pbc=True)

    assert torch.autograd.gradcheck(vectors_and_distances, inputs)
    assert torch.autograd.gradgradcheck(vectors_and_distances, inputs)


def test_types():
    given = tensors(rattled_silicon(1))
    given["positions"] = given["positions"].float()
    i, j, S, D, d = tm.neighbor_list("ijSDd", cutoff=2.6, **given)
    assert (i.dtype, j.dtype, S.dtype) == (torch.int64, torch.int64, torch.int32)
    assert D.dtype == d.dtype == torch.float32
    assert tm.neighbor_list("i", cutoff=2.6, **given).shape == i.shape
    with pytest.raises(tm.InputError, match="positions is of dtype torch.int64"):
        tm.neighbor_list("i", cutoff=2.6, positions=torch.zeros((1, 3), dtype=torch.int64))


def test_half_precision_and_lengths_of_a_cell():
    positions = torch.tensor([[0.0, 0.0, 0.0], [3.5, 0.0, 0.0]], dtype=torch.bfloat16)
    lengths = torch.tensor([4.0, 5.0, 6.0], requires_grad=True)
    D = tm.neighbor_list("D", cutoff=1.0, positions=positions, cell=lengths, pbc=True)
    assert D.dtype == torch.bfloat16
    assert D.tolist() == [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]
    D[1].sum().backward()
    assert lengths.grad.tolist() == [1.0, 0.0, 0.0]


def test_no_cell():
    positions = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    d = tm.neighbor_list("d", cutoff=2.0, positions=positions)
    d.sum().backward()
    assert positions.grad.tolist() == [[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]


def batch_of_tensors(structures):
    return structures, {
        "positions": torch.tensor(np.concatenate([a.positions for a in structures])),
        "atom_offsets": torch.tensor(np.cumsum([0, *map(len, structures)])),
        "cells": torch.tensor(np.array([a.cell[:] for a in structures])),
        "pbc": torch.tensor(np.array([a.pbc for a in structures])),
    }


@pytest.mark.parametrize("half", [False, True])
def test_lists_of_many_structures_equal_those_of_arrays(half):
    structures, given = batch_of_tensors([random_structure(seed)[0] for seed in range(20)])
    found = tm.neighbor_lists("ijSDd", cutoff=2.0, half=half, **given)
    expected = tm.neighbor_lists("ijSDd", structures, 2.0, half=half)
    for mine, theirs in zip(found, expected, strict=True):
        assert isinstance(mine, torch.Tensor)
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-12)
    types = [t.dtype for t in tm.neighbor_lists("ijSDd", cutoff=2.0, **given)]
    assert types == [torch.int64, torch.int64, torch.int32, *[torch.float64] * 2, torch.int64]


def test_derivatives_of_many_structures():
    _, given = batch_of_tensors([bulk("Si"), bulk("C"), Atoms("H2", [[0, 0, 0], [0, 0, 1]])])
    inputs = (given.pop("positions").requires_grad_(), given.pop("cells").requires_grad_())

    def vectors_and_distances(positions, cells):
        arguments = {"positions": positions, "cells": cells, **given}
        return tm.neighbor_lists("Dd", cutoff=2.5, sorted_rows=True, **arguments)[:2]

    assert torch.autograd.gradcheck(vectors_and_distances, inputs)


def test_many_structures_and_none_at_all():
    arrays = {"atom_offsets": [0], "cells": torch.zeros(0, 3, 3), "pbc": True}
    i, D, begin = tm.neighbor_lists("iD", cutoff=1.0, positions=torch.zeros(0, 3), **arrays)
    assert (i.shape, D.shape, begin.tolist()) == ((0,), (0, 3), [0])


def test_a_graph_of_many_structures():
    structures, given = batch_of_tensors([random_structure(seed)[0] for seed in range(5)])
    i, j, S, _ = tm.neighbor_lists("ijS", structures, 2.0, sorted_rows=True)
    expected = np.repeat(range(5), [len(atoms) for atoms in structures])
    some = {name: value.numpy() for name, value in given.items()}
    for graph in (
        tm.neighbor_graph(structures, 2.0, sorted_rows=True),
        tm.neighbor_graph((atoms for atoms in structures), 2.0, sorted_rows=True),
        tm.neighbor_graph(cutoff=2.0, sorted_rows=True, **given),
        tm.neighbor_graph(cutoff=2.0, sorted_rows=True, **some),
    ):
        assert graph.edge_index.dtype == graph.batch.dtype == torch.int64
        assert graph.edge_index.tolist() == [i.tolist(), j.tolist()]
        assert graph.shifts.tolist() == S.tolist()
        assert graph.batch.tolist() == expected.tolist()
    for options in ({"half": True}, {"self_interaction": True}):
        graph = tm.neighbor_graph(structures, 2.0, **options)
        i, j, S, _ = tm.neighbor_lists("ijS", structures, 2.0, **options)
        assert graph.edge_index.tolist() == [i.tolist(), j.tolist()]
        assert graph.shifts.tolist() == S.tolist()
    with pytest.raises(tm.InputError, match="structures = 5: a sequence of ASE Atoms"):
        tm.neighbor_graph(5, 2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": np.zeros((1, 3))}, "positions is a ndarray; a torch.Tensor, as cell"),
        ({"cell": torch.eye(3) * 1j}, "cell is of dtype torch.complex64; real numbers"),
        ({"cell": "cubic"}, "cell: an array of real numbers"),
        ({"positions": torch.zeros(1, 3, dtype=torch.complex128)}, "torch.complex128"),
        ({"pbc": torch.tensor([0.0, 1.0, 0.0])}, "pbc = "),
        ({"positions": torch.full((1, 3), torch.nan)}, r"positions\[0, 0\] = nan"),
        (
            {"structure": rattled_silicon(1)},
            "structure, out: None is needed with positions or cell",
        ),
    ],
)
def test_bad_tensors_are_named(arguments, message):
    given = {"positions": torch.zeros(1, 3), "cell": torch.eye(3), "pbc": True, **arguments}
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list("ij", cutoff=2.6, **given)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch uses it itself
def test_transforms_of_torch_func():
    atoms = rattled_silicon(1)
    given = tensors(atoms)
    x, cell = given["positions"], given["cell"]

    def distances(x, cell):
        return tm.neighbor_list("d", cutoff=2.6, positions=x, cell=cell, pbc=True)

    def energy(x, cell):
        return (distances(x, cell) ** -3).sum()

    inputs = (x.clone().requires_grad_(), cell.clone().requires_grad_())
    expected = torch.autograd.grad(energy(*inputs), inputs)
    for mine, theirs in zip(torch.func.grad(energy, (0, 1))(x, cell), expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    d = distances(*inputs)
    jacobian = torch.stack([torch.autograd.grad(k, inputs[0], retain_graph=True)[0] for k in d])
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(distances)(x, cell), jacobian)
    (batched,) = torch.autograd.grad(
        d, inputs[0], torch.eye(len(d)).double(), is_grads_batched=True
    )
    torch.testing.assert_close(batched, jacobian)
    assert torch.func.hessian(energy)(x, cell).shape == (8, 3, 8, 3)
    with pytest.raises(tm.InputError, match="vmap over structures .* neighbor_lists"):
        torch.func.vmap(energy, (0, None))(x[None], cell)
