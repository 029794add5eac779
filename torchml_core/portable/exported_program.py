"""The JSON of an exported program, cleaned so that nothing in it can be run as Python.

To load a program, torch evaluates expressions in it, writes functions from its names, looks up
operators by dotted paths, and imports modules that its trees name. So each text in it must be
exactly of the form that torch itself writes there, or the program must be trusted. Information for
people only (stack traces, names of modules) is left out.
"""

import ast
import json
import re

from torchml_core.portable.model_facts import Refused, refusal

NAME = re.compile(r"(?:[A-Za-z_]\w*)?", re.A)
DOTTED = re.compile(r"[\w.+<=-]*", re.A)  # names of weights, versions
DOTTED_KEYS = {"parameter_name", "buffer_name", "tensor_constant_name", "torch_version", "fqn"}
NOT_FINITE = {"Infinity", "-Infinity", "NaN"}  # JSON has no numbers for these
OPERATOR = re.compile(r"torch\.ops\.([a-zA-Z_]\w*)\.([a-zA-Z_]\w*)\.\w+", re.A)
NO_NAMESPACES = {"load_library", "import_module", "loaded_libraries"}  # of torch.ops' own
SYMBOLIC = re.compile(
    r"_operator\.(getitem|add|mul|sub|truediv|ge|le|gt|lt|eq|ne|floordiv|mod|and_|or_|not_|pow|neg"
    r"|abs|lshift|rshift|pos)|math\.(ceil|floor|trunc|sqrt)|(torch|_operator)\.round"
    r"|torch\.(sym_int|sym_float|sym_ite|sym_max|sym_min|sym_not|sym_sqrt|sym_sum|_sym_sqrt)"
)
HIGHER_ORDER = re.compile(
    r"torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|auto_functionalized(_v2)?)"
)
POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
FUNCTIONS = POWERS | {
    *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Abs", "Max", "Min", "Mod"),
    *("Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan"),
    *("Eq", "Ne", "Ge", "Le", "Gt", "Lt", "And", "Or", "Not", "floor", "ceiling", "FloorDiv"),
    *("ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv"),
    *("RShift", "FloatTrueDiv", "IntTrueDiv", "IsNonOverlappingAndDenseIndicator", "TruncToFloat"),
    *("TruncToInt", "RoundToInt", "RoundDecimal", "ToFloat", "Identity"),
    *("max", "min", "abs", "int", "float", "bool"),
}
NAMING = {"Symbol", "Integer", "Float", "Rational"}  # of a name, or digits, as a text
MATH = {"floor", "ceil", "trunc", "sqrt", "inf"}
METHODS = {"size", "stride", "storage_offset", "dim", "numel"}  # of tensors, in guards
ARITHMETIC = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop),
    *(ast.cmpop, ast.expr_context, ast.keyword, ast.Subscript),
)
MOST_LETTERS, MOST_POWERS, MOST_POWER = 4000, 2, 64  # of one expression
MOST_DEPTH = 100  # of its nodes, one inside of another
TREES = {"builtins.tuple", "builtins.list", "builtins.dict"}


def cleaned(program):
    """Return a program with nothing in it that could be run as Python.

    Parameters
    ----------
    program : dict
        As ``torch.export.save`` writes it.

    Returns
    -------
    dict

    Raises
    ------
    Refused
        The message says what is refused, and where.
    """
    module = program["graph_module"]
    root = module["module_call_graph"][0]
    kept = {
        **program,
        "graph_module": {
            "graph": module["graph"],
            "signature": module["signature"],
            "module_call_graph": [root],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
    }
    return _cleaned("", kept)


def _cleaned(key, value):
    """A value of the JSON in which each text has the form that its key allows."""
    if isinstance(value, dict):
        if "custom_obj" in value or "as_custom_obj" in value:
            raise Refused("it holds an object of a user-defined class")
        if key == "metadata":
            return {}
        for name in value:
            _match(DOTTED if key == "config" else NAME, name, key or "name")
        return {name: _cleaned(name, part) for name, part in value.items()}
    if isinstance(value, list):
        return [_cleaned(key, part) for part in value]
    return _text(key, value) if isinstance(value, str) else value


def _text(key, text):
    if key in ("as_string", "as_strings") or text in NOT_FINITE:
        return text  # written with quotes where torch writes code
    if key in ("target", "as_operator"):
        _check_operator(text)
    elif key in ("expr_str", "guards_code"):
        check_expression(text)
    elif key in ("in_spec", "out_spec"):
        return _tree_text(text)
    else:
        _match(DOTTED if key in DOTTED_KEYS else NAME, text, key)
    return text


def _match(pattern, text, key):
    if not pattern.fullmatch(text):
        raise Refused(f"{key} = {text[:80]!r} is not a name")


def _check_operator(text):
    parts = OPERATOR.fullmatch(text)
    if parts:
        space, name = parts.groups()
        why = refusal(f"{space}::{name}")
        if why:
            raise Refused(why)
        known = space not in NO_NAMESPACES and not space.startswith("__")
    else:
        known = SYMBOLIC.fullmatch(text) or HIGHER_ORDER.fullmatch(text)
    if not known:
        raise Refused(f"its code calls {text[:80]}, which is not an operator of torch")


def check_expression(text):
    """Raise Refused unless a text is an expression of sizes: numbers, symbols, arithmetic."""
    try:
        if len(text) > MOST_LETTERS:
            raise ValueError
        body = ast.parse(text.strip(), mode="eval").body
        nodes = list(ast.walk(body))
        if sum(map(_is_power, nodes)) > MOST_POWERS or _depth(body) > MOST_DEPTH:
            raise ValueError
        for node in nodes:
            _check_node(node)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused(f"the expression {text[:80]!r} is not an expression of sizes") from None


def _check_node(node):
    """Raise ValueError for what an expression of sizes does not have."""
    texts_allowed = isinstance(node, ast.Subscript)  # the name of an argument
    match node:
        case ast.Constant(value=str(word)):
            allowed = re.fullmatch(r"[\w.+-]{1,100}", word, re.A)
        case ast.Constant(value=number):
            allowed = isinstance(number, (bool, int, float)) and abs(number) < 2**64
        case ast.Call(func=ast.Name(id=name)):
            texts_allowed = name in NAMING
            allowed = name in FUNCTIONS and (name not in POWERS or _is_small(node.args[-1:]))
        case ast.Call(func=ast.Attribute()) | ast.Name():
            allowed = not getattr(node, "id", "").startswith("__")
        case ast.Attribute(value=ast.Name(id="math"), attr=name):
            allowed = name in MATH
        case ast.Attribute(value=ast.Subscript(), attr=name):
            allowed = name in METHODS
        case ast.BinOp(op=ast.Pow() | ast.LShift()):
            allowed = _is_small([node.right])
        case _:
            allowed = isinstance(node, ARITHMETIC)
    texts = [k for k in ast.iter_child_nodes(node) if isinstance(getattr(k, "value", None), str)]
    if not allowed or (texts and not texts_allowed):
        raise ValueError


def _depth(node):
    """How many levels of nodes there are: sympy calls itself on each of them."""
    depth, level = 0, [node]
    while level:
        depth, level = depth + 1, [child for k in level for child in ast.iter_child_nodes(k)]
    return depth


def _is_power(node):
    """Whether a node can make a number with very many digits from small numbers."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in POWERS
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift))


def _is_small(exponents):
    """Whether an exponent is there, and a small number: 2, -1, Integer(2), Rational(1, 2)."""
    for exponent in exponents:
        numbers = [k.value for k in ast.walk(exponent) if isinstance(k, ast.Constant)]
        return (
            bool(numbers)
            and all(
                isinstance(number, (int, float)) and abs(number) <= MOST_POWER for number in numbers
            )
            and not any(map(_is_power, ast.walk(exponent)))
        )
    return False


def _tree_text(text):
    """The text of a tree of tuples, lists and dicts, rewritten."""
    try:
        version, tree = json.loads(text)
        return json.dumps([int(version), _tree(tree)])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused("its inputs or outputs are not a tree of tuples, lists and dicts") from error


def _tree(tree):
    kind, context = tree["type"], tree["context"]
    if kind is None and context is None and not tree["children_spec"]:
        return {"type": None, "context": None, "children_spec": []}
    if kind not in TREES:
        raise ValueError
    names = json.loads(context)
    if names is not None and not all(NAME.fullmatch(name) for name in names):
        raise ValueError
    children = [_tree(child) for child in tree["children_spec"]]
    return {"type": kind, "context": json.dumps(names), "children_spec": children}
