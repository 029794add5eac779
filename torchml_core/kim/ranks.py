"""The device that a rank of a parallel run uses."""

import os

import torch

from torchml_core.torch_device import VARIABLE

MPI_AWARE = "KIM_MODEL_MPI_AWARE"
# Variables in which launchers store the rank of a process on its node.
LOCAL_RANK = (
    "OMPI_COMM_WORLD_LOCAL_RANK",  # Open MPI
    "MPI_LOCALRANKID",  # Intel MPI, MPICH's Hydra
    "MV2_COMM_WORLD_LOCAL_RANK",  # MVAPICH
    "PALS_LOCAL_RANKID",  # HPE Cray
    "SLURM_LOCALID",  # srun
    "FLUX_TASK_LOCAL_ID",
)


def local_rank(environment=None):
    """Return the rank of this process on its node, 0 if no launcher sets it."""
    environment = os.environ if environment is None else environment
    for variable in LOCAL_RANK:
        value = environment.get(variable, "")
        if value.isdigit():
            return int(value)
    return 0


def device_of_rank(device, rank, n_devices):
    """Return the device that a rank uses: one per local rank, round-robin.

    Parameters
    ----------
    device : str
        As in KIM_MODEL_EXECUTION_DEVICE. Only the devices of a kind without a number, like
        ``"cuda"``, are distributed; ``"cuda:1"`` and ``"cpu"`` are returned unchanged.
    rank : int
        The rank on the node.
    n_devices : int
        Number of devices of that kind that this process sees. The returned number counts these
        devices: the runtime renumbers them, whatever their numbers in CUDA_VISIBLE_DEVICES.

    Returns
    -------
    str
    """
    if device == "cpu" or ":" in device or n_devices == 0:
        return device
    return f"{device}:{rank % n_devices}"


def device_of_this_rank():
    """Return the device for this process, if devices are to be distributed among ranks.

    Returns
    -------
    str or None
        With KIM_MODEL_MPI_AWARE=yes (on, true, 1), one of the devices of the kind that
        KIM_MODEL_EXECUTION_DEVICE names. None: use the value of that variable unchanged.
    """
    device = os.environ.get(VARIABLE)
    if not device or os.environ.get(MPI_AWARE, "").lower() not in {"yes", "on", "true", "1"}:
        return None
    return device_of_rank(device, local_rank(), _count(device))


def _count(kind):
    """How many devices of a kind there are; 0 for those that torch does not count."""
    counter = getattr(getattr(torch, kind, None), "device_count", None)
    return 0 if counter is None else counter()
