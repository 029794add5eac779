"""Neighbor lists of torch tensors: the same lists, and derivatives."""

import numpy as np
import pytest
import torch
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


def test_no_cell():
    positions = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    d = tm.neighbor_list("d", cutoff=2.0, positions=positions)
    d.sum().backward()
    assert positions.grad.tolist() == [[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]
