"""TorchScript files, ``.pt``: read without running anything; what is refused in them.

Such a file is an archive of code (in TorchScript's own language, not Python), a pickle of the
model's attributes, and numbers. ``torch.jit.load`` compiles the code and runs the ``__setstate__``
of its classes. That code computes with tensors and has no access to Python, but a few operators
access files: a model with one of those is loaded only if it is trusted.
"""

import ast
import re

from torchml_core.errors import ModelError
from torchml_core.portable.model_facts import (
    OWN_NAMESPACES,
    ModelFacts,
    refusal,
    refuse_untrusted,
    widest,
)
from torchml_core.portable.script_nesting import check_code
from torchml_core.portable.script_pickle import Object, Tensor, read_script_pickle

# What torch.jit.load needs. Other entries could make it read older formats.
WANTED = re.compile(r"(data|constants)\.pkl|version|byteorder|(data|constants|code|\.data)/.+")
CLASS = re.compile(r"^class (\w+)\(", re.M)
FORWARD = re.compile(r"^  def forward\((.*?)\)(?: -> ([^\n:]+))?:\n", re.M | re.S)
EMBEDDING = re.compile(r"^  num_embeddings : Final\[int\] = (\d+)$", re.M)
CALLED = re.compile(r"\b(?:torch|ops\.(\w+))\.(\w+)\(")
# what code needs to name an operator without writing ``torch.save``
MOST_LETTERS = 100_000  # of the arguments of forward
HIDING = re.compile(r"\b(save|from_file|getattr)\b|\\")


class TorchScriptFile:
    """What is in a TorchScript archive.

    Parameters
    ----------
    archive : Archive
        An attribute too.

    Raises
    ------
    ModelError
        If it is damaged, or a tensor in it reaches beyond the stored numbers.
    """

    def __init__(self, archive):
        self.archive = archive
        root, self._objects, self._tensors = read_script_pickle(archive, "data.pkl", "data")
        constants, objects, tensors = read_script_pickle(archive, "constants.pkl", "constants")
        if not isinstance(root, Object) or not isinstance(constants, tuple):
            raise ModelError(f"{archive.path}: a damaged archive (a pickle holds something else)")
        self._constants = tensors
        self._root = root.kind
        self._objects += objects
        names = [name for name in archive.names if re.fullmatch(r"code/.+\.py", name)]
        self._code = {name: archive.text(name) for name in names}
        for name, code in self._code.items():
            with archive.damage(name):
                check_code(code)

    def refused(self):
        """Return why it is loaded only if it is trusted, or None."""
        code = "\n".join(self._code.values())
        called = [f"{space or 'aten'}::{name}" for space, name in CALLED.findall(code)]
        why = refusal("\n".join([*called, code, *(o.kind for o in self._objects)]))
        # This would run before the operators of the compiled code can be checked.
        if why is None and "__setstate__" in code and HIDING.search(code):
            why = "it has a __setstate__ that may reach files"
        return why

    def content_to_load(self, trust):
        """Return the bytes that ``torch.jit.load`` may read; ModelError if they must be trusted."""
        why = None if trust else self.refused()
        if why:
            refuse_untrusted(self.archive.path, why)
        return self.archive.rewritten(WANTED.fullmatch)

    def facts(self):
        """Return the ModelFacts."""
        classes = dict(self._classes())
        forward = FORWARD.search(classes.get(self._root, ""))
        if forward is None:
            raise ModelError(f"{self.archive.path}: it has no method forward, which is needed")
        with self.archive.damage("code"):
            arguments, n_required, returned, n_returned = _signature(*forward.groups())
            parameters, buffers = (
                _named(self._objects, classes, group) for group in ("parameters", "buffers")
            )
        code = "\n".join(self._code.values())
        called = CALLED.findall(code)
        foreign = {(s, n) for s, n in called if s and s not in OWN_NAMESPACES}
        return ModelFacts(
            format="TorchScript",
            arguments=arguments,
            n_required=n_required,
            returns=returned,
            n_returned=n_returned,
            n_parameters=sum(tensor.n_numbers for tensor in parameters),
            dtype=widest(
                {tensor.dtype for tensor in parameters},
                {tensor.dtype for tensor in buffers},
                {tensor.dtype for tensor in (*self._tensors, *self._constants) if tensor.size},
            ),
            operators=tuple(sorted(f"{space}::{name}" for space, name in foreign)),
            refused=self.refused(),
            embeddings=tuple(int(rows) for rows in EMBEDDING.findall(code)),
        )

    def _classes(self):
        """Yield the name of each class, as the pickle has it, and its text."""
        for name, text in self._code.items():
            module = name.removeprefix("code/").removesuffix(".py").replace("/", ".")
            _, *parts = CLASS.split(text)
            for own, body in zip(parts[::2], parts[1::2], strict=True):
                yield f"{module}.{own}", body


def refuse_compiled(path, module):
    """Raise ModelError if what was compiled, which hides nothing, must be trusted.

    Parameters
    ----------
    path : path-like
    module : torch.jit.ScriptModule
        As loaded, before any of it runs.
    """
    try:
        graph = str(module.inlined_graph)
        if "prim::CallMethod" in graph:  # by an interface: it may be any method of any module
            for part in module.modules():
                names = part._c._method_names()
                graph += "".join(str(part._c._get_method(name).inlined_graph) for name in names)
    except RuntimeError as error:  # torch reads the lines of the source (.debug_pkl) only here
        raise ModelError(f"{path}: a damaged archive ({error})") from error
    why = refusal(graph)
    if why:
        refuse_untrusted(path, why)


def _signature(arguments, returned):
    """The arguments of forward without self, as (name, type), and how many are required; what it
    returns, and how many.
    """
    if len(arguments) > MOST_LETTERS:
        raise ValueError(f"forward with arguments of {len(arguments)} letters")
    returned = returned or "Tensor"
    function = ast.parse(f"def forward({arguments}) -> {returned}: pass").body[0]
    own = [
        (a.arg, ast.unparse(a.annotation) if a.annotation else "Tensor")
        for a in function.args.args[1:]
    ]
    match function.returns:
        case ast.Name(id="Tensor"):
            n_returned = 1
        case ast.Subscript(value=ast.Name(id="Tuple"), slice=ast.Tuple(elts=parts)):
            n_returned = len(parts)
        case _:
            n_returned = None
    return tuple(own), len(own) - len(function.args.defaults), returned, n_returned


def _named(objects, classes, group):
    """The tensors that classes name in ``__parameters__`` or ``__buffers__``, each once."""
    found = {}
    for o in objects:
        listed = re.search(rf"^  __{group}__ = (\[.*\])$", classes.get(o.kind, ""), re.M)
        for name in ast.literal_eval(listed.group(1)) if listed else []:
            if isinstance(o.attributes.get(name), Tensor):
                found[o.attributes[name]] = None
    return list(found)
