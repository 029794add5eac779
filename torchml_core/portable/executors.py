"""Executors, which run a model's file. Nothing else in this library uses ``torch.jit``.

``.pt`` is TorchScript, ``.pt2`` what ``torch.export.save`` writes. An executor is called with the
tensors that ``forward`` takes; it knows its device, the floating type of the weights, and whether
the model differentiates by itself.

Torch reads only what ``model_file.py`` passes on of a file; that module says what is refused unless
the model is trusted.
"""

import contextlib
import functools
import io
import logging
import threading
import warnings

import torch

from torchml_core import files
from torchml_core.errors import InputError, ModelError
from torchml_core.portable import scatter_ops
from torchml_core.portable.forward import Forward
from torchml_core.portable.linear_model import linear_function
from torchml_core.portable.model_file import content_to_load
from torchml_core.portable.plain_network import plain_network
from torchml_core.portable.torchscript_file import refuse_compiled
from torchml_core.torch_device import execution_device
from torchml_core.torch_threads import settle_torch


def load_executor(path, device, *, trust=False, content=None, default_dtype=torch.float32):
    """Load the model of a file and make it ready to be called.

    Parameters
    ----------
    path : path-like
        ``.pt`` or ``.pt2``.
    device : torch.device
    trust : bool
        Whether the model may do what a program may: see :meth:`PortableModel.load`.
    content : bytes, optional
        Content of the file, which then does not need to exist.
    default_dtype : torch.dtype
        Torch's default type while the model is loaded and run, whatever the caller's is: the type
        of tensors that the model creates without naming one.

    Returns
    -------
    TorchScriptExecutor or ExportedExecutor

    Raises
    ------
    MissingFileError, FileAccessError
        If there is no such file, or it cannot be read.
    ModelError
        If it is not what its name says, is damaged, would have to be trusted, or torch cannot load
        it.
    """
    path = files.as_path("path", path)
    if content is None:
        content = files.read_bytes(path, "model file")
    settle_torch()
    kind = ExportedExecutor if path.suffix == ".pt2" else TorchScriptExecutor
    scatter_ops.register()  # graph models ask for these operators while they are loaded
    # Weights that are created in inference mode can never be differentiated through, so the
    # caller's mode must not be active here.
    with (
        torch.inference_mode(False),
        _no_deprecation_warnings(),
        _default_dtype(default_dtype),  # freezing a module computes constants
    ):
        return kind(path, content, device, trust, default_dtype)


def saved_model(model):
    """Return the name of a model's file and its content.

    Parameters
    ----------
    model : torch.jit.ScriptModule, torch.export.ExportedProgram or torch.nn.Module
        A plain module is scripted first.

    Returns
    -------
    str
        ``model.pt``, or ``model.pt2`` for an exported program.
    bytes

    Raises
    ------
    ModelError
        If the module cannot be scripted.
    InputError
        If ``model`` is something else.
    """
    model, file = compiled(model), io.BytesIO()
    with _no_deprecation_warnings():
        if isinstance(model, torch.export.ExportedProgram):
            torch.export.save(model, file)
            return "model.pt2", file.getvalue()
        torch.jit.save(model, file)
        return "model.pt", file.getvalue()


def compiled(model):
    """Return a model that can be saved: a plain module scripted, any other unchanged.

    Raises
    ------
    ModelError
        If the module cannot be scripted.
    InputError
        If ``model`` is something else.
    """
    if isinstance(model, (torch.export.ExportedProgram, torch.jit.ScriptModule)):
        return model
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"model is a {type(model).__name__}: a torch.nn.Module, a scripted one, or an "
            "ExportedProgram"
        )
    with _no_deprecation_warnings():
        return _scripted(model)


class _Executor:
    """Common base of both kinds: they are pickled and copied through the bytes of the file."""

    def __init__(self, path, content, device, trust, default_dtype):
        self.path, self.content, self.device, self._trust = path, content, device, trust
        self._default_dtype = default_dtype

    def with_default(self, default_dtype):
        """Return the same model, loaded and run with another default type of torch."""
        return _loaded_again(self.path, self.content, self.device, self._trust, default_dtype)

    def __reduce__(self):
        own = (self.path, self.content, self.device, self._trust, self._default_dtype)
        return _loaded_again, own


def _loaded_again(path, content, device, trust, default_dtype):
    return load_executor(
        path,
        execution_device(device),
        trust=trust,
        content=content,
        default_dtype=default_dtype,
    )


class TorchScriptExecutor(_Executor):
    """Runs a TorchScript model, frozen and in eval mode.

    Attributes
    ----------
    path : pathlib.Path
    content : bytes
        Of the file, as it was when it was loaded.
    device : torch.device
    forward : Forward
        What ``forward`` takes.
    arguments : tuple of str
        The names of that.
    weights_dtype : torch.dtype
        The floating type of the model's weights. Its inputs may be float64 even so.
    narrowest_dtype : torch.dtype
        The narrowest floating type of its weights and constants, which limits its precision.
    n_numbers : int
        Total number of its weights.
    uses_autograd : bool
        Whether ``forward`` calls ``torch.autograd.grad`` itself: its inputs must then require
        gradients, also when the caller asks for none.
    linear : LinearFunction or None
        The function that the model is, if it is known to be linear.
    plain : PlainNetwork or None
        The same model for our own kernel, if it is one of our networks.
    not_frozen_because : str or None
        torch's reason, for the few models that cannot be frozen; these run as they are, which
        gives the same results a little slower.

    Notes
    -----
    The optimizing (profiling) executor of TorchScript is switched off for our calls. It compiles
    in the second and third call, and again for new shapes, which neighbor lists have at every
    step. The compiled code differs in the last bit from what the first call ran, so the same
    structure would give two different results. The cost, measured on the CPU: none for models made
    of tensor operations (1000 atoms, three convolutions: 80 ms with and without, where the
    optimizer takes 130 ms in the first calls); a model that loops over triplets is 20 % slower.
    """

    def __init__(self, path, content, device, trust, default_dtype):
        super().__init__(path, content, device, trust, default_dtype)
        readable = io.BytesIO(content_to_load(content, path, trust=trust))
        try:
            module = torch.jit.load(readable, map_location=device).eval()
        except Exception as error:  # any: the code in it is compiled, and some of it is run
            raise ModelError(f"{path}: torch.jit.load cannot load it: {reason(error)}") from error
        if not hasattr(module, "forward"):
            raise ModelError(f"{path}: it has no method forward, which is needed")
        if not trust:
            refuse_compiled(path, module)
        weights = [list(module.parameters()), list(module.buffers())]
        self.linear, self.plain = linear_function(module), plain_network(module)
        self.forward = forward_of(module)
        self.arguments = self.forward.arguments
        self.not_frozen_because = None
        try:
            # optimize_numerics would fold operations into others: a different last bit
            module = _read_again(torch.jit.freeze(module, optimize_numerics=False), device)
        except RuntimeError as error:
            self.not_frozen_because = reason(error)
        graph = module.inlined_graph
        constants = _constants(graph)  # weights among them, where the module is frozen
        self.weights_dtype = _floating_type(*weights, constants)
        self.narrowest_dtype = _narrowest_type(*weights, constants)
        self.n_numbers = max(_n_numbers(*weights), _n_numbers(constants))
        self.uses_autograd = any(
            graph.findAllNodes(kind, True) for kind in ("aten::grad", "aten::backward")
        )
        self._module = module

    def __call__(self, *tensors):
        with _plain_execution(), _default_dtype(self._default_dtype):
            return self._module(*tensors)


class ExportedExecutor(_Executor):
    """Runs a model that ``torch.export`` wrote; attributes as in TorchScriptExecutor.

    The program must have been exported with the numbers of particles, neighbors and edges as
    dynamic shapes, since they differ from call to call.
    """

    uses_autograd = False  # an exported program has only the operators that it called
    linear = plain = None

    def __init__(self, path, content, device, trust, default_dtype):
        super().__init__(path, content, device, trust, default_dtype)
        readable = io.BytesIO(content_to_load(content, path, trust=trust))
        try:
            with _logged_errors() as logged:
                program = torch.export.load(readable)
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            self._module = program.module().requires_grad_(False)
        except Exception as error:  # any: it deserialises by running Python
            why = reason(logged[-1] if logged else error)
            raise ModelError(f"{path}: torch.export.load cannot load it: {why}") from error
        nodes = self._module.graph.nodes
        self.arguments = tuple(node.name for node in nodes if node.op == "placeholder")
        self.forward = Forward(self.arguments, len(self.arguments))
        buffers = [t for t in program.constants.values() if isinstance(t, torch.Tensor)]
        weights = [program.state_dict.values(), buffers]
        self.weights_dtype = _floating_type(*weights)
        self.narrowest_dtype = _narrowest_type(*weights)
        self.n_numbers = _n_numbers(*weights)

    def __call__(self, *tensors):
        with _default_dtype(self._default_dtype):
            return self._module(*tensors)


def forward_of(model):
    """Return the Forward of a torch.jit.ScriptModule or a torch.export.ExportedProgram."""
    if isinstance(model, torch.export.ExportedProgram):
        names = tuple(str(name) for name in model.graph_signature.user_inputs)
        return Forward(names, len(names))
    arguments = model.forward.schema.arguments[1:]  # without self
    required = sum(not argument.has_default_value() for argument in arguments)
    return Forward(tuple(argument.name for argument in arguments), required)


def reason(error):
    """The line of a torch error that says what went wrong; TorchScript puts a traceback before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if lines[0].startswith("The following operation failed"):
        return lines[-1].removeprefix("RuntimeError: ")
    return lines[0]


def _read_again(module, device):
    """The same module, written and read.

    What torch.jit.freeze returns points to functions that are gone: where such a module fails in
    a function that was inlined, and runs without the optimizer, torch 2.13 ends the process.
    """
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer, map_location=device)


def _scripted(module):
    try:
        return torch.jit.script(module)
    except Exception as error:  # the compiler raises whatever it stumbles on
        raise ModelError(
            f"{type(module).__name__} cannot be scripted ({reason(error)}): give a module that "
            "torch.jit.trace or torch.export.export has made"
        ) from error


def _floating_type(*groups):
    """The widest floating type of the first group of tensors that has one, else float64.

    Groups are given in order of reliability: parameters, then buffers, then constants in the
    code. Constants without dimensions are ignored, since they take on the type of other tensors.
    """
    for group in groups:
        types = {tensor.dtype for tensor in group if tensor.is_floating_point()}
        if types:
            return functools.reduce(torch.promote_types, types)
    return torch.float64


def _narrowest_type(*groups):
    types = {t.dtype for group in groups for t in group if t.is_floating_point() and t.dim() > 0}
    return max(types, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)


def _n_numbers(*groups):
    return sum(tensor.numel() for group in groups for tensor in group)


def _constants(graph):
    """The tensors with dimensions among the constants of a graph."""
    nodes = graph.findAllNodes("prim::Constant", True)
    tensors = [n.t("value") for n in nodes if n.hasAttribute("value") and n.kindOf("value") == "t"]
    return [tensor for tensor in tensors if tensor.dim() > 0]


@contextlib.contextmanager
def _plain_execution():
    """TorchScript without its optimizer, in this thread, within this context."""
    before = torch._C._get_graph_executor_optimize()
    try:  # the switch within, too: Ctrl-C may come at once after it
        torch._C._set_graph_executor_optimize(False)
        yield
    finally:
        torch._C._set_graph_executor_optimize(before)


@contextlib.contextmanager
def _default_dtype(dtype):
    """Torch with this default type within this context; the setting is that of all threads."""
    before = torch.get_default_dtype()
    if before == dtype:
        yield
        return
    try:  # the switch within, too, as above
        torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _logged_errors():
    """Collect the errors that torch.export logs; the exception it raises does not name them."""
    thread, errors = threading.get_ident(), []

    def take(record):
        mine = record.thread == thread and record.exc_info
        if mine:
            errors.append(record.exc_info[1])
        return not mine

    logger = logging.getLogger("torch.export")
    logger.addFilter(take)
    try:
        yield errors
    finally:
        logger.removeFilter(take)


@contextlib.contextmanager
def _no_deprecation_warnings():
    """Hide that torch.jit is deprecated: users of a portable model cannot change that.

    Torch says so by a DeprecationWarning up to 2.13, and by a FutureWarning since.
    """
    with warnings.catch_warnings():
        message = r".*torch\.jit\.\w+` is (deprecated|not supported)"
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", message, category)
        yield
