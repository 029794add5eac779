"""Two processes that train together (DistributedDataParallel), and compiled networks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_sets import descriptor, silicon

import torchml_core as tm

SCRIPT = """
import os, sys, torch, torch.distributed as dist
sys.path[:0] = {tests!r}
import test_processes as t
rank = int(sys.argv[1])
os.environ |= {{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[2]}}
dist.init_process_group("gloo", rank=rank, world_size=2)
model = torch.nn.parallel.DistributedDataParallel(t.model())
t.loss(model, t.half(rank)).backward()
if rank == 0:
    torch.save([p.grad for p in model.module.parameters()], sys.argv[3])
dist.destroy_process_group()
"""


def model():
    torch.manual_seed(0)
    return tm.nn.DescriptorModel(descriptor(), tm.nn.ElementNetworks(descriptor(), hidden=(4,)))


def half(rank):
    (batch,) = silicon(6).select(range(3 * rank, 3 * rank + 3)).batches(descriptor(), 9)
    return batch


def loss(model, batch):
    out = model(batch)
    forces = (out.forces - batch.forces).pow(2).mean()
    return ((out.energy - batch.energy) / batch.n_atoms).pow(2).mean() + forces


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(tmp_path):
    """The mean of the gradients of both halves."""
    script, path = (
        SCRIPT.format(tests=[str(path) for path in Path(__file__).parents[:2]]),
        tmp_path / "gradients",
    )
    port = str(torch.randint(20000, 60000, ()).item())
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(rank), port, str(path)])
        for rank in range(2)
    ]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    alone = model()
    ((loss(alone, half(0)) + loss(alone, half(1))) / 2).backward()
    for found, p in zip(torch.load(path), alone.parameters(), strict=True):
        torch.testing.assert_close(found, p.grad, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")
def test_compiled_networks(tmp_path):
    """Their losses on forces have the same gradients; the trainer takes and saves them."""
    torch.manual_seed(0)
    net = tm.nn.ElementNetworks(descriptor(), hidden=(4,))
    d, found = descriptor(), []
    compiled = torch.compile(net)
    for network in (net, compiled):
        made = tm.nn.DescriptorModel(d, network)
        for batch in (half(0), half(1)):
            net.zero_grad()
            value = loss(made, batch)
            value.backward()
            with torch.no_grad():
                assert made(batch).forces.requires_grad is False
            found.append([value.detach(), *(p.grad.clone() for p in net.parameters())])
    for first, second in ((0, 2), (1, 3)):
        for a, b in zip(found[first], found[second], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    trainer = tm.training.Trainer(d, compiled, batch_size=4)
    history = trainer.fit(silicon(), epochs=2)
    assert history[1].loss < history[0].loss
    atoms = silicon()[0].atoms
    (batch,) = silicon().select([0]).batches(d, 1)
    saved = trainer.save(tmp_path / "model").evaluate(atoms)
    assert saved.energy == pytest.approx(trainer.model(batch).energy.item(), rel=1e-12)
