"""Which device a rank takes, as a function of what launchers and torch say."""

import pytest
import torch

from torchml_core.kim import ranks
from torchml_core.kim.ranks import LOCAL_RANK, device_of_rank, device_of_this_rank, local_rank


@pytest.mark.parametrize("variable", LOCAL_RANK)
def test_every_launcher_is_understood(variable):
    assert local_rank({variable: "3", "UNRELATED": "7"}) == 3


@pytest.mark.parametrize("environment", [{}, {LOCAL_RANK[0]: ""}, {LOCAL_RANK[0]: "first"}])
def test_without_a_launcher_the_rank_is_0(environment):
    assert local_rank(environment) == 0


def test_the_launcher_that_started_us_comes_before_the_batch_system():
    # mpirun inside an allocation of Slurm: SLURM_LOCALID is that of mpirun's daemon
    assert local_rank({"SLURM_LOCALID": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "2"}) == 2


@pytest.mark.parametrize(
    ("device", "rank", "n_devices", "expected"),
    [
        ("cuda", 0, 4, "cuda:0"),
        ("cuda", 3, 4, "cuda:3"),
        ("cuda", 4, 4, "cuda:0"),
        ("cuda", 7, 3, "cuda:1"),
        ("cuda", 5, 1, "cuda:0"),
        ("xpu", 1, 2, "xpu:1"),
        ("cuda:1", 0, 4, "cuda:1"),
        ("cpu", 1, 8, "cpu"),
        ("cuda", 1, 0, "cuda"),
    ],
)
def test_round_robin(device, rank, n_devices, expected):
    assert device_of_rank(device, rank, n_devices) == expected


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for variable in LOCAL_RANK:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "6")
    monkeypatch.setenv("KIM_MODEL_EXECUTION_DEVICE", "cuda")
    # ids in another order than the runtime's numbers, which alone count
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,3,1")
    return monkeypatch


@pytest.mark.parametrize("value", ["yes", "YES", "on", "true", "1"])
def test_this_rank(value, four_gpus):
    four_gpus.setenv(ranks.MPI_AWARE, value)
    assert device_of_this_rank() == "cuda:2"


@pytest.mark.parametrize("value", [None, "", "no", "0"])
def test_only_if_asked(value, four_gpus):
    if value is None:
        four_gpus.delenv(ranks.MPI_AWARE, raising=False)
    else:
        four_gpus.setenv(ranks.MPI_AWARE, value)
    assert device_of_this_rank() is None


def test_without_a_device_there_is_nothing_to_share(four_gpus):
    four_gpus.setenv(ranks.MPI_AWARE, "yes")
    four_gpus.delenv("KIM_MODEL_EXECUTION_DEVICE")
    assert device_of_this_rank() is None
