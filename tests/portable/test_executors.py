"""Executors: floating types, freezing, runs that repeat, and files that are something else."""

import io
import pickle
import threading
import warnings
import weakref
import zipfile

import numpy as np
import pytest
import torch
from small_models import CUTOFF, DescriptorNet, GraphNet, save_model
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.portable.executors import load_executor

CPU = torch.device("cpu")


def saved(model, folder):
    folder.mkdir(exist_ok=True)
    return folder / save_model(model, folder)


def load(model, folder):
    return load_executor(saved(model, folder), CPU)


@pytest.fixture
def exported():
    """A descriptor network as torch.export has it, with any number of rows."""
    rows = torch.export.Dim("rows", min=1)
    example = torch.rand(4, 3, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        return torch.export.export(DescriptorNet(3), (example,), dynamic_shapes=({0: rows},))


# --- floating types ------------------------------------------------------------------------------


class Holds(torch.nn.Module):
    """Multiplies by a parameter, a buffer and a plain attribute, each of a type of its own."""

    def __init__(self, parameter=None, buffer=None, attribute=None):
        super().__init__()
        make = lambda kind: torch.ones(3, dtype=kind or torch.int64)  # noqa: E731
        self.parameter = torch.nn.Parameter(make(parameter), requires_grad=parameter is not None)
        self.register_buffer("buffer", make(buffer))
        self.attribute = make(attribute)

    def forward(self, x):
        return x * self.parameter * self.buffer * self.attribute


F32, F64, F16 = torch.float32, torch.float64, torch.float16


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({}, F64),
        ({"parameter": F32}, F32),
        ({"parameter": F64}, F64),
        ({"buffer": F32}, F32),
        ({"attribute": F32}, F32),
        ({"attribute": F64}, F64),
        ({"parameter": F32, "buffer": F64}, F32),
        ({"buffer": F16, "attribute": F64}, F16),
    ],
)
def test_floating_type_is_found(types, expected, tmp_path):
    assert load(Holds(**types), tmp_path / "a").weights_dtype == expected


def test_widest_parameter_wins(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2).float(), torch.nn.Linear(2, 2).double())
    assert load(net, tmp_path).weights_dtype == F64


def test_type_of_a_model_that_was_saved_frozen(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen = torch.jit.freeze(torch.jit.script(DescriptorNet(3, F32).eval()))
    assert not list(frozen.parameters())
    assert load(frozen, tmp_path).weights_dtype == F32


# --- TorchScript ---------------------------------------------------------------------------------


class Forgetful(torch.nn.Module):
    """Dropout and batch statistics: right in eval mode only. Also writes to itself."""

    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)
        self.calls = 0
        self.scale = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self, x):
        self.calls = self.calls + 1
        return self.dropout(x * self.scale) + self.calls


def test_eval_mode_and_attributes_that_change(tmp_path):
    executor = load(Forgetful().train(), tmp_path)
    x = torch.rand(5, 3, dtype=torch.float64)
    assert torch.equal(executor(x), x + 1)
    assert torch.equal(executor(x), x + 2)


class SelfDifferentiating(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.k = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x):
        energy = torch.sum(self.k * x**3)
        gradient = torch.autograd.grad([energy], [x])[0]
        assert gradient is not None
        return energy, -gradient


def test_knows_whether_a_model_differentiates_itself(tmp_path):
    assert load(SelfDifferentiating(), tmp_path / "a").uses_autograd
    assert not load(DescriptorNet(3), tmp_path / "b").uses_autograd


def test_frozen_or_not_gives_the_same(tmp_path):
    path = saved(DescriptorNet(3), tmp_path)
    executor = load_executor(path, CPU)
    assert executor.not_frozen_because is None
    x = torch.rand(5, 3, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        plain = torch.jit.load(path)
    assert torch.equal(executor(x), plain(x))


def test_what_cannot_be_frozen_runs_as_it_is(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("this one cannot be frozen\nfor reasons")

    monkeypatch.setattr(torch.jit, "freeze", refuse)
    executor = load(DescriptorNet(3, F32), tmp_path)
    assert executor.not_frozen_because == "this one cannot be frozen"
    assert executor.weights_dtype == F32
    x = torch.rand(5, 3)
    assert torch.equal(executor(x), DescriptorNet(3, F32)(x))


class FailsInside(torch.nn.Module):
    """Fails in a method of its own, which freezing inlines."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.ones(3, 3, dtype=torch.float64))

    def layer(self, x):
        return x @ self.weights

    def forward(self, x):
        return self.layer(x).sum()


def test_a_failure_inside_of_a_frozen_model_is_an_error(tmp_path):
    executor = load(FailsInside(), tmp_path)
    assert executor.not_frozen_because is None
    for _ in range(3):
        with pytest.raises(RuntimeError, match="cannot be multiplied"):  # it ended the process
            executor(torch.rand(2, 4, dtype=torch.float64))
    assert executor(torch.ones(1, 3, dtype=torch.float64)) == 9


def test_the_same_bits_in_every_call(tmp_path):
    """TorchScript's optimiser compiles in the second and third call: it must not come in."""
    executor = load(GraphNet(), tmp_path)
    generator = torch.Generator().manual_seed(0)
    coords = 3 * torch.rand(30, 3, generator=generator, dtype=torch.float64)
    coords.requires_grad_()
    edges = torch.combinations(torch.arange(30)).T.contiguous()
    species, slots = torch.zeros(30, dtype=torch.int64), torch.zeros(30, dtype=torch.int64)

    def call():
        energy = executor(species, coords, edges, edges, edges, slots).sum()
        return energy, torch.autograd.grad(energy, coords)[0]

    energy, gradient = call()
    for _ in range(5):
        again = call()
        assert torch.equal(again[0], energy)
        assert torch.equal(again[1], gradient)


def test_the_optimiser_is_left_on_for_others(tmp_path):
    executor = load(DescriptorNet(3), tmp_path)
    seen = []
    executor._module = lambda *tensors: seen.append(torch._C._get_graph_executor_optimize())
    executor()
    assert seen == [False]
    assert torch._C._get_graph_executor_optimize()

    def other_thread(*tensors):
        thread = threading.Thread(
            target=lambda: seen.append(torch._C._get_graph_executor_optimize())
        )
        thread.start()
        thread.join()

    executor._module = other_thread
    executor()
    assert seen == [False, True]


def test_no_warning_of_torch_2_14_reaches_users(tmp_path, monkeypatch):
    """It says by a FutureWarning, which Python shows, what 2.13 says by a DeprecationWarning."""
    called = []

    def warn(name):
        original = getattr(torch.jit, name)

        def function(*args, **kwargs):
            called.append(name)
            message = f"`torch.jit.{name}` is deprecated. Please switch to `torch.export`."
            warnings.warn(message, FutureWarning, stacklevel=2)
            return original(*args, **kwargs)

        monkeypatch.setattr(torch.jit, name, function)

    for name in ("load", "save", "freeze", "script"):
        warn(name)
    before = list(warnings.filters)
    load(DescriptorNet(3), tmp_path)
    assert set(called) == {"load", "save", "freeze", "script"}
    assert warnings.filters == before
    with pytest.warns(Warning, match="torch.jit.load"):  # a call of anybody else's
        torch.jit.load(tmp_path / "model.pt")


# --- torch.export --------------------------------------------------------------------------------


def test_exported_programs_equal_torchscript(exported, tmp_path):
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0], [0.5, 1.5], [1.0, 0]])])
    arguments = {"species": ["Si"], "descriptor": descriptor}
    create = tm.PortableModel.create
    program = create(tmp_path / "program", model=exported, **arguments)
    script = create(tmp_path / "script", model=DescriptorNet(3), **arguments)
    assert program.parameters.model_file == "model.pt2"
    for n in (1, 2):
        atoms = rattled_silicon(n)
        one, other = program.evaluate(atoms), script.evaluate(atoms)
        assert one.energy == pytest.approx(other.energy, rel=1e-14)
        np.testing.assert_allclose(one.forces, other.forces, rtol=0, atol=1e-14)
    # another device, without having one: whatever stayed on the processor would fail
    elsewhere = load_executor(program.folder / "model.pt2", torch.device("meta"))
    values = torch.rand(5, 3, dtype=F64, device="meta")
    assert elsewhere(values).device.type == "meta"
    energy_only = program.evaluate(atoms, forces=False, virial=False)
    assert energy_only.energy == pytest.approx(other.energy, rel=1e-14)


def test_exported_float32(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(DescriptorNet(3, F32), (torch.rand(4, 3),))
    executor = load(program, tmp_path)
    assert executor.weights_dtype == F32
    x = torch.rand(4, 3)
    assert torch.equal(executor(x), DescriptorNet(3, F32)(x))


# --- files that are something else ---------------------------------------------------------------


class Explosive:
    """Says so if it is ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def archive(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"nonsense")
    return buffer.getvalue()


def torch_save(thing, **kwargs):
    buffer = io.BytesIO()
    torch.save(thing, buffer, **kwargs)
    return buffer.getvalue()


NOT_TORCHSCRIPT = {
    "empty": (lambda: b"", "an empty file"),
    "random bytes": (lambda: np.random.default_rng(0).bytes(5000), "no zip archive"),
    "text": (lambda: b"1\nSi\n", "no zip archive"),
    "pickle": (lambda: pickle.dumps(Explosive(), protocol=2), "a Python pickle"),
    "state dict": (lambda: torch_save(DescriptorNet(2).state_dict()), "a file of torch.save"),
    "module": (lambda: torch_save(DescriptorNet(2)), "a file of torch.save"),
    "explosive": (lambda: torch_save(Explosive()), "a file of torch.save"),
    "old": (
        lambda: torch_save(Explosive(), _use_new_zipfile_serialization=False),
        "a Python pickle",
    ),
    "other archive": (lambda: archive(["a/b.txt"]), "some other zip archive"),
}


@pytest.mark.parametrize("kind", NOT_TORCHSCRIPT)
def test_files_that_are_no_torchscript(kind, tmp_path):
    content, message = NOT_TORCHSCRIPT[kind]
    path = tmp_path / "model.pt"
    path.write_bytes(content())
    with pytest.raises(tm.ModelError, match=rf"model\.pt: not a TorchScript model but {message};"):
        load_executor(path, CPU)
    path = path.rename(tmp_path / "model.pt2")
    message = rf"model\.pt2: not a program that torch\.export saved but {message};"
    with pytest.raises(tm.ModelError, match=message):
        load_executor(path, CPU)


def test_damaged_files(exported, tmp_path):
    for model in (DescriptorNet(3), exported):
        path = saved(model, tmp_path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(tm.ModelError, match=r"model\.pt2?: a damaged archive \("):
            load_executor(path, CPU)
    path = tmp_path / "model.pt"
    path.write_bytes(archive(["m/constants.pkl", "m/data.pkl", "m/version"]))
    with pytest.raises(tm.ModelError, match=r"model\.pt: a damaged archive \(data\.pkl: "):
        load_executor(path, CPU)


def test_swapped_names(exported, tmp_path):
    pt = saved(DescriptorNet(3), tmp_path / "a")
    with pytest.raises(tm.ModelError, match=r"must end in \.pt$"):
        load_executor(pt.rename(pt.with_suffix(".pt2")), CPU)
    pt2 = saved(exported, tmp_path / "b")
    with pytest.raises(tm.ModelError, match=r"must end in \.pt2$"):
        load_executor(pt2.rename(pt2.with_suffix(".pt")), CPU)


def test_missing_file(tmp_path):
    with pytest.raises(tm.MissingFileError, match="model.pt"):
        load_executor(tmp_path / "model.pt", CPU)


def test_what_cannot_be_saved(tmp_path):
    class Unscriptable(torch.nn.Module):
        def forward(self, x):
            return np.asarray(x)

    with pytest.raises(tm.ModelError, match="Unscriptable cannot be scripted"):
        save_model(Unscriptable(), tmp_path)
    with pytest.raises(tm.InputError, match="model is a dict"):
        save_model({}, tmp_path)


# --- gone is gone --------------------------------------------------------------------------------


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Heavy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2_000_000, dtype=torch.float64))  # 16 MB

    def forward(self, descriptor):
        return torch.sum(descriptor) * torch.sum(self.weight)


@pytest.mark.slow
def test_a_model_that_is_gone_leaves_nothing(tmp_path):
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0]])])
    folder, atoms = tmp_path / "heavy", rattled_silicon(1)
    tm.PortableModel.create(folder, model=Heavy(), species=["Si"], descriptor=descriptor)

    def cycle():
        model = tm.PortableModel.load(folder)
        model.evaluate(atoms)
        return weakref.ref(model), weakref.ref(model._executor._module)

    for _ in range(3):
        assert [gone() for gone in cycle()] == [None, None]
    before = resident_bytes()
    for _ in range(20):
        cycle()
    assert resident_bytes() - before < 16e6  # 20 models of that size came and went
