"""Models on a CUDA device give what they give on the processor.

Each test also runs on the processor, where it needs no GPU, so that the tests are known to be
right; those for a GPU are marked ``gpu``. ``make test-gpu`` runs them.
"""

import copy
import json
import warnings

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from devices import DEVICES
from small_models import CUTOFF, DescriptorNet, ElementNet, GraphNet, PairNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.kim.model import KimModel, Results
from torchml_core.kim.ranks import LOCAL_RANK, MPI_AWARE
from torchml_core.portable.species_input import ELEMENTS_MAP
from torchml_core.torch_device import VARIABLE

# DescriptorNet is not told the species of its atoms, which does not matter here
pytestmark = pytest.mark.filterwarnings("ignore::torchml_core.ModelWarning")
SPECIES = ["Si", "C"]
DESCRIPTOR = tm.SymmetryFunctions(SPECIES, CUTOFF, [("g2", [[0.3, 0.0], [0.5, 1.5]])])
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}  # of the largest value
GRAPH = {"species": SPECIES, "cutoff": CUTOFF, "convention": "graph", "n_layers": 3}
NETWORKS = {
    "raw": lambda dtype: {
        "model": PairNet().to(dtype),
        "species": SPECIES,
        "cutoff": CUTOFF,
        "convention": "raw",
    },
    "descriptor": lambda dtype: {
        "model": DescriptorNet(DESCRIPTOR.width, dtype),
        "species": SPECIES,
        "descriptor": DESCRIPTOR,
    },
    "descriptor, species": lambda dtype: {
        "model": ElementNet(len(SPECIES), DESCRIPTOR.width, dtype),
        "species": SPECIES,
        "descriptor": DESCRIPTOR,
    },
    "graph": lambda dtype: {"model": GraphNet(dtype=dtype), **GRAPH},
}


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture
def atoms():
    atoms = rattled_silicon(2, seed=1)
    atoms.symbols[::3] = "C"
    return atoms


def check(found, expected, dtype=torch.float64):
    for name in ("energy", "forces", "virial"):
        value = np.asarray(getattr(expected, name))
        atol = TOLERANCES[dtype] * np.abs(value).max()
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("convention", NETWORKS)
def test_each_convention(convention, dtype, device, atoms, tmp_path):
    expected = tm.PortableModel.create(tmp_path, **NETWORKS[convention](dtype)).evaluate(atoms)
    model = tm.PortableModel.load(tmp_path, device=device)
    assert model.device.type == device
    found = model.evaluate(atoms)
    check(found, expected, dtype)
    assert model.dtype == (torch.float64 if convention == "raw" else dtype)
    energy = model.evaluate(atoms, forces=False, virial=False).energy
    assert energy == pytest.approx(found.energy, rel=TOLERANCES[dtype])


def test_positions_in_float32(device, atoms, tmp_path):
    expected = tm.PortableModel.create(
        tmp_path, dtype="float32", **NETWORKS["graph"](torch.float32)
    ).evaluate(atoms)
    model = tm.PortableModel.load(tmp_path, device=device)
    check(model.evaluate(atoms), expected, torch.float32)
    assert model.dtype == torch.float32


def test_lone_atoms(device, tmp_path):
    atoms = rattled_silicon(1)[:2]
    atoms.pbc = False
    atoms.positions[1] += 50
    model = tm.PortableModel.create(tmp_path, **NETWORKS["raw"](torch.float64))
    model = tm.PortableModel.load(tmp_path, device=device)
    assert model.evaluate(atoms).energy == 0.0
    assert not model.evaluate(atoms).forces.any()


@pytest.mark.slow
def test_exported_programs(device, tmp_path):
    rows = torch.export.Dim("rows", min=1)
    example = torch.rand(4, DESCRIPTOR.width, dtype=torch.float64)
    network = NETWORKS["descriptor"](torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        network["model"] = torch.export.export(
            network["model"], (example,), dynamic_shapes=({0: rows},)
        )
    expected = tm.PortableModel.create(tmp_path, **network)
    atoms = rattled_silicon(1)
    model = tm.PortableModel.load(tmp_path, device=device)
    check(model.evaluate(atoms), expected.evaluate(atoms))


@pytest.mark.parametrize("convention", ["raw", "descriptor", "graph"])
def test_models_of_others(convention, device, models_of_others, monkeypatch):
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    folder, atoms = models_of_others[convention], rattled_silicon(1)[:5]
    expected = tm.PortableModel.load(folder, device="cpu").evaluate(atoms)
    check(tm.PortableModel.load(folder, device=device).evaluate(atoms), expected)


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_networks_learn_on_a_device(dtype, device, atoms):
    """A loss on energies, forces and stresses, and its gradient; all tensors of a batch move."""
    atoms.calc = SinglePointCalculator(
        atoms, energy=1.0, forces=np.ones((len(atoms), 3)), stress=np.ones(6)
    )
    data = tm.dataset.Dataset.from_atoms([atoms, atoms])
    (batch,) = data.batches(DESCRIPTOR, 2, dtype=dtype)
    torch.manual_seed(0)
    networks = tm.nn.ElementNetworks(DESCRIPTOR, hidden=(4,), dtype=dtype)
    found = []
    for place in ("cpu", device):
        moved = batch.to(place)
        tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
        assert {value.device.type for value in tensors} == {place}
        assert len(tensors) == 14
        network = copy.deepcopy(networks).to(place)
        out = tm.nn.DescriptorModel(DESCRIPTOR, network)(moved)
        loss = (out.energy - moved.energy).pow(2).sum() + (out.forces - moved.forces).pow(2).sum()
        loss = loss + (out.stress - moved.stress).pow(2).sum()
        loss.backward()
        gradients = [p.grad.cpu().double() for p in network.parameters()]
        found.append(torch.cat([loss.detach().cpu()[None], *(g.reshape(-1) for g in gradients)]))
    scale = found[0].abs().max()
    assert (found[1] - found[0]).abs().max() < TOLERANCES[dtype] * scale


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_trainer_follows_its_network(dtype, device, tmp_path):
    """The same losses as on the processor, and a model that is stored for the processor."""
    frames = [rattled_silicon(1, seed=k) for k in range(4)]
    for k, frame in enumerate(frames):
        frame.calc = SinglePointCalculator(
            frame, energy=0.1 * k, forces=np.full((len(frame), 3), 0.1), stress=np.ones(6)
        )
    data = tm.dataset.Dataset.from_atoms(frames)
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0], [0.5, 1.5]])])
    torch.manual_seed(0)
    networks = tm.nn.ElementNetworks(descriptor, hidden=(4,), dtype=dtype)
    found = []
    for k, place in enumerate(("cpu", device)):
        network = copy.deepcopy(networks).to(place)
        trainer = tm.training.Trainer(
            descriptor, network, expected_errors=None, optimizer="muon", batch_size=2
        )
        trainer.fit(data, validation=data, epochs=3, checkpoint=tmp_path / f"{k}.state")
        assert {p.device.type for p in network.parameters()} == {place}
        energy = trainer.save(tmp_path / str(k)).evaluate(frames[0]).energy
        found.append([*(epoch.loss for epoch in trainer.history), energy])
    np.testing.assert_allclose(found[1], found[0], rtol=10 * TOLERANCES[dtype])


@pytest.mark.slow
def test_the_command_trains_on_a_device(device, tmp_path):
    """The same network as on the processor, which is stored for the processor."""
    from ase.io import write
    from small_runs import CONFIG

    from torchml_core.training.run import train
    from torchml_core.training.run.screen import Screen
    from torchml_core.training.run.settings import read_settings

    model = tm.PortableModel.load("examples/models/StillingerWeber_Si")
    frames = [rattled_silicon(1, seed=k) for k in range(12)]
    for frame in frames:
        p = model.evaluate(frame).fold()
        frame.calc = SinglePointCalculator(frame, energy=p.energy, forces=p.forces)
    write(tmp_path / "silicon.extxyz", frames)
    losses = []
    for place in ("cpu", device):
        path, output = tmp_path / "config.yaml", f"on_{len(losses)}"
        path.write_text(CONFIG.replace("output: out", f"output: {output}") + f"device: {place}\n")
        train(read_settings(path), screen=Screen(quiet=True))
        with open(tmp_path / output / "run" / "run.json") as file:
            state = json.load(file)
        assert torch.device(state["device"]).type == place
        losses.append([epoch["loss"] for epoch in state["stages"]["network"]["history"]])
        assert np.isfinite(
            tm.PortableModel.load(tmp_path / output / "model").evaluate(frames[0]).energy
        )
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


# --- the KIM driver ------------------------------------------------------------------------------


def kim_energy(folder, atoms):
    model = KimModel(folder)
    c = tm.Configuration.from_atoms(atoms, CUTOFF, SPECIES, n_layers=3)
    results = Results(np.zeros((1, 1)), None, np.zeros((c.n_particles, 3)), None, None)
    model.compute(c, results)
    return model._model.device, results.energy[0, 0]


@pytest.mark.parametrize("convention", NETWORKS)
def test_the_environment_says_the_device(convention, device, atoms, tmp_path, monkeypatch):
    model = tm.PortableModel.create(tmp_path, **NETWORKS[convention](torch.float64))
    expected = model.evaluate(atoms).energy
    monkeypatch.setenv(VARIABLE, device)
    assert tm.PortableModel.load(tmp_path).device.type == device
    found_device, energy = kim_energy(tmp_path, atoms)
    assert found_device.type == device
    assert energy == pytest.approx(expected, rel=1e-12)


def test_ranks_share_devices_round_robin(device, atoms, tmp_path, monkeypatch):
    """Over the visible ones, by the numbers that the runtime gives them."""
    model = tm.PortableModel.create(tmp_path, **NETWORKS["graph"](torch.float64))
    expected = model.evaluate(atoms).energy
    monkeypatch.setenv(VARIABLE, device)
    monkeypatch.setenv(MPI_AWARE, "yes")
    n_devices = torch.cuda.device_count() if device == "cuda" else None
    for rank in range(3):
        monkeypatch.setenv(LOCAL_RANK[0], str(rank))
        found_device, energy = kim_energy(tmp_path, atoms)
        assert found_device.index == (n_devices and rank % n_devices)
        assert energy == pytest.approx(expected, rel=1e-12)


# --- memory --------------------------------------------------------------------------------------


def bytes_in_use(device):
    if device == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.parametrize("convention", NETWORKS)
def test_memory_is_flat(convention, device, tmp_path):
    tm.PortableModel.create(tmp_path, **NETWORKS[convention](torch.float64))
    model, atoms = tm.PortableModel.load(tmp_path, device=device), bulk("Si", a=5.4)
    # what the process uses on the processor varies, so a megabyte for each evaluation would show
    n, allowed = (1000, 0) if device == "cuda" else (30, 20e6)
    for _ in range(10):
        model.evaluate(atoms)
    before = bytes_in_use(device)
    for _ in range(n):
        model.evaluate(atoms)
    assert bytes_in_use(device) - before <= allowed
