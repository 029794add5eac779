"""Print times with the network on the processor and on a CUDA device.

    python benchmarks/gpu_table.py

Medians, lists and copies to the device included where an evaluation needs them. Kernels of
descriptors and neighbor lists run on the processor always, with all threads that are there; torch
has all threads for the networks on the processor as well.
"""

import os
import statistics
import sys
import tempfile
import time

import numpy as np
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from saving import save

import torchml_core as tm
from torchml_core.bench.symmetry_functions import set51
from torchml_core.bench.table import Table
from torchml_core.nn.portable_form import OfOneElement

CUTOFF = 5.0  # of the graph model
DEVICES = ("cpu", "cuda")
THREADS = len(os.sched_getaffinity(0))


class GraphNetwork(torch.nn.Module):
    """Messages of a network of radial functions, as in SchNet; float32."""

    n_layers = 3

    def __init__(self, width=64, n_functions=32):
        super().__init__()
        self.cutoff = CUTOFF
        self.register_buffer("centers", torch.linspace(0.5, CUTOFF, n_functions))
        self.embedding = torch.nn.Parameter(torch.randn(1, width))
        self.filters = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Linear(n_functions, width), torch.nn.SiLU(), torch.nn.Linear(width, width)
            )
            for _ in range(self.n_layers)
        )
        self.updates = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.SiLU())
            for _ in range(self.n_layers)
        )
        self.last = torch.nn.Linear(width, 1)

    def forward(self, species, coords, graph_1, graph_2, graph_3, contributing):
        h = self.embedding[species]
        graphs = [graph_3, graph_2, graph_1]
        for layer, (make_filter, update) in enumerate(
            zip(self.filters, self.updates)  # noqa: B905  TorchScript knows no strict
        ):
            i, j = graphs[layer][0], graphs[layer][1]
            r = torch.sum((coords[j] - coords[i]) ** 2, dim=1).sqrt()[:, None]
            smooth = (1 - (r / self.cutoff).clamp(max=1.0)) ** 3
            messages = h[j] * make_filter(torch.exp(-4.0 * (r - self.centers) ** 2)) * smooth
            h = h + update(torch.zeros_like(h).index_add(0, i, messages))
        zeros = h.new_zeros(2)
        return zeros.index_add(0, contributing, self.last(h)[:, 0])[::2]


def silicon(n, seed=0):
    atoms = bulk("Si", cubic=True) * (n, n, n)
    atoms.rattle(0.05, seed=seed)
    return atoms


def median(function, n=9):
    """Median time in ms, after two calls."""
    for _ in range(2):
        function()
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def graph_model(n, devices):
    """Energy, forces and virial of n³ cells of 8 atoms, in an open box as one rank of MD has it."""
    with tempfile.TemporaryDirectory() as folder:
        tm.PortableModel.create(
            folder, model=GraphNetwork(), species=["Si"], cutoff=CUTOFF, convention="graph",
            n_layers=3, dtype="float32",
        )  # fmt: skip
        atoms = silicon(n)
        atoms.pbc = False
        c = tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"], n_layers=3)
        models = {d: tm.PortableModel.load(folder, device=d) for d in devices}
        times = {d: median(lambda m=m: m.evaluate(c)) for d, m in models.items()}
    return f"graph model, {len(atoms)} atoms, {c.n_pairs:,} edges in each of 3 layers", times


def descriptor_model(n, hidden, devices):
    """Energy, forces and virial, lists included."""
    d = set51()
    network = tm.nn.ElementNetworks(d, hidden=hidden, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        tm.PortableModel.create(folder, model=OfOneElement(network), species=["Si"], descriptor=d)
        models = {k: tm.PortableModel.load(folder, device=k) for k in devices}
        atoms = silicon(n)
        times = {k: median(lambda m=m: m.evaluate(atoms).fold().forces) for k, m in models.items()}
    return f"51 functions, network {'-'.join(map(str, hidden))}, {len(atoms)} atoms", times


def training(hidden, devices, n_frames=128):
    """An epoch with energies and forces: values kept, D^T and D of each step computed."""
    frames = [silicon(2, seed=k) for k in range(n_frames)]
    rng = np.random.default_rng(0)
    for frame in frames:
        frame.calc = SinglePointCalculator(
            frame, energy=rng.normal(), forces=rng.normal(size=(len(frame), 3))
        )
    data, d, times = tm.dataset.Dataset.from_atoms(frames), set51(), {}
    for device in devices:
        torch.manual_seed(0)
        network = tm.nn.ElementNetworks(d, hidden=hidden, dtype="float32").to(device)
        trainer = tm.training.Trainer(d, network, expected_errors=None, torch_threads=THREADS)
        history = trainer.fit(data, validation=0.0, epochs=6)
        times[device] = 1000 * statistics.median(epoch.seconds for epoch in history[1:])
    name = "-".join(map(str, hidden))
    return f"epoch of {n_frames} × 64 atoms, 51 functions, network {name}", times


def main():
    devices = DEVICES if torch.cuda.is_available() else DEVICES[:1]
    torch.set_num_threads(THREADS)
    title = torch.cuda.get_device_name() if len(devices) > 1 else "no GPU"
    print(f"{THREADS} threads, {title}\n")
    table = Table("gpu", "ms", higher_is_better=False, first=f"{THREADS} threads, {title}")
    jobs = [
        lambda: graph_model(8, devices),
        lambda: descriptor_model(10, (32, 32), devices),
        lambda: descriptor_model(10, (512, 512, 512), devices),
        lambda: training((32, 32), devices),
        lambda: training((512, 512, 512), devices),
    ]
    for job in jobs:
        row, times = job()
        if len(times) > 1:
            times["ratio"] = times["cpu"] / times["cuda"]
        table.add(row, times)
        print(table.markdown([row]).splitlines()[-1], flush=True)
    save("gpu", table, path=sys.argv[1] if sys.argv[1:] else None)


if __name__ == "__main__":
    main()
