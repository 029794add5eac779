"""Which device a rank of a parallel run takes."""

import os

import torch

from torchml_core.portable.device import VARIABLE

MPI_AWARE = "KIM_MODEL_MPI_AWARE"
# Where launchers say which of the ranks of its node a process is.
LOCAL_RANK = (
    "OMPI_COMM_WORLD_LOCAL_RANK",  # Open MPI
    "MPI_LOCALRANKID",  # Intel MPI, MPICH's Hydra
    "MV2_COMM_WORLD_LOCAL_RANK",  # MVAPICH
    "PALS_LOCAL_RANKID",  # HPE Cray
    "SLURM_LOCALID",  # srun
    "FLUX_TASK_LOCAL_ID",
)


def local_rank(environment=None):
    """Return which of the ranks of its node this process is, 0 where no launcher says."""
    environment = os.environ if environment is None else environment
    for variable in LOCAL_RANK:
        value = environment.get(variable, "")
        if value.isdigit():
            return int(value)
    return 0


def device_of_rank(device, rank, n_devices):
    """Return the device that a rank takes: one a local rank, round-robin.

    Parameters
    ----------
    device : str
        As in KIM_MODEL_EXECUTION_DEVICE. Only a kind without a number, like ``"cuda"``, is shared
        out; ``"cuda:1"`` and ``"cpu"`` stay what they are.
    rank : int
        Among the ranks of the node.
    n_devices : int
        Devices of that kind that this process sees. The number that is returned counts those:
        the runtime has renumbered them, whatever CUDA_VISIBLE_DEVICES calls them.

    Returns
    -------
    str
    """
    if device == "cpu" or ":" in device or n_devices == 0:
        return device
    return f"{device}:{rank % n_devices}"


def device_of_this_rank():
    """Return the device for this process, where it is to be shared out among ranks.

    Returns
    -------
    str or None
        With KIM_MODEL_MPI_AWARE=yes (on, true, 1) one of the devices of the kind that
        KIM_MODEL_EXECUTION_DEVICE names. None: what that variable says, as it is.
    """
    device = os.environ.get(VARIABLE)
    if not device or os.environ.get(MPI_AWARE, "").lower() not in {"yes", "on", "true", "1"}:
        return None
    return device_of_rank(device, local_rank(), _count(device))


def _count(kind):
    """How many devices of a kind there are; 0 for those that torch does not count."""
    counter = getattr(getattr(torch, kind, None), "device_count", None)
    return 0 if counter is None else counter()
