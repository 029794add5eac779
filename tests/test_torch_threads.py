"""Threads of torch: one for small work; forked children, whose parent has used several."""

import os
import threading

import numpy as np
import pytest
import torch
from children import in_child
from small_models import DescriptorNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator

forks = pytest.mark.skipif(
    not hasattr(os, "fork") or torch.cuda.is_available(),
    reason="this system does not fork, or torch does not differentiate after it, having a GPU",
)
LARGE = torch.zeros(10**6)  # torch takes several threads for it


@pytest.fixture(autouse=True)
def torch_with_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.exp(LARGE)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(examples, tmp_path_factory):
    names = ("StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si")
    loaded = [tm.PortableModel.load(examples / "models" / name) for name in names]
    given = (torch.rand(4, 1, dtype=torch.float64),)
    shapes = ({0: torch.export.Dim("rows", min=2)},)
    exported = tm.PortableModel.create(
        tmp_path_factory.mktemp("exported"),
        model=torch.export.export(DescriptorNet(1), given, dynamic_shapes=shapes),
        species=["Si"],
        descriptor=tm.SymmetryFunctions(["Si"], 3.2, [("g2", [[0.3, 0.0]])]),
    )
    return [*loaded, exported]


def energies(models):
    return [model.evaluate(rattled_silicon()).energy for model in models]


def in_a_thread(work):
    done = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


@forks
def test_evaluate(models):
    expected = energies(models)

    def work():
        same = energies(models) == expected
        torch.exp(LARGE)  # what torch does for others, after that
        return same

    assert in_child(work) == 1
    assert in_child(lambda: work() and in_child(work)) == 1  # a child's child
    # whichever thread comes first: only one of them has lost its helpers
    assert in_child(lambda: in_a_thread(work) and work()) == 1
    assert in_a_thread(lambda: in_child(lambda: in_a_thread(work) and work())) == 1
    assert torch.get_num_threads() == 2


@forks
def test_load(examples):
    folder = examples / "models" / "Graph_Si"
    expected = energies([tm.PortableModel.load(folder)])
    assert in_child(lambda: energies([tm.PortableModel.load(folder)]) == expected) == 1


@forks
def test_a_calculator(models):
    atoms = rattled_silicon()
    atoms.calc = TorchMLCalculator(models[0])
    forces = atoms.get_forces()

    def work():
        atoms.calc.reset()
        return np.array_equal(atoms.get_forces(), forces)

    assert in_child(work) == 1


@forks
def test_autograd_and_lists_of_tensors():
    c = tm.Configuration.from_atoms(rattled_silicon(), 3.2)
    descriptor = tm.SymmetryFunctions(["Si"], 3.2, [("g2", [[0.3, 0.01 * k] for k in range(600)])])

    def work():
        atoms = torch.from_numpy(c.positions[: c.n_centers]).requires_grad_()
        x = c.particle_positions(atoms, torch.from_numpy(c.cell))
        D = tm.autograd.compute(descriptor, c, x)
        assert D.numel() > 1 << 15  # torch takes several threads
        (g,) = torch.autograd.grad((D**2).sum(), atoms)
        d = tm.neighbor_list("d", positions=atoms.detach(), cutoff=3.2)
        return g.numpy(), d.numpy()

    expected = work()
    assert in_child(lambda: all(map(np.array_equal, work(), expected))) == 1


class Watched:
    """A model that writes down how many threads torch has while it runs."""

    def __init__(self, executor):
        self.executor, self.threads = executor, []
        self.n_numbers = executor.n_numbers

    def __getattr__(self, name):
        return getattr(self.executor, name)

    def __call__(self, *tensors):
        self.threads.append(torch.get_num_threads())
        if self.n_numbers < 0:
            raise RuntimeError("for a test")
        return self.executor(*tensors)


@pytest.mark.parametrize("which", range(4))
def test_small_work_has_one_thread(models, which, monkeypatch):
    model = models[which]
    watched = Watched(model._executor)
    monkeypatch.setattr(model, "_executor", watched)
    model.evaluate(rattled_silicon())
    watched.n_numbers = 10**9
    model.evaluate(rattled_silicon())
    assert watched.threads[:2] == [1, 2]
    watched.n_numbers = -1
    with pytest.raises(tm.ModelError, match="for a test"):
        model.evaluate(rattled_silicon())
    assert torch.get_num_threads() == 2
