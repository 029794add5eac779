"""The device: argument before environment, and a clear word where it cannot be used."""

import pytest
import torch

import torchml_core as tm
from torchml_core.torch_device import VARIABLE, execution_device


def test_argument_then_environment_then_processor(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert execution_device() == torch.device("cpu")
    assert execution_device(torch.device("cpu:0")) == torch.device("cpu:0")
    monkeypatch.setenv(VARIABLE, "cpu:0")
    assert execution_device() == torch.device("cpu:0")
    monkeypatch.setenv(VARIABLE, "no such thing")
    assert execution_device("cpu") == torch.device("cpu")
    with pytest.raises(tm.InputError, match=f"{VARIABLE} = 'no such thing'"):
        execution_device()


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99"])
def test_what_cannot_be_used_is_refused(name):
    with pytest.raises(tm.InputError, match=r"device = .* cannot be used here \(.+\)"):
        execution_device(name)


@pytest.mark.parametrize("device", [object(), 0, 2**31, True])
def test_other_types_are_refused(device):
    """torch takes 0 for a GPU where there is one, and 2**31 for 0."""
    with pytest.raises(tm.InputError, match="device = .*: a name such as 'cpu' or 'cuda:1'"):
        execution_device(device)
