"""The pickles in a TorchScript file, read without Python's pickle: nothing is called or imported.

A ``data.pkl`` holds the attributes of a model's modules, a ``constants.pkl`` the tensors of its
code. TorchScript writes them with a few of pickle's opcodes. Here these create plain records, and
any other opcode means that the file is damaged. A tensor must lie inside the bytes that the archive
has for it: torch itself trusts the pickle and would read beyond them.
"""

import itertools
import pickletools
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from torchml_core.portable.script_nesting import check_code, check_value

STORAGES = {  # dtype and bytes of a number, by torch's names
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "ComplexDoubleStorage": ("complex128", 16),
    "ComplexFloatStorage": ("complex64", 8),
    "ComplexHalfStorage": ("complex32", 4),
    "QInt8Storage": ("qint8", 1),
    "QUInt8Storage": ("quint8", 1),
    "QInt32Storage": ("qint32", 4),
    "Float8_e4m3fnStorage": ("float8_e4m3fn", 1),
    "Float8_e5m2Storage": ("float8_e5m2", 1),
}
TENSORS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_qtensor"}
# lists of a type, values with a type, devices, members of an enumeration
OTHERS = re.compile(r"torch\.jit\._pickle |collections OrderedDict$|torch device$|__torch__[. ]")
MARK = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": MARK}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
MOST_OPCODES = 1_000_000  # about thirty per tensor; reading this many takes some seconds


class Global(NamedTuple):
    """The name of a class or function: ``module name``."""

    name: str


class Storage(NamedTuple):
    """A run of numbers, in the entry ``key`` of the archive."""

    dtype: str
    key: str
    n_numbers: int


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    @property
    def dtype(self):
        return self.storage.dtype

    @property
    def n_numbers(self):
        n = 1
        for length in self.size:
            n *= length
        return n


@dataclass
class Object:
    """An instance of a class of the model's code, and its attributes."""

    kind: str
    attributes: dict = field(default_factory=dict)


class Call(NamedTuple):
    """The result of another function, such as a typed list or a device."""

    function: str
    arguments: tuple


def read_script_pickle(archive, name, folder):
    """Return the value of a pickle and all tensors in it.

    Parameters
    ----------
    archive : Archive
    name : str
        ``data.pkl`` or ``constants.pkl``.
    folder : str
        The folder of the archive with the numbers of its tensors, ``data`` or ``constants``.

    Returns
    -------
    value : object
        Made of None, bool, int, float, str, list, tuple, dict and the records above.
    objects : list of Object
    tensors : list of Tensor

    Raises
    ------
    ModelError
        If it has anything that TorchScript does not write, or a tensor reaches beyond its bytes.
    """
    content = archive.parsed(name)
    reader = _Reader(archive, folder)
    with archive.damage(name):
        opcodes = itertools.islice(pickletools.genops(content), MOST_OPCODES + 1)
        for n, (opcode, argument, _) in enumerate(opcodes):
            if n == MOST_OPCODES:
                raise ValueError(f"more than {MOST_OPCODES} opcodes")
            reader.step(opcode.name, argument)
        (value,) = reader.stack
        check_value(reader.stack)
    return value, reader.objects, reader.tensors


class _Reader:
    """The stack of values of a pickle."""

    def __init__(self, archive, folder):
        self._archive, self._folder = archive, folder
        self.stack, self._memo = [], {}
        self.objects, self.tensors = [], []

    def step(self, opcode, argument):
        """Execute an opcode; any exception of a wrong pickle is reported as damage."""
        if opcode in VALUES:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in EMPTY:
            self.stack.append(EMPTY[opcode]())
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self.stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            self.stack.append(self._memo[argument])
        elif opcode not in ("PROTO", "STOP"):
            self._combine(opcode, argument)

    def _combine(self, opcode, argument):
        """Make one value from those on the stack."""
        stack, pop = self.stack, self.stack.pop
        match opcode:
            case "GLOBAL":
                stack.append(Global(argument))
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(opcode[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "APPEND":
                value = pop()
                self._top(list).append(value)
            case "APPENDS":
                values = self._since_mark()
                self._top(list).extend(values)
            case "SETITEM":
                value, key = pop(), pop()
                self._top(dict)[key] = value
            case "SETITEMS":
                values = self._since_mark()
                self._top(dict).update(zip(values[::2], values[1::2], strict=True))
            case "NEWOBJ":
                pop()  # arguments: there are none
                self.objects.append(Object(_class_name(pop())))
                stack.append(self.objects[-1])
            case "BUILD":
                state = pop()
                # a dict of attributes, or what a __setstate__ of the model's own would get
                attributes = state if isinstance(state, dict) else {"": state}
                self._top(Object).attributes = attributes
            case "BINPERSID":
                stack.append(self._storage(*pop()))
            case "REDUCE":
                arguments, function = pop(), pop()
                stack.append(self._call(function.name, arguments))
            case _:
                raise ValueError(f"{opcode}, which TorchScript does not write")

    def _since_mark(self):
        values = []
        while (value := self.stack.pop()) is not MARK:
            values.append(value)
        return values[::-1]

    def _top(self, kind):
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"a {type(self.stack[-1]).__name__} where a {kind.__name__} should be")
        return self.stack[-1]

    def _call(self, name, arguments):
        if name not in TENSORS:
            if not OTHERS.match(name):  # sparse tensors too: torch does not check their indices
                raise ValueError(f"{name[:80]}, which TorchScript does not call")
            if name.endswith(" restore_type_tag"):
                check_code(arguments[1])  # a type, as in code
            return Call(name, arguments)
        storage, offset, size, stride = arguments[:4]
        tensor = Tensor(storage, offset, size, stride)
        _check_whole(offset, *size, *stride)
        if len(size) != len(stride):
            raise ValueError(f"a tensor with sizes {size} and strides {stride}")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if tensor.n_numbers and last >= storage.n_numbers:
            raise ValueError(f"a tensor of sizes {size} in {storage.n_numbers} numbers")
        self.tensors.append(tensor)
        return tensor

    def _storage(self, word, kind, key, device, n_numbers):
        dtype, n_bytes = STORAGES[kind.name.removeprefix("torch ")]
        _check_whole(n_numbers)
        if word != "storage" or not isinstance(key, str):
            raise ValueError(f"a storage {key!r}")
        entry = f"{self._folder}/{key}"
        there = self._archive.size(entry) if entry in self._archive else 0
        if there < n_numbers * n_bytes:
            raise ValueError(f"{entry} has {there} bytes, not {n_numbers} numbers of {dtype}")
        return Storage(dtype, key, n_numbers)


def _check_whole(*values):
    for value in values:
        if type(value) is not int or value < 0:
            raise ValueError(f"{value!r} where a whole number of at least 0 should be")


def _class_name(value):
    name = value.name.replace(" ", ".") if isinstance(value, Global) else ""
    if not name.startswith("__torch__."):
        raise ValueError("an object whose class is not one of TorchScript's")
    return name
