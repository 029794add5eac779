"""Files of ``torch.export``, ``.pt2``: read without running anything, and what of them is refused.

Such a file is an archive of a program, as JSON, and of numbers. Since torch 2.8 the numbers are
plain bytes; before, they were pickles. ``torch.export.load`` unpickles all pickles, whatever they
do, and evaluates parts of the JSON. Here it is given a rewritten archive, which contains the
cleaned program, plain numbers, and pickles as torch's safe loader reads them. Sample inputs, which
are always a pickle and not needed here, are replaced by empty ones.
"""

import io
import json
import math
import pickle
import re
from dataclasses import dataclass

from torchml_core.portable.archive import Archive
from torchml_core.portable.exported_program import cleaned
from torchml_core.portable.model_facts import OWN_NAMESPACES as OWN
from torchml_core.portable.model_facts import ModelFacts, Refused, refuse_untrusted, widest


@dataclass(frozen=True)
class Layout:
    """Where an archive has its parts; ``wanted`` are the entries that make a program."""

    program: str
    samples: str
    pickles: tuple
    wanted: re.Pattern


NEW = Layout(
    "models/model.json",
    "data/sample_inputs/model.pt",
    ("data/weights/model.pt", "data/constants/model.pt"),
    re.compile(
        r"models/model\.json|data/(weights|constants)/[\w.]+|data/sample_inputs/model\.pt"
        r"|archive_format|archive_version|byteorder|\.data/\w+"
    ),
)
OLD = Layout(  # before torch 2.8
    "serialized_exported_program.json",
    "serialized_example_inputs.pt",
    ("serialized_state_dict.pt", "serialized_constants.pt"),
    re.compile(
        r"version|serialized_exported_program\.json"
        r"|serialized_(state_dict|constants|example_inputs)\.pt"
    ),
)
DTYPES = {  # by torch's numbers for them
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32"},
    **{8: "float64", 9: "complex32", 10: "complex64", 11: "complex128", 12: "bool"},
    13: "bfloat16",
}


class ExportedFile:
    """What is in an archive of ``torch.export.save``.

    Parameters
    ----------
    archive : Archive
        An attribute too.

    Raises
    ------
    ModelError
        If it is damaged.
    """

    def __init__(self, archive):
        self.archive = archive
        self._layout = OLD if OLD.program in archive else NEW
        self._text = archive.text(self._layout.program)
        with self._damage():
            self._program = json.loads(self._text)
            self._graph = self._program["graph_module"]["graph"]

    def refused(self):
        """Return why it is loaded only if it is trusted, or None; pickles are not considered."""
        try:
            self._cleaned()
        except Refused as why:
            return str(why)
        return None

    def content_to_load(self, trust):
        """Return the bytes that ``torch.export.load`` may read.

        Raises
        ------
        ModelError
            If it is damaged, or would have to be trusted and is not.
        """
        if trust:
            return self.archive.rewritten(lambda name: True)
        try:
            program, pickles = self._cleaned()
            changes = {name: self._reloaded(name) for name in pickles}
        except Refused as why:
            refuse_untrusted(self.archive.path, str(why))
        changes[self._layout.program] = json.dumps(program).encode()
        # empty ones: without any, torch would not check its guards (which shapes it is for)
        changes[self._layout.samples] = _samples(sum("user_input" in k for k in self._inputs()))
        return self.archive.rewritten(self._layout.wanted.fullmatch, changes)

    def facts(self):
        """Return the ModelFacts."""
        with self._damage():
            tensors = self._graph["tensor_values"]
            names = {"user_input": [], "parameter": [], "buffer": [], "tensor_constant": []}
            for spec in self._inputs():
                for kind, described in spec.items():
                    names[kind].append(_name_of(described["arg"]))
            dtypes = {
                kind: {
                    DTYPES.get(tensors[name]["dtype"]) for name in names[kind] if name in tensors
                }
                for kind in names
            }
            returned = [_kind(tensors, _name_of(output)) for output in self._graph["outputs"]]
            called = re.findall(r'"target": *"torch\.ops\.(\w+)\.(\w+)', self._text)
            return ModelFacts(
                format="torch.export",
                arguments=tuple((name, _kind(tensors, name)) for name in names["user_input"]),
                returns=", ".join(returned),
                n_returned=len(returned),
                n_parameters=sum(_n_numbers(tensors[name]) for name in names["parameter"]),
                dtype=widest(dtypes["parameter"], dtypes["buffer"], dtypes["tensor_constant"]),
                operators=tuple(sorted(f"{s}::{n}" for s, n in {*called} if s not in OWN)),
                refused=self.refused(),
                embeddings=tuple(self._embeddings()),
            )

    def _embeddings(self):
        """Yield the number of rows of each embedding."""
        for node in self._graph["nodes"]:
            if node["target"].startswith("torch.ops.aten.embedding."):
                weights = _name_of(node["inputs"][0]["arg"])
                yield self._graph["tensor_values"][weights]["sizes"][0]["as_int"]

    def _damage(self):
        return self.archive.damage(self._layout.program)

    def _inputs(self):
        """What each argument of the graph is: ``{"parameter": ...}``, ``{"user_input": ...}``."""
        return self._program["graph_module"]["signature"]["input_specs"]

    def _cleaned(self):
        """The program without what could be run as Python, and the names of the pickles."""
        with self._damage():
            program = cleaned(self._program)
        pickles = [name for name in self._layout.pickles if name in self.archive]
        if self._layout is NEW:
            for kind in ("weights", "constants"):
                pickles += self._pickled(kind)
        return program, pickles

    def _pickled(self, kind):
        """The names of those weights or constants that are pickles; the others are checked."""
        folder, config = f"data/{kind}", f"data/{kind}/model_{kind}_config.json"
        if config not in self.archive:
            return []  # then they are all in one pickle
        found = []
        with self.archive.damage(config):
            for described in json.loads(self.archive.text(config))["config"].values():
                name = f"{folder}/{described['path_name']}"
                if not re.fullmatch(r"(weight|tensor)_\d+", described["path_name"]):
                    raise Refused(f"{name} is an object of a user-defined class")
                if described["use_pickle"]:
                    found.append(name)
                elif self.archive.size(name) == 0 and _n_numbers(described["tensor_meta"]):
                    raise ValueError(f"{name} is empty")  # torch would make zeros, however many
        return found

    def _reloaded(self, name):
        """A safe pickle of what torch's safe loader reads from a pickle."""
        import torch  # not needed to look into a file

        file = io.BytesIO(self.archive.read(name))
        Archive(file, f"{self.archive.path}: {name}")  # its sizes are checked
        file.seek(0)
        with self.archive.damage(name):
            try:
                value = torch.load(file, weights_only=True, map_location="cpu")
            except pickle.UnpicklingError as error:
                why = str(error).strip().partition("\n")[0][:200]
                raise Refused(
                    f"{name} is a pickle that torch does not load safely ({why})"
                ) from None
            return _saved(value)


def _saved(value):
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _samples(n):
    import torch

    return _saved((tuple(torch.zeros(0) for _ in range(n)), {}))


def _name_of(argument):
    """The name in ``{"as_tensor": {"name": ...}}``; for anything else a text that describes it."""
    ((kind, value),) = argument.items() if "name" not in argument else (("as_tensor", argument),)
    return value["name"] if kind == "as_tensor" else kind.removeprefix("as_")


def _kind(tensors, name):
    """``float64 (n, 3)``: what a program knows of a tensor."""
    if name not in tensors:
        return name
    sizes = [_size(size) for size in tensors[name]["sizes"]]
    return f"{DTYPES.get(tensors[name]['dtype'], 'unknown')} ({', '.join(map(str, sizes))})"


def _size(size):
    """A number, or an expression of symbols such as ``2*n``, simplified from torch's form."""
    if "as_int" in size:
        return size["as_int"]
    text = re.sub(r"Symbol\('(\w+)'[^)]*\)", r"\1", size["as_expr"]["expr_str"])
    return re.sub(r"Integer\((-?\d+)\)", r"\1", text)


def _n_numbers(tensor):
    return math.prod(size["as_int"] for size in tensor["sizes"])
