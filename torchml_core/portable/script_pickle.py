"""The pickles in a TorchScript file, read without Python's pickle: nothing is called or imported.

A ``data.pkl`` holds the attributes of a model's modules, a ``constants.pkl`` the tensors of its
code. TorchScript writes them with a few of pickle's opcodes. Here these make plain records, and
anything else is damage. Where a record is a tensor, it must lie inside the bytes that the archive
has for it: torch itself believes the pickle and would read past them.
"""

import pickletools
from dataclasses import dataclass, field
from typing import NamedTuple

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
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
MARK = object()


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
    """What some other function would make: a list of a type, a device."""

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
        Where the archive has the numbers of its tensors, ``data`` or ``constants``.

    Returns
    -------
    value : object
        Made of None, bool, int, float, str, list, tuple, dict and the records above.
    objects : list of Object
    tensors : list of Tensor

    Raises
    ------
    ModelError
        If it is anything that TorchScript does not write, or a tensor reaches beyond its bytes.
    """
    content = archive.parsed(name)
    reader = _Reader(archive, folder)
    with archive.damage(name):
        for opcode, argument, _ in pickletools.genops(content):
            reader.step(opcode.name, argument)
        (value,) = reader.stack
    return value, reader.objects, reader.tensors


class _Reader:
    """The stack of values of a pickle."""

    def __init__(self, archive, folder):
        self._archive, self._folder = archive, folder
        self.stack, self._memo = [], {}
        self.objects, self.tensors = [], []

    def step(self, opcode, argument):
        """Do what an opcode says; whatever a wrong pickle raises here is told as damage."""
        push, pop = self.stack.append, self.stack.pop
        if opcode in NUMBERS:
            push(argument)
        elif opcode in CONSTANTS:
            push(CONSTANTS[opcode])
        elif opcode in EMPTY:
            push(EMPTY[opcode]())
        elif opcode == "GLOBAL":
            push(Global(argument))
        elif opcode == "MARK":
            push(MARK)
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self.stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif opcode == "TUPLE":
            push(tuple(self._since_mark()))
        elif opcode in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(opcode[-1])
            self.stack[-n:] = [tuple(self.stack[-n:])]
        elif opcode == "APPEND":
            value = pop()
            self._top(list).append(value)
        elif opcode == "APPENDS":
            values = self._since_mark()
            self._top(list).extend(values)
        elif opcode == "SETITEM":
            value, key = pop(), pop()
            self._top(dict)[key] = value
        elif opcode == "SETITEMS":
            values = self._since_mark()
            self._top(dict).update(zip(values[::2], values[1::2], strict=True))
        elif opcode == "NEWOBJ":
            pop()  # arguments: there are none
            self.objects.append(Object(_class_name(pop())))
            push(self.objects[-1])
        elif opcode == "BUILD":
            self._build(pop())
        elif opcode == "BINPERSID":
            push(self._storage(*pop()))
        elif opcode == "REDUCE":
            arguments, function = pop(), pop()
            push(self._call(function, arguments))
        elif opcode not in ("PROTO", "STOP"):
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

    def _build(self, state):
        # a dict of attributes, or what a __setstate__ of the model's own would get
        self._top(Object).attributes = state if isinstance(state, dict) else {"": state}

    def _call(self, function, arguments):
        name = function.name
        if "_rebuild_sparse" in name:
            raise ValueError("a sparse tensor, whose indices torch would not check")
        if name not in TENSORS:
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
    if not isinstance(value, Global):
        raise ValueError("an object of no class")
    return value.name.replace(" ", ".")


def dtype_of(groups):
    """Return the widest floating dtype of the first group of tensors that has one, or None.

    Parameters
    ----------
    groups : iterable of iterables of dtype names
        Those that say most first: parameters, then buffers, then constants.
    """
    widths = {"float64": 4, "float32": 3, "bfloat16": 2, "float16": 1}
    for dtypes in groups:
        floating = [dtype for dtype in dtypes if dtype in widths]
        if floating:
            return max(floating, key=widths.get)
    return None
