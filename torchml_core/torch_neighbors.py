"""Neighbor lists from torch tensors, differentiable in positions and cell."""

import torch

from torchml_core.errors import InputError


def tensor_neighbor_list(find, quantities, cutoff, positions, cell, pbc, **options):
    """Do what :func:`torchml_core.neighbor_list` does, from tensors to tensors.

    ``find`` is that function, for arrays. The search is done on the processor in float64; i, j and
    S are put where positions are. D and d are computed there from positions and cell, and can be
    differentiated by them as often as one likes (d not where it is 0).
    """
    if not positions.is_floating_point():
        raise InputError(f"positions is of dtype {positions.dtype}; a floating type is needed")
    on_cpu = positions.detach().to("cpu", torch.float64).numpy()
    cell_on_cpu = None
    if cell is not None:
        cell = torch.as_tensor(cell, dtype=positions.dtype, device=positions.device)
        cell_on_cpu = cell.detach().to("cpu", torch.float64).numpy()
    i, j, S = (
        torch.from_numpy(array).to(positions.device)
        for array in find(
            "ijS", positions=on_cpu, cell=cell_on_cpu, pbc=pbc, cutoff=cutoff, **options
        )
    )
    found = {"i": i.long(), "j": j.long(), "S": S}
    if "D" in quantities or "d" in quantities:
        D = positions[found["j"]] - positions[found["i"]]
        if cell is not None:
            D = D + S.to(positions.dtype) @ (torch.diag(cell) if cell.ndim == 1 else cell)
        found["D"], found["d"] = D, torch.linalg.vector_norm(D, dim=1)
    if len(quantities) == 1:
        return found[quantities]
    return tuple(found[quantity] for quantity in quantities)
