"""Facts about a model's file that are found without running it, and what is never run."""

import re
from dataclasses import dataclass

from torchml_core.errors import ModelError
from torchml_core.portable.forward import Forward

OWN_NAMESPACES = {"aten", "prim", "prims"}
# Operators that do more than compute. No other operators of torch access files or processes.
REACHING = re.compile(
    r"\baten::(?:save|from_file)\b|\bprim::rpc_\w+|\b(?:c10d|_c10d_\w+|symm_mem|debugprims|profiler)::\w+"
)
# C++ classes that TorchScript may create; classes of other packages may do anything.
OBJECTS = re.compile(r"\btorch\.classes\.(?!(?:quantized|sparse|rnn|mkldnn|xnnpack)\b)[\w.]+")
FLOATING = ("float64", "float32", "bfloat16", "float16")  # the widest first


@dataclass(frozen=True)
class ModelFacts:
    """What is known about a model's file.

    Attributes
    ----------
    format : {"TorchScript", "torch.export"}
    arguments : tuple of (name, type)
        The arguments of ``forward``; both are texts.
    returns : str
        What it returns, by type.
    n_returned : int or None
        1 for a tensor, the length of a tuple; None where it is something else.
    n_parameters : int
        Trainable numbers.
    dtype : str or None
        The widest floating type of its parameters; if there are none, of its buffers, else of the
        constants in its code.
    operators : tuple of str
        Operators of other packages that its code names, like ``torch_scatter::scatter_max``;
        it cannot be loaded where one of them is unknown, even if it is never called.
    refused : str or None
        Why it is loaded only if it is trusted.
    embeddings : tuple of int
        The number of rows of each of its embeddings.
    n_required : int or None
        How many of the arguments have no default value; None: all of them.
    """

    format: str
    arguments: tuple
    returns: str
    n_returned: int | None
    n_parameters: int
    dtype: str | None
    operators: tuple
    refused: str | None
    embeddings: tuple = ()
    n_required: int | None = None

    def __post_init__(self):
        if self.n_required is None:
            object.__setattr__(self, "n_required", len(self.arguments))

    @property
    def forward(self):
        """Forward: the names of the arguments, and how many are required."""
        return Forward(tuple(name for name, _ in self.arguments), self.n_required)


def widest(*groups):
    """Return the widest floating type of the first group of dtypes that has one, or None.

    Groups are given in order of reliability: parameters, then buffers, then constants in the code.
    """
    for dtypes in groups:
        for dtype in FLOATING:
            if dtype in dtypes:
                return dtype
    return None


def refusal(text):
    """Return what is refused in a text of operators (``aten::save``) and classes, or None."""
    found = REACHING.search(text)
    if found:
        return f"its code calls {found.group()}, which reaches files or other processes"
    found = OBJECTS.search(text)
    return found and f"it makes objects of {found.group()}, an unknown class"


class Refused(ModelError):
    """Why a file is loaded only if it is trusted; :func:`refuse_untrusted` tells it to users."""


def refuse_untrusted(path, why):
    """Raise the ModelError for a file that is loaded only if it is trusted."""
    raise ModelError(
        f"{path}: {why}; it is loaded only with trust=True, which is meant for models from a"
        " source whose programs you would run"
    )
