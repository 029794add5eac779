"""What is read of a model's file, and that nothing in one runs unless it is trusted."""

import collections
import contextlib
import io
import json
import os
import pickle
import re
import warnings
import zipfile

import pytest
import torch
from requirements import SHARED_DATA
from small_models import DescriptorNet, save_model

import torchml_core as tm
from torchml_core.portable.executors import load_executor
from torchml_core.portable.exported_program import check_expression
from torchml_core.portable.model_facts import Refused
from torchml_core.portable.model_file import model_facts

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exported():
    """A descriptor network as torch.export has it, with 3 to 100 rows."""

    class Net(DescriptorNet):
        def forward(self, descriptor):
            return super().forward(descriptor)[1:] + 1.0

    example = (torch.rand(4, 3, dtype=torch.float64),)
    with quiet():
        rows = torch.export.Dim("rows", min=3, max=100)
        return torch.export.export(Net(3), example, dynamic_shapes=({0: rows},))


@pytest.fixture
def pt2(exported, tmp_path):
    return tmp_path / save_model(exported, tmp_path)


@pytest.fixture
def pt(tmp_path):
    return tmp_path / save_model(DescriptorNet(3), tmp_path)


@pytest.fixture
def old_pt2(exported, tmp_path):
    """As torch up to 2.7 writes it."""
    from torch._export.serde.serialize import serialize

    parts, path = serialize(exported), tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version", "8.8")
        file.writestr("serialized_exported_program.json", parts.exported_program)
        file.writestr("serialized_state_dict.pt", parts.state_dict)
        file.writestr("serialized_constants.pt", parts.constants)
        file.writestr("serialized_example_inputs.pt", parts.example_inputs)
    return path


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces and scripts
        yield


def rewrite(path, changes):
    """Change entries, found by the end of their names: to bytes, by a function, or None: drop."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    folder = next(iter(entries)).partition("/")[0]
    for end, change in changes.items():
        found = [name for name in entries if name.endswith(end)] or [f"{folder}/{end}"]
        for name in found:
            entries[name] = change(entries[name]) if callable(change) else change
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            if content is not None:
                file.writestr(name, content)


def replacing(old, new):
    def replaced(content):
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return replaced


class Touches:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def pickled(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


# ---- facts


def test_facts_of_torchscript(pt, tmp_path):
    facts = model_facts(pt)
    assert facts.format == "TorchScript"
    assert facts.arguments == (("descriptor", "Tensor"),)
    assert (facts.returns, facts.n_returned) == ("Tensor", 1)
    assert (facts.n_parameters, facts.dtype) == (24, "float64")
    assert (facts.operators, facts.refused) == ((), None)


class Several(torch.nn.Module):
    """Shared and half-precision parameters, a submodule with a number for its name, a tuple."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        self.again = self.layers[0]
        self.narrow = torch.nn.Parameter(torch.ones(5, dtype=torch.float16))
        self.register_buffer("large", torch.ones(7, dtype=torch.float64))

    def forward(self, x, n: int, names: dict[str, list[torch.Tensor]], y: torch.Tensor | None):
        return self.layers(x), [self.narrow + n], names, y


def test_facts_are_torchs_own(tmp_path):
    with quiet():
        module = torch.jit.script(Several())
    path = tmp_path / save_model(module, tmp_path)
    facts = model_facts(path)
    schema = module.forward.schema
    assert facts.arguments == tuple((a.name, str(a.type)) for a in schema.arguments[1:])
    assert facts.returns == str(schema.returns[0].type)
    assert facts.n_returned == 4
    assert facts.n_parameters == sum(p.numel() for p in module.parameters())
    assert facts.dtype == "float32"  # the widest of the parameters


def test_facts_of_traced_and_frozen_models(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with quiet():
        traced = torch.jit.trace(net.double(), torch.rand(5, 3, dtype=torch.float64))
        frozen = torch.jit.freeze(torch.jit.script(DescriptorNet(3, torch.float32).eval()))
    facts = model_facts(tmp_path / save_model(traced, tmp_path))
    assert facts.arguments == (("input", "Tensor"),)
    assert (facts.n_parameters, facts.dtype) == (21, "float64")
    facts = model_facts(tmp_path / save_model(frozen, tmp_path))
    assert facts.arguments == (("descriptor", "Tensor"),)
    assert (facts.n_parameters, facts.dtype) == (0, "float32")


def test_facts_of_exported_programs(pt2, old_pt2):
    for path in (pt2, old_pt2):
        facts = model_facts(path)
        assert facts.format == "torch.export"
        ((name, kind),) = facts.arguments
        assert name == "descriptor"
        assert re.fullmatch(r"float64 \(s\d+, 3\)", kind)
        assert re.fullmatch(r"float64 \(Add\(s\d+, -1\), 1\)", facts.returns)
        assert (facts.n_returned, facts.n_parameters, facts.dtype) == (1, 24, "float64")
        assert (facts.operators, facts.refused) == ((), None)


def test_real_models(examples, models_of_others):
    """The examples, and those that others wrote."""
    paths = [*examples.glob("models/*/*.pt"), *SHARED_DATA.glob("*/*/*.pt")]
    paths += [path for folder in models_of_others.values() for path in folder.glob("*.pt")]
    assert len(paths) >= 6
    for path in paths:  # some of whose classes have no module
        assert model_facts(path).refused is None


def test_a_model_without_forward(tmp_path):
    class None_(torch.nn.Module):
        @torch.jit.export
        def energy(self, x):
            return x

    with quiet():
        module = torch.jit.script(None_())
    path = tmp_path / save_model(module, tmp_path)
    for look in (model_facts, lambda p: load_executor(p, CPU)):
        with pytest.raises(tm.ModelError, match="it has no method forward"):
            look(path)


# ---- nothing is run: .pt2


def test_all_layouts_load(exported, pt2, old_pt2, caplog):
    x = torch.rand(6, 3, dtype=torch.float64)
    expected = exported.module()(x)
    for path in (pt2, old_pt2):
        executor = load_executor(path, CPU)
        assert torch.equal(executor(x), expected)
        # the shapes that it is for are still checked, without the sample inputs
        with pytest.raises(Exception, match="descriptor"):
            executor(torch.rand(101, 3, dtype=torch.float64))


def test_guards_between_inputs_are_kept(tmp_path):
    class Two(torch.nn.Module):
        def forward(self, a, b):
            return a[:4].sum() + b.sum() if a.shape[0] >= 2 * b.shape[0] else a.sum()

    example = (torch.rand(8), torch.rand(3))
    rows = ({0: torch.export.Dim.AUTO}, {0: torch.export.Dim.AUTO})
    with quiet():
        program = torch.export.export(Two(), example, dynamic_shapes=rows)
    path = tmp_path / save_model(program, tmp_path)
    with zipfile.ZipFile(path) as file:
        guards = json.loads(file.read("archive/models/model.json"))["guards_code"]
    assert guards  # else this tests nothing
    executor = load_executor(path, CPU)
    a, b = torch.rand(9), torch.rand(4)
    assert torch.equal(executor(a, b), a[:4].sum() + b.sum())
    with pytest.raises(Exception, match="Guard failed"):
        executor(torch.rand(7), b)


def attack_samples(path, program):
    rewrite(path, {"sample_inputs/model.pt": pickled(Touches(path.parent / "touched"))})


def attack_all_weights(path, program):
    rewrite(path, {"data/weights/model.pt": pickled({"first": Touches(path.parent / "touched")})})


def attack_a_weight(path, program):
    change = replacing('"use_pickle": false', '"use_pickle": true')
    content = pickled(Touches(path.parent / "touched"))
    rewrite(path, {"weights_config.json": change, "weight_0": content})


def attack_a_constant(path, program):
    config = {"c": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}}
    config["c"]["tensor_meta"] = None
    rewrite(
        path,
        {
            "constants_config.json": json.dumps({"config": config}).encode(),
            "data/constants/opaque_obj_0": pickle.dumps(Touches(path.parent / "touched")),
        },
    )


def attack_a_size(path, program):
    with zipfile.ZipFile(path) as file:
        program = json.loads(file.read("archive/models/model.json"))
    sizes = program["graph_module"]["graph"]["tensor_values"]["descriptor"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = f"__import__('os').mkdir('{path.parent}/touched')"
    rewrite(path, {"models/model.json": json.dumps(program).encode()})


def attack_a_guard(path, program):
    with zipfile.ZipFile(path) as file:
        program = json.loads(file.read("archive/models/model.json"))
    program["guards_code"] = [f"__import__('os').mkdir('{path.parent}/touched') is None"]
    rewrite(path, {"models/model.json": json.dumps(program).encode()})


@pytest.mark.parametrize(
    ("attack", "refused"),
    [
        (attack_samples, None),
        (attack_all_weights, r"weights/model\.pt is a pickle that torch does not load safely"),
        (attack_a_weight, r"weight_0 is a pickle that torch does not load safely"),
        (attack_a_constant, "opaque_obj_0 is an object of a user-defined class"),
        (attack_a_size, r"the expression .__import__.* is not an expression of sizes"),
        (attack_a_guard, r"the expression .__import__.* is not an expression of sizes"),
    ],
)
def test_attacks_run_only_if_they_are_trusted(pt2, exported, attack, refused):
    attack(pt2, exported)
    touched = pt2.parent / "touched"
    model_facts(pt2)
    if refused is None:
        load_executor(pt2, CPU)(torch.rand(4, 3, dtype=torch.float64))
    else:
        with pytest.raises(tm.ModelError, match=rf"model\.pt2: .*{refused}.*trust=True"):
            load_executor(pt2, CPU)
    assert not touched.exists()
    # and they are attacks: torch runs them
    with quiet(), contextlib.suppress(tm.ModelError):
        load_executor(pt2, CPU, trust=True)(torch.rand(4, 3, dtype=torch.float64))
    assert touched.exists()


@pytest.mark.parametrize("part", ["state_dict", "constants", "example_inputs"])
def test_attacks_in_old_files(old_pt2, part, caplog):
    touched = old_pt2.parent / "touched"
    content = pickled({"first": Touches(touched)})
    with zipfile.ZipFile(old_pt2) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(old_pt2, "w") as file:
        for name, old in entries.items():
            file.writestr(name, content if part in name else old)
    model_facts(old_pt2)
    if part == "example_inputs":
        load_executor(old_pt2, CPU)
    else:
        with pytest.raises(tm.ModelError, match=f"serialized_{part}.pt is a pickle.*trust=True"):
            load_executor(old_pt2, CPU)
    assert not touched.exists()


TREE = '[1, {"type": "collections.defaultdict", "context": {"default_factory_module": "this", '
TREE += '"default_factory_name": "s", "dict_context": []}, "children_spec": []}]'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"name": "descriptor"', '"name": "descriptor=print()"', "name = 'descriptor=print()'"),
        ('"descriptor": {', '"x y": {', "tensor_values = 'x y' is not a name"),
        ('"torch.ops.aten.tanh.default"', '"torch.os.system"', "calls torch.os.system"),
        ('"torch.ops.aten.tanh.default"', '"_operator.attrgetter"', "_operator.attrgetter"),
        ('"torch.ops.aten.tanh.default"', '"torch.ops.load_library.a.b"', "torch.ops.load_lib"),
        ('"torch.ops.aten.tanh.default"', '"torch.ops.aten.from_file.default"', "aten::from_file"),
        ('"torch.ops.aten.tanh.default"', '"torch.ops.c10d.send.default"', "c10d::send"),
        ('"torch.ops.aten.tanh.default"', '"#x:y"', "#x:y, which is not an operator"),
        ('"parameter_name": "first"', '"parameter_name": "a\\"]"', "parameter_name = 'a\"]'"),
        ('"in_spec": "', f'"in_spec": {json.dumps(TREE)}, "x": "', "its inputs or outputs"),
        (
            '{"as_tensor": {"name": "tanh"}}',
            '{"as_custom_obj": {}}',
            "an object of a user-defined class",
        ),
    ],
)
def test_programs_that_torch_did_not_write(pt2, old, new, message):
    rewrite(pt2, {"models/model.json": replacing(old, new)})
    assert message in (model_facts(pt2).refused if "as_custom" not in new else message)
    with pytest.raises(tm.ModelError, match="trust=True") as caught:
        load_executor(pt2, CPU)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "2*s0 + 1",
        "Symbol('s77', positive=True, integer=True)",
        "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(-1))",
        "Pow(Symbol('s0'), Integer(2))",
        "Max(1, FloorDiv(s0, 2))",
        "GreaterThan(Symbol('u1', integer=True), Integer(0))",
        "L['coords'].size()[0] == L['species'].size()[0]",
        "L['args'][0].size()[1] % 2 == 0 and not (L['x'].stride()[0] > 3)",
        "math.floor(s0 / 2) ** 2 <= Float('1.5', precision=53)",
    ],
)
def test_expressions_of_sizes(text):
    check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "os.system('x')",
        "Symbol.__init__",
        "().__class__",
        "L['x'].__class__",
        "L['x'].size",  # a method that is not called is an attribute all the same
        "[x for x in y]",
        "lambda: 1",
        "f'{x}'",
        "(x := 3)",
        "Max('os.system', 1)",  # sympy evaluates a text
        "s0 + 'os'",
        "Symbol('s0; 1')",
        "eval(s0)",
        "s0(1)",
        "(1, 2)",
        "9**9**9",
        "Pow(9, s0)",
        "Pow(9, 999)",
        "Pow(Pow(Pow(9, 60), 60), 60)",
        "1 << 99999",
        str(10**30),
        "",
        "1 +",
        "+" * 3000 + "1",
        "(" * 300 + "1" + ")" * 300,
        "1+" * 3000 + "1",
    ],
)
def test_what_is_no_expression_of_sizes(text):
    if text == "L['x'].size":
        return check_expression(text)
    with pytest.raises(Refused, match="is not an expression of sizes"):
        check_expression(text)


def test_zeros_that_nobody_wrote(pt2):
    """An empty weight of any size would become zeros: memory without end."""
    rewrite(pt2, {"weight_0": b""})
    with pytest.raises(tm.ModelError, match=r"damaged archive .*weight_0 is empty"):
        load_executor(pt2, CPU)


# ---- nothing is run: .pt


class Saves(torch.nn.Module):
    def forward(self, descriptor):
        torch.save(descriptor, "touched")
        return descriptor


class Reads(torch.nn.Module):
    def forward(self, descriptor):
        return descriptor + torch.from_file("touched", shared=True, size=3)


class Restores(torch.nn.Module):
    """Has a state of its own, and does something in __setstate__."""

    def __init__(self):
        super().__init__()
        self.scale = 1.0

    @torch.jit.export
    def __getstate__(self):
        return (self.scale, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[float, bool]):
        self.scale = state[0] + 1.0
        self.training = state[1]

    def forward(self, descriptor):
        return descriptor * self.scale


def scripted(module, folder):
    with quiet():
        return folder / save_model(torch.jit.script(module), folder)


@pytest.mark.parametrize("kind", [Saves, Reads])
def test_operators_that_reach_files(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = scripted(kind(), tmp_path)
    assert "which reaches files" in model_facts(path).refused
    with pytest.raises(tm.ModelError, match=r"calls aten::\w+, which reaches files .*trust=True"):
        load_executor(path, CPU)
    assert not (tmp_path / "touched").exists()
    load_executor(path, CPU, trust=True)(torch.ones(3))
    assert (tmp_path / "touched").exists()


def test_operators_whose_name_is_hidden(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = scripted(Saves(), tmp_path)
    rewrite(path, {".py": replacing("torch.save(", 'getattr(torch, "sa" "ve")(')})
    with pytest.raises(tm.ModelError, match=r"calls aten::save, which reaches files"):
        load_executor(path, CPU)
    load_executor(path, CPU, trust=True)(torch.ones(3))
    assert (tmp_path / "touched").exists()  # so it was a way


def test_setstate_is_run_by_load_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with quiet():
        module = torch.jit.script(Restores())
    path = tmp_path / save_model(module, tmp_path)
    assert model_facts(path).refused is None
    executor = load_executor(path, CPU)
    assert executor(torch.ones(1)) > module.scale  # it ran
    line = "    self.training = (state)[1]\n"
    for hidden in ('getattr(torch, "sa" "ve")(1, "touched")', r'torch.\u0073ave(1, "touched")'):
        path = scripted(Restores(), tmp_path)
        rewrite(path, {".py": replacing(line, f"{line}    {hidden}\n")})
        assert "__setstate__" in model_facts(path).refused
        with pytest.raises(tm.ModelError, match="a __setstate__ that may reach files.*trust=True"):
            load_executor(path, CPU)
    assert not (tmp_path / "touched").exists()


def test_objects_of_unknown_classes(tmp_path):
    path = scripted(Restores(), tmp_path)
    name = "__torch__.torch.classes.dist_rpc.WorkerInfo"
    line = "    return torch.mul(descriptor, scale)\n"
    rewrite(path, {".py": replacing(line, f'    _9 = {name}("a", 1)\n{line}')})
    assert "objects of torch.classes.dist_rpc" in model_facts(path).refused
    with pytest.raises(tm.ModelError, match=r"objects of torch\.classes\.dist_rpc.*trust=True"):
        load_executor(path, CPU)


def test_tensors_beyond_their_numbers(pt):
    """torch believes the pickle, and would show what else is in memory."""
    code = collections.namedtuple("Code", "old new")  # opcodes of small numbers: K and a byte
    cases = {
        "storage": code(b"K\x12t", b"K\x13t"),  # 18 numbers in all
        "sizes": code(b"(K\x06K\x03t", b"(K\x07K\x03t"),
        "strides": code(b"(K\x03K\x01t", b"(K\x04K\x01t"),
        "offset": code(b"K\0(K\x06K\x03t", b"K\1(K\x06K\x03t"),  # by one number
        "negative": code(b"(K\x03K\x01t", b"(J\xff\xff\xff\xffK\x01t"),
    }
    good = pt.read_bytes()
    for case in cases.values():
        pt.write_bytes(good)

        def change(content, case=case):
            assert content.count(case.old) == 1
            return content.replace(case.old, case.new)

        rewrite(pt, {"data.pkl": change})
        for look in (model_facts, lambda p: load_executor(p, CPU)):
            with pytest.raises(tm.ModelError, match=r"damaged archive \(data\.pkl: .* number"):
                look(pt)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02N.",
        b"\x80\x02cos\nsystem\nX\x02\0\0\0lsR.",  # a call
        b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo of 16 GB, where pickle believes it
        b"\x80\x02}q\0h\1.",
        b"\x80\x02(I1\n.",
        b"\x80\x02cbuiltins\nobject\n)\x81}b.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02)" + b"0)" * 10_000 + b".",
        pickle.dumps(Touches("touched")),
        b"not a pickle",
    ],
)
@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_pickles_that_torchscript_does_not_write(pt, name, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rewrite(pt, {name: content})
    for look in (model_facts, lambda p: load_executor(p, CPU)):
        with pytest.raises(tm.ModelError, match="model.pt: a damaged archive"):
            look(pt)
    assert not (tmp_path / "touched").exists()


def test_too_many_opcodes(pt, monkeypatch):
    monkeypatch.setattr("torchml_core.portable.script_pickle.MOST_OPCODES", 50)
    with pytest.raises(tm.ModelError, match=r"data\.pkl: more than 50 opcodes"):
        model_facts(pt)


def test_entries_that_lead_torch_elsewhere_are_left_out(pt):
    """An old format would be read by way of another reader, past all checks here."""
    rewrite(pt, {"model.json": b'{"protoVersion": 6}', "extra/x": b"y"})
    executor = load_executor(pt, CPU)
    x = torch.rand(5, 3, dtype=torch.float64)
    assert torch.equal(executor(x), DescriptorNet(3)(x))


# ---- damage


def test_damage_anywhere(pt, pt2, old_pt2):
    """Bytes of what is in an archive have a checksum; others change nothing, or are damage."""
    x = torch.rand(6, 3, dtype=torch.float64)
    for path, step in ((pt, 37), (pt2, 397), (old_pt2, 997)):
        good, expected = path.read_bytes(), load_executor(path, CPU)(x)
        n_found = 0
        for place in range(0, len(good), step):
            bad = bytearray(good)
            bad[place] ^= 0x55
            path.write_bytes(bad)
            try:
                model_facts(path)
                assert torch.equal(load_executor(path, CPU)(x), expected)
            except tm.ModelError:
                n_found += 1
        assert n_found > 0.5 * len(good) / step


@pytest.mark.parametrize("content", [b"", b"9"])
def test_damaged_lines_of_the_source(pt, content):
    """Torch reads them only when it prints a graph or an error."""
    with zipfile.ZipFile(pt) as archive:
        names = [n for n in archive.namelist() if n.endswith(".debug_pkl")]
    rewrite(pt, {name.partition("/")[2]: content for name in names})
    with pytest.raises(tm.ModelError, match=r"model.pt: a damaged archive"):
        load_executor(pt, CPU)


def test_a_class_of_a_program(tmp_path):
    """Not of a module: torch names it without one."""
    own = type("OwnNet", (DescriptorNet,), {"__module__": "__main__"})  # torch remembers classes
    path = tmp_path / save_model(own(3), tmp_path)
    with zipfile.ZipFile(path) as file:
        assert b"c__torch__\nOwnNet" in file.read("archive/data.pkl")
    assert model_facts(path).format == "TorchScript"
