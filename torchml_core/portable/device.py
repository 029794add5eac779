"""Where a model runs: a torch device, from an argument or from the environment."""

import os

import torch

from torchml_core.checks import shown
from torchml_core.errors import InputError

VARIABLE = "KIM_MODEL_EXECUTION_DEVICE"


def execution_device(device=None):
    """Return the torch device to run on, after trying it.

    Parameters
    ----------
    device : str or torch.device, optional
        As torch names them, ``"cuda:1"``. None: what the environment variable
        ``KIM_MODEL_EXECUTION_DEVICE`` says, else the processor.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If torch knows no such device, or has none here; the message says where the name came from.
    """
    origin = "device"
    if device is None:
        origin, device = VARIABLE, os.environ.get(VARIABLE) or "cpu"
    try:
        found = torch.device(device)
        # One number there and back: a build without CUDA, a card that is not there and a device
        # that holds no values (meta) all fail here rather than in the midst of a model.
        torch.zeros(1, device=found).item()
    except Exception as error:  # torch raises whatever the backend does, assertions too
        reason = str(error).partition("\n")[0].partition(". ")[0] or repr(error)
        message = f"{origin} = {shown(str(device))} cannot be used here ({reason:.200})"
        raise InputError(f"{message}; 'cpu' always works") from error
    return found
