"""The devices that tests run on: the processor, and a GPU where there is one."""

import pytest
import torch

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
