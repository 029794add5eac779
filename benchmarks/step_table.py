"""Print where the time of a step with ASE goes: kernels, network, and everything else.

    OMP_NUM_THREADS=1 python benchmarks/step_table.py

Molecular dynamics of silicon with TorchMLCalculator, one thread: in each step, forces and energy
of atoms that have moved a little, on lists that still hold. Kernels are calls of a descriptor's
compiled code; the network is a call of ours (PlainNetwork) or of TorchScript, with its gradient.
Figures are medians over the steps, each with its own parts.
"""

import contextlib
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ase.build import bulk
from saving import save

import torchml_core as tm
from torchml_core import _descriptors
from torchml_core.ase import TorchMLCalculator
from torchml_core.bench.symmetry_functions import CUTOFF, G2, G4, set51
from torchml_core.bench.table import Table
from torchml_core.portable import executors, plain_network

SIZES = {2: 400, 5: 100, 10: 20}  # cells along each axis: number of steps


def descriptors():
    """{title: descriptor}."""
    small = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", G2), ("g4", G4[:23])])
    return {"31 functions": small, "51 functions": set51()}


def main():
    torch.set_num_threads(1)
    table = Table("step", "ms per step", higher_is_better=False, first="model, atoms")
    for title, descriptor in descriptors().items():
        for in_torch in (False, True):
            model = make_model(descriptor, in_torch)
            for repeat, n_steps in SIZES.items():
                name = f"{title}{', network in torch' if in_torch else ''}, {8 * repeat**3:,}"
                found = measure(model, repeat, n_steps)
                table.add(name, found)
                print(table.markdown([name]), flush=True)
    print("\n" + table.markdown())
    save("step", table)


def make_model(descriptor, in_torch):
    torch.manual_seed(0)
    network = tm.nn.ElementNetworks(descriptor, (32, 32))
    if in_torch:  # a module that is not recognized
        network = torch.nn.Sequential(network.networks[0])
    with tempfile.TemporaryDirectory() as folder:
        return tm.PortableModel.create(
            Path(folder, "model"), model=network, species=["Si"], descriptor=descriptor
        )


def measure(model, repeat, n_steps):
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(0.05, seed=0)
    atoms.calc = TorchMLCalculator(model, n_threads=1)
    atoms.get_forces()
    rng, spent, rows = np.random.default_rng(0), {}, []
    kernel = TimedKernel(model.descriptor._kernel, spent)
    model.descriptor.__dict__["_packed"] = kernel
    with timed_network(spent), kept_by_timed_kernels():
        for _ in range(n_steps):
            atoms.positions = atoms.positions + rng.normal(size=atoms.positions.shape) * 1e-5
            spent.update(kernels=0.0, network=0.0)
            begin = time.perf_counter()
            atoms.get_forces()
            atoms.get_potential_energy()
            total = time.perf_counter() - begin
            rows.append((spent["kernels"], spent["network"], total - sum(spent.values())))
    model.descriptor.__dict__["_packed"] = kernel.kernel
    kernels, network, rest = 1000 * np.median(rows, axis=0)
    return {
        "kernels": kernels,
        "network": network,
        "rest": rest,
        "rest, %": 100 * rest / (kernels + network + rest),
    }


class TimedKernel:
    """A descriptor's kernel that adds up the time of its calls."""

    def __init__(self, kernel, spent):
        self.kernel, self.spent = kernel, spent

    def __getattr__(self, name):
        found = getattr(self.kernel, name)
        return timed(found, self.spent, "kernels") if callable(found) else found


def timed(function, spent, part):
    def wrapper(*arguments, **options):
        begin = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[part] += time.perf_counter() - begin

    return wrapper


@contextlib.contextmanager
def kept_by_timed_kernels():
    """Let memory for what a kernel keeps be made with a TimedKernel too."""
    kept = _descriptors.Kept
    _descriptors.Kept = lambda kernel, *rest: kept(getattr(kernel, "kernel", kernel), *rest)
    try:
        yield
    finally:
        _descriptors.Kept = kept


@contextlib.contextmanager
def timed_network(spent):
    places = [
        (plain_network.PlainNetwork, "evaluate"),
        (executors.TorchScriptExecutor, "__call__"),
        (torch.autograd, "grad"),
    ]
    before = [getattr(*place) for place in places]
    for (owner, name), function in zip(places, before, strict=True):
        setattr(owner, name, timed(function, spent, "network"))
    try:
        yield
    finally:
        for (owner, name), function in zip(places, before, strict=True):
            setattr(owner, name, function)


if __name__ == "__main__":
    main()
