"""How deep the code and the pickles of a TorchScript file go into themselves.

Torch reads both by functions that call themselves, without a limit: where they go thousands of
levels deep, its stack ends, and the process with it. What torch writes goes some ten deep.
"""

import re

MOST_DEEP = 500  # brackets, blocks and objects, each in another
MOST_OPERATORS = 1000  # one after another in a statement: each is a level too
TOKEN = re.compile(
    r"""
    (?P<text>   "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    | (?P<index>    (?<=[\w)\]])\[ )
    | (?P<open>     [(\[{] )
    | (?P<close>    [)\]}] )
    | (?P<end>      \n[ ]* )
    | (?P<number>   (?<=[\[(, ])-?\d[\d.eE+-]* )
    | (?P<operator> \.(?=[A-Za-z_]) | \b(?:not|if|and|or)\b | [-+*/%|&^~<>=] )
    """,
    re.X,
)


def check_code(code):
    """Raise ValueError if a statement of TorchScript goes deeper than torch can follow."""
    if '"""' in code or "'''" in code:
        raise ValueError("a text in triple quotes, which TorchScript does not write")
    depth = n_operators = 0
    for token in TOKEN.finditer(code):
        kind = token.lastgroup
        if kind in ("open", "index"):
            depth += 1
        elif kind == "close":
            depth = max(depth - 1, 0)
        if kind in ("operator", "index"):
            n_operators += 1
        elif kind == "end" and depth == 0 and code[token.start() - 1] != "\\":
            n_operators = 0
        if depth > MOST_DEEP or n_operators > MOST_OPERATORS:
            raise ValueError(f"a statement of more than {MOST_DEEP} levels")
        if kind == "end" and len(token.group()) > 2 * MOST_DEEP:
            raise ValueError(f"blocks of more than {MOST_DEEP} levels")


def check_value(value):
    """Raise ValueError if a value of a pickle goes deeper than torch can follow, or holds itself.

    Parameters
    ----------
    value : object
        Of lists, tuples, dicts, and objects with ``attributes``.
    """
    depths, inside = {}, set()  # of what has been looked through; of what is being
    stack = [value]
    while stack:
        top = stack[-1]
        parts = _parts(top)
        if id(top) not in inside:
            inside.add(id(top))
            new = [part for part in parts if id(part) not in depths]
            if any(id(part) in inside for part in new):
                raise ValueError("a value that holds itself")
            stack += new
        else:
            stack.pop()
            depths[id(top)] = 1 + max((depths[id(part)] for part in parts), default=0)
            if depths[id(top)] > MOST_DEEP:
                raise ValueError(f"values of more than {MOST_DEEP} levels")


def _parts(value):
    """The containers that a container holds."""
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        parts = [value.attributes]
    return [k for k in parts if isinstance(k, (list, tuple, dict)) or hasattr(k, "attributes")]
