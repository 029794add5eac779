"""Where a model runs: a torch device, from an argument or from the environment."""

import os

import torch

from torchml_core.checks import refuse, shown
from torchml_core.errors import InputError

VARIABLE = "KIM_MODEL_EXECUTION_DEVICE"


def execution_device(device=None):
    """Return the torch device to run on, after trying it.

    Parameters
    ----------
    device : str or torch.device, optional
        A device name of torch, such as ``"cuda:1"``. None: the value of the environment variable
        ``KIM_MODEL_EXECUTION_DEVICE``, or the CPU if it is not set.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If torch does not know this device, or it is not available; the message says where the name
        came from.
    """
    origin = "device"
    if device is None:
        origin, device = VARIABLE, os.environ.get(VARIABLE) or "cpu"
    if not isinstance(device, (str, torch.device)):  # a number is a GPU to torch, or nothing
        refuse("device", device, "a name such as 'cpu' or 'cuda:1', or a torch.device,")
    try:
        found = torch.device(device)
        # Copy one number to the device and back: a build without CUDA, a missing card and a device
        # without values (meta) all fail here, and not later inside of a model.
        torch.zeros(1, device=found).item()
    except Exception as error:  # torch raises whatever the backend does, assertions too
        reason = str(error).partition("\n")[0].partition(". ")[0] or repr(error)
        message = f"{origin} = {shown(str(device))} cannot be used here ({reason:.200})"
        raise InputError(f"{message}; 'cpu' always works") from error
    return found
