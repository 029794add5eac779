"""YAML files of settings: what they contain, and the line of each key."""

from __future__ import annotations

import re

import yaml

from torchml_core import files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError

WHAT = "configuration of a training, in YAML,"


class _Loader(yaml.SafeLoader):
    """Text is a number or a flag where YAML 1.2 says so: 1e-3 is a number, No is an element."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$|^[-+]?\.(?:inf|nan)$"),
    list("-+.0123456789"),
)


def read_yaml(path):
    """Return the content of a YAML file, a dict, and the line of each key.

    Returns
    -------
    (dict, dict of tuple to int)
        The lines are those of paths such as ("data", "train") or ("network", "hidden", 0).

    Raises
    ------
    FileFormatError
        If it is not YAML, has a key twice, or is not a mapping.
    MissingFileError, FileAccessError
        If it cannot be read.
    """
    try:
        text = files.read_bytes(path, WHAT).decode()
    except UnicodeDecodeError:
        raise FileFormatError("not text; text in UTF-8 is needed", path) from None
    lines: dict[tuple, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        content = {} if node is None else _value(loader, node, (), lines, path)
    except FileFormatError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise FileFormatError(f"not YAML: {error.problem or error.context}", path, line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileFormatError(f"not YAML: {str(error).splitlines()[0]}", path) from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{shown(content)}: keys with values are needed", path, 1)
    return content, lines


def _value(loader, node, place, lines, path):
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, x, (*place, k), lines, path) for k, x in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    found = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise FileFormatError("a key is not a word; text is needed", path, line)
        key = key_node.value
        if key in found:
            first = lines[(*place, key)]
            raise FileFormatError(
                f"{'.'.join(map(str, (*place, key)))}: given in line {first}, too; one is needed",
                path,
                line,
            )
        lines[(*place, key)] = line
        found[key] = _value(loader, value_node, (*place, key), lines, path)
    return found
