"""One call of a model: run it, check what comes back, differentiate."""

import contextlib
import re
from dataclasses import dataclass

import numpy as np
import torch

from torchml_core._arrays import are_finite
from torchml_core.errors import ModelError, UnsupportedError
from torchml_core.portable.executors import reason
from torchml_core.torch_threads import settle_torch, torch_threads

SMALL_WORK = 2e7  # about 10 ms, with gradients

# What torch's messages about tensors of different floating types have in common.
ABOUT_DTYPES = re.compile(
    r"d(ata)?types?\b|scalar type|result type|promoting|input type .* should be the same"
    r"|\bfloat(32|64)\b",  # as a model's own checks say it
    re.I,
)


@dataclass
class Outcome:
    """What a model returned, checked.

    Attributes
    ----------
    inputs : conventions.Inputs
        The inputs that the model was given.
    energies : float64 array
        As the model returned them, in any shape; the energy is their sum.
    gradient : float64 array of the shape of ``inputs.variable``, or None
        dE/dvariable.
    precision : torch.dtype
        The narrowest floating type among those of the inputs, the weights and the energies.
    """

    inputs: object
    energies: np.ndarray
    gradient: np.ndarray | None
    precision: torch.dtype = torch.float64

    def gradient_by_particle(self, n):
        """(n, 3) dE/dr, where the variable holds the positions of n particles."""
        by_particle = np.empty((n, 3))
        by_particle[self.inputs.particles] = self.gradient[:n]  # a dummy ghost may follow
        return by_particle


def run(executor, inputs, *, gradient, returns_forces, given):
    """Run a model and, where asked, differentiate its energy.

    Parameters
    ----------
    executor : TorchScriptExecutor or ExportedExecutor
    inputs : conventions.Inputs
    gradient : bool
        Whether the gradient is needed. Otherwise no backward pass is run.
    returns_forces : bool
        Whether the model says that it returns ``(energy, forces)``.
    given : str
        What the model is given, for messages.

    Returns
    -------
    Outcome

    Raises
    ------
    ModelError
        If the model fails, or returns something that cannot be used: the message names the file,
        what was returned, and what is needed.
    UnsupportedError
        Inside of a function that torch.func transforms.
    """
    variable, file = inputs.variable, executor.path
    # A model that differentiates its own energy always needs gradients. A model that computes its
    # forces in another way must not have them (it may work in place). For others we differentiate.
    differentiable = executor.uses_autograd or (gradient and not returns_forces)
    with (
        torch.set_grad_enabled(differentiable),  # whatever the caller's mode is
        torch_threads(_n_threads(executor, inputs)),
    ):
        _require_grad(variable, differentiable)
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
    variable.requires_grad_(False)  # for who keeps it
    types = (variable.dtype, energies.dtype, getattr(executor, "narrowest_dtype", variable.dtype))
    precision = max(types, key=lambda dtype: torch.finfo(dtype).eps)
    return Outcome(inputs, _as_array(energies), result, precision)


def _n_threads(executor, inputs):
    """Use one thread for small work, where more are not faster; otherwise torch's own number.

    The work is estimated as rows or edges times the number of the model's weights. This is always
    the same for the same structure, as it must be: the last bit of a result may depend on the
    number of threads.
    """
    rows = max(max(tensor.shape, default=1) for tensor in inputs.tensors)
    return 1 if rows * (executor.n_numbers + 1000) < SMALL_WORK else torch.get_num_threads()


def refuses_dtype(error):
    """Whether a ModelError says that torch, or the model itself, refuses a floating type."""
    cause = error.__cause__
    return cause is not None and bool(ABOUT_DTYPES.search(reason(cause)))


def own_state(device):
    """Shield the code inside from the caller's modes of torch: inference mode, autocast, a fork."""
    settle_torch()
    modes = contextlib.ExitStack()
    if torch.is_inference_mode_enabled():  # its tensors cannot be differentiated
        modes.enter_context(torch.inference_mode(False))
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        modes.enter_context(torch.autocast(device.type, enabled=False))
    return modes


def check_finite(energies, gradient, file, hint):
    """Raise ModelError if an energy or a gradient is NaN or infinite; ``hint()`` ends it."""
    for what, values in (("energy", energies), ("gradient of the energy", gradient)):
        if values is not None and not are_finite(values):
            bad = values[~np.isfinite(values)].flat[0]
            raise ModelError(f"{file}: the {what} is {bad}{hint()}")


def _unpack(returned, file):
    """The energies and, if there is one, the second tensor; further values are ignored."""
    all_parts = returned if isinstance(returned, (tuple, list)) else (returned,)
    parts = all_parts[:2]
    if not parts or not all(isinstance(part, torch.Tensor) for part in parts):
        came = ", ".join(type(part).__name__ for part in all_parts)
        raise ModelError(
            f"{file}: forward returned {type(returned).__name__} of ({came}); a tensor of "
            "energies, or a tuple of energies and forces, is needed"
        )
    for name, part in zip(("energy", "forces"), parts, strict=False):
        if not part.is_floating_point():
            raise ModelError(
                f"{file}: forward returned {name} of dtype {part.dtype}; a real type is needed"
            )
    if parts[0].numel() == 0:
        raise ModelError(f"{file}: the energy returned is empty, of shape {tuple(parts[0].shape)}")
    return parts[0], (parts[1] if len(parts) == 2 else None)


def _require_grad(variable, differentiable):
    try:
        variable.requires_grad_(differentiable)
    except RuntimeError as error:  # torch's message mentions requires_grad_
        raise UnsupportedError(
            "a model cannot be evaluated inside of a function that torch.func transforms: its "
            "results are NumPy arrays, which torch cannot differentiate"
        ) from error


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
    if inputs.interacting:  # zero forces would be silently wrong
        raise ModelError(
            f"{file}: the energy does not depend on the inputs ({given}) in a way that torch can "
            "differentiate; a model that detaches its inputs must return forces itself"
        )
    return np.zeros(tuple(inputs.variable.shape))


def _as_array(tensor):
    return tensor.detach().to("cpu", torch.float64).numpy()
