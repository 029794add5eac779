"""One call of a model: run it, check what comes back, differentiate."""

import numpy as np
import torch

from torchml_core.errors import ModelError
from torchml_core.portable.executors import reason


def run(executor, inputs, *, gradient, returns_forces, given):
    """Run a model and, where asked, differentiate its energy.

    Parameters
    ----------
    executor : TorchScriptExecutor or ExportedExecutor
    inputs : conventions.Inputs
    gradient : bool
        Whether the gradient is wanted. No backward is run where it is not.
    returns_forces : bool
        Whether the model says that it returns ``(energy, forces)``.
    given : str
        What the model is given, for messages.

    Returns
    -------
    energies : float64 array
        As the model returned them, in any shape; the energy is their sum.
    gradient : float64 array of the shape of ``inputs.variable``, or None
        dE/dvariable.

    Raises
    ------
    ModelError
        If the model fails, or returns something that cannot be used: the message names the file,
        what came, and what would be right.
    """
    variable, file = inputs.variable, executor.path
    # A model that differentiates its own energy needs this always, one that returns forces made
    # in another way must not have it (it may work in place), for others we differentiate.
    differentiable = executor.uses_autograd or (gradient and not returns_forces)
    with torch.set_grad_enabled(differentiable):  # whatever the caller's mode is
        variable.requires_grad_(differentiable)
        try:
            returned = executor(*inputs.tensors)
        except Exception as error:  # a model's failure can be any
            raise ModelError(f"{file}: forward failed on {given}: {reason(error)}") from error
        energies, minus_gradient = _unpack(returned, file)
        if gradient and minus_gradient is None:
            if returns_forces:
                raise ModelError(
                    f"{file}: forward returned no forces, though the .param file says that it "
                    "does; 'Returns forces' should be False there"
                )
            result = _backward(energies, inputs, file, given)
        elif gradient:
            result = -_as_array(_like(minus_gradient, variable, file))
        else:
            result = None
    return _as_array(energies), result


def check_finite(energies, gradient, file, hint):
    """Raise ModelError if an energy or a gradient is NaN or infinite."""
    for what, values in (("energy", energies), ("gradient of the energy", gradient)):
        if values is not None and not np.isfinite(values).all():
            bad = values[~np.isfinite(values)].flat[0]
            raise ModelError(f"{file}: the {what} came out as {bad}{hint}")


def _unpack(returned, file):
    """The energies and, if there is one, the second tensor."""
    parts = returned if isinstance(returned, (tuple, list)) else (returned,)
    if len(parts) not in (1, 2) or not all(isinstance(part, torch.Tensor) for part in parts):
        came = ", ".join(type(part).__name__ for part in parts)
        raise ModelError(
            f"{file}: forward returned {type(returned).__name__} of ({came}); a tensor of "
            "energies, or a tuple of energies and forces, is needed"
        )
    for name, part in zip(("energy", "forces"), parts, strict=False):
        if not part.is_floating_point():
            raise ModelError(f"{file}: the {name} came back as {part.dtype}; a real type is needed")
    if parts[0].numel() == 0:
        raise ModelError(f"{file}: the energy came back empty, of shape {tuple(parts[0].shape)}")
    return parts[0], (parts[1] if len(parts) == 2 else None)


def _like(tensor, variable, file):
    """The model's second tensor in the shape of the variable; flat and batch-of-one are taken."""
    shape = tuple(variable.shape)
    if tuple(tensor.shape) not in {shape, (variable.numel(),), (1, *shape), (1, variable.numel())}:
        raise ModelError(
            f"{file}: the second tensor that forward returned, forces, has shape "
            f"{tuple(tensor.shape)}; {shape} is needed"
        )
    return tensor.reshape(shape)


def _backward(energies, inputs, file, given):
    gradient = None
    if energies.requires_grad:
        try:
            (gradient,) = torch.autograd.grad(energies.sum(), inputs.variable, allow_unused=True)
        except RuntimeError as error:
            raise ModelError(
                f"{file}: the energy cannot be differentiated on {given}: {reason(error)}"
            ) from error
    if gradient is not None:
        return _as_array(gradient)
    if inputs.interacting:  # zero forces would be wrong, and nobody would notice
        raise ModelError(
            f"{file}: the energy does not depend on what it was given ({given}) in a way "
            "that torch can differentiate; a model that detaches it must return forces itself"
        )
    return np.zeros(tuple(inputs.variable.shape))


def _as_array(tensor):
    return tensor.detach().to("cpu", torch.float64).numpy()
