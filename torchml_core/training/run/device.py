"""The device on which the networks of a run are trained."""

from __future__ import annotations

import torch

from torchml_core.errors import InputError
from torchml_core.torch_device import execution_device


def device_of(name: str, earlier: str | None = None) -> torch.device:
    """Return the torch device of a setting, after trying it.

    Parameters
    ----------
    name : str
        "auto" is a GPU where torch sees one.
    earlier : str, optional
        What "auto" was when the run began, which is resumed now.

    Raises
    ------
    InputError
        If it is not there.
    """
    if name != "auto":
        return execution_device(name)
    if earlier is None:
        return execution_device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return execution_device(earlier)
    except InputError as error:
        raise InputError(
            f"--resume: the run was on {earlier}; the same device, or another output folder, is"
            f" needed ({error})"
        ) from None
