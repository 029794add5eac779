"""Executors: what runs a model's file. Nothing else in this library touches ``torch.jit``.

``.pt`` is TorchScript, ``.pt2`` what ``torch.export.save`` writes. An executor is called with the
tensors that ``forward`` takes; it knows its device, the floating type that the model wants, and
whether the model differentiates by itself.

Both kinds of file hold a program: load them from whom you would take a program. Python pickles
(``torch.save``), which can do anything while they are read, are told apart by their bytes and
refused unread; ``torch.export.load`` may unpickle parts of a ``.pt2``.
"""

import contextlib
import functools
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from torchml_core.errors import InputError, MissingFileError, ModelError
from torchml_core.portable import scatter_ops

OWN_OPERATORS = {"aten", "prim", "prims"}
HOW_TO_SAVE_PT = "torch.jit.save(torch.jit.script(model), 'model.pt') writes the right file"
HOW_TO_SAVE_PT2 = "torch.export.save(torch.export.export(model, ...), 'model.pt2') writes it"


def load_executor(path, device):
    """Load the model of a file and make it ready to be called.

    Parameters
    ----------
    path : path-like
        ``.pt`` or ``.pt2``.
    device : torch.device

    Returns
    -------
    TorchScriptExecutor or ExportedExecutor

    Raises
    ------
    MissingFileError
        If there is no such file.
    ModelError
        If it is not what its name says, or torch cannot load it.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such model file")
    scatter_ops.register()  # graph models ask for these operators while they are loaded
    # Weights that are made in inference mode can never be differentiated through, so the caller's
    # mode must not come in here.
    with torch.inference_mode(False), _no_deprecation_warnings():
        if path.suffix == ".pt2":
            return ExportedExecutor(path, device)
        return TorchScriptExecutor(path, device)


def save_model(model, folder, stem="model"):
    """Write a model into a folder and return the name of its file.

    Parameters
    ----------
    model : torch.jit.ScriptModule, torch.export.ExportedProgram or torch.nn.Module
        A plain module is scripted first.
    folder : pathlib.Path
    stem : str

    Returns
    -------
    str
        ``model.pt``, or ``model.pt2`` for an exported program.

    Raises
    ------
    ModelError
        If the module cannot be scripted.
    InputError
        If ``model`` is something else.
    """
    with _no_deprecation_warnings():
        if isinstance(model, torch.export.ExportedProgram):
            torch.export.save(model, folder / f"{stem}.pt2")
            return f"{stem}.pt2"
        if not isinstance(model, torch.nn.Module):
            raise InputError(
                f"model is a {type(model).__name__}: a torch.nn.Module, a scripted one, or an "
                "ExportedProgram"
            )
        if not isinstance(model, torch.jit.ScriptModule):
            model = _scripted(model)
        torch.jit.save(model, folder / f"{stem}.pt")
        return f"{stem}.pt"


@dataclass(frozen=True)
class ModelFacts:
    """What can be said of a model's file without running it.

    Attributes
    ----------
    format : {"TorchScript", "torch.export"}
    arguments : tuple of (name, type)
        What ``forward`` takes, texts both.
    returns : str
        What it returns, by type.
    n_returned : int or None
        1 for a tensor, the length of a tuple; None where it is something else.
    n_parameters : int
        Trainable numbers.
    dtype : torch.dtype
        The floating type that it is fed with.
    operators : tuple of str
        Operators of other packages that its code names, like ``torch_scatter::scatter_max``;
        it cannot be loaded where one of them is unknown, even if it is never called.
    """

    format: str
    arguments: tuple
    returns: str
    n_returned: int | None
    n_parameters: int
    dtype: torch.dtype
    operators: tuple


class TorchScriptExecutor:
    """Runs a TorchScript model, frozen and in eval mode.

    Attributes
    ----------
    path : pathlib.Path
    device : torch.device
    dtype : torch.dtype
        The floating type of the model's weights, to be fed to it.
    uses_autograd : bool
        Whether ``forward`` calls ``torch.autograd.grad`` itself: its inputs must then require
        gradients, whatever the caller wants.
    not_frozen_because : str or None
        torch's reason, for the few models that cannot be frozen; these run as they are, which
        gives the same results a little slower.

    Notes
    -----
    The optimising (profiling) executor of TorchScript is switched off for our calls. It compiles
    in the second and third call and anew for new shapes, which a list of neighbors has at every
    step, and what it compiles differs in the last bit from what the first call ran: the same
    structure would give two answers. Measured on the CPU: nothing is lost on models made of tensor
    operations (1000 atoms, three convolutions: 80 ms either way, where the optimiser takes 130 ms
    in the first calls); a model that loops over triplets is 20 % slower.
    """

    def __init__(self, path, device):
        self.path, self.device = path, device
        _refuse_unless_torchscript(path)
        try:
            module = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: torch.jit.load cannot load it: {reason(error)}") from error
        if not hasattr(module, "forward"):
            raise ModelError(f"{path}: it has no method forward, which is what would be called")
        weights = [list(module.parameters()), list(module.buffers())]
        self._n_parameters = _n_numbers(weights[0])
        self.not_frozen_because = None
        try:
            # optimize_numerics would fold operations into others: a different last bit
            module = torch.jit.freeze(module, optimize_numerics=False)
        except RuntimeError as error:
            self.not_frozen_because = reason(error)
        graph = module.inlined_graph
        self.dtype = _floating_type(*weights, _constants(graph))
        self.uses_autograd = any(
            graph.findAllNodes(kind, True) for kind in ("aten::grad", "aten::backward")
        )
        self._module = module

    def __call__(self, *tensors):
        with _plain_execution():
            return self._module(*tensors)

    def facts(self):
        """Return the ModelFacts."""
        schema = self._module.forward.schema
        arguments = [(a.name, str(a.type)) for a in schema.arguments[1:]]  # without self
        (returned,) = (r.type for r in schema.returns)
        count = {"TensorType": lambda: 1, "TupleType": lambda: len(returned.elements())}
        return ModelFacts(
            "TorchScript",
            tuple(arguments),
            str(returned),
            count.get(returned.kind(), lambda: None)(),
            self._n_parameters,
            self.dtype,
            _operators_named_in(self.path),
        )


class ExportedExecutor:
    """Runs a model that ``torch.export`` wrote; the attributes are those of the other one.

    The program must have been exported with the numbers of particles, neighbors and edges as
    dynamic shapes: they differ from call to call.
    """

    uses_autograd = False  # an exported program has no such operator, only what it did

    def __init__(self, path, device):
        self.path, self.device = path, device
        _refuse_unless_exported(path)
        try:
            program = torch.export.load(path)
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
        except Exception as error:  # any: it deserialises by running Python
            raise ModelError(
                f"{path}: torch.export.load cannot load it: {reason(error)}"
            ) from error
        buffers = [t for t in program.constants.values() if isinstance(t, torch.Tensor)]
        self.dtype = _floating_type(program.state_dict.values(), buffers)
        self._module = program.module().requires_grad_(False)

    def __call__(self, *tensors):
        return self._module(*tensors)

    def facts(self):
        """Return the ModelFacts."""
        nodes = list(self._module.graph.nodes)
        arguments = [(n.name, _kind(n.meta.get("val"))) for n in nodes if n.op == "placeholder"]
        returned = nodes[-1].args[0]
        returned = returned if isinstance(returned, (tuple, list)) else (returned,)
        kinds = [_kind(getattr(node, "meta", {}).get("val")) for node in returned]
        called = {n.target for n in nodes if isinstance(n.target, torch._ops.OpOverload)}
        foreign = {op.name() for op in called if op.namespace not in OWN_OPERATORS}
        return ModelFacts(
            "torch.export",
            tuple(arguments),
            ", ".join(kinds),
            len(kinds),
            _n_numbers(self._module.parameters()),
            self.dtype,
            tuple(sorted(foreign)),
        )


def reason(error):
    """The line of a torch error that says what went wrong; TorchScript puts a traceback before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if lines[0].startswith("The following operation failed"):
        return lines[-1].removeprefix("RuntimeError: ")
    return lines[0]


def _scripted(module):
    try:
        return torch.jit.script(module)
    except Exception as error:  # the compiler raises whatever it stumbles on
        raise ModelError(
            f"{type(module).__name__} cannot be scripted ({reason(error)}): give a module that "
            "torch.jit.trace or torch.export.export has made"
        ) from error


def _archive_names(path):
    """The files inside an archive, without its top folder; None if it is not a zip file."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2] or name for name in archive.namelist()}


def _refuse_unless_torchscript(path):
    names = _archive_names(path)
    if names is None:
        with path.open("rb") as file:
            start = file.read(2)
        what = {b"": "an empty file", b"\x80\x02": "a Python pickle"}.get(start, "no zip archive")
    elif "constants.pkl" in names:
        return
    elif "models/model.json" in names:
        raise ModelError(f"{path}: written by torch.export.save; its name must end in .pt2")
    else:
        what = "what torch.save writes" if "data.pkl" in names else "some other zip archive"
    raise ModelError(f"{path}: not a TorchScript model but {what}; {HOW_TO_SAVE_PT}")


def _refuse_unless_exported(path):
    names = _archive_names(path) or set()
    if "constants.pkl" in names:
        raise ModelError(f"{path}: a TorchScript model; its name must end in .pt")
    if not {"models/model.json", "serialized_exported_program.json"} & names:
        raise ModelError(f"{path}: not a program that torch.export saved; {HOW_TO_SAVE_PT2}")


def _floating_type(*groups):
    """The widest floating type of the first group of tensors that has one, else float64.

    Groups are given by how well they know: parameters, then buffers, then constants in the
    code. Numbers without dimension say nothing there, since they take on the type of others.
    """
    for group in groups:
        types = {tensor.dtype for tensor in group if tensor.is_floating_point()}
        if types:
            return functools.reduce(torch.promote_types, types)
    return torch.float64


def _n_numbers(tensors):
    return sum(tensor.numel() for tensor in tensors)


def _operators_named_in(path):
    """Foreign operators in the code of a TorchScript file: it loads only where all are known."""
    named = set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                code = archive.read(name).decode()
                named.update(re.findall(r"\bops\.(\w+)\.(\w+)", code))
    return tuple(sorted(f"{space}::{name}" for space, name in named if space not in OWN_OPERATORS))


def _kind(value):
    """``float64 (n, 3)``: what an exported program knows of a value."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{dtype} ({', '.join(map(str, value.shape))})"


def _constants(graph):
    """The tensors with dimensions among the constants of a graph."""
    nodes = graph.findAllNodes("prim::Constant", True)
    tensors = [n.t("value") for n in nodes if n.hasAttribute("value") and n.kindOf("value") == "t"]
    return [tensor for tensor in tensors if tensor.dim() > 0]


@contextlib.contextmanager
def _plain_execution():
    """TorchScript without its optimiser, in this thread, for as long as this lasts."""
    before = torch._C._get_graph_executor_optimize()
    try:  # the switch within, too: Ctrl-C may come at once after it
        torch._C._set_graph_executor_optimize(False)
        yield
    finally:
        torch._C._set_graph_executor_optimize(before)


@contextlib.contextmanager
def _no_deprecation_warnings():
    """Hide that torch.jit is deprecated: who uses a portable model cannot change that."""
    with warnings.catch_warnings():
        message = r".*torch\.jit\.\w+` is (deprecated|not supported)"
        warnings.filterwarnings("ignore", message, DeprecationWarning)
        yield
