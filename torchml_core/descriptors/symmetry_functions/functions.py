"""Types of symmetry functions and their parameters, checked."""

import math
from typing import NamedTuple

from torchml_core.checks import number, one_of, refuse, shown
from torchml_core.descriptors.base import check_cutoff
from torchml_core.errors import InputError
from torchml_core.kernels import cutoff

# The parameters in a row of each type, in their order in a row.
PARAMETERS = {
    "g1": (),
    "g2": ("eta", "Rs"),
    "g3": ("kappa",),
    "g4": ("zeta", "lambda", "eta"),
    "g5": ("zeta", "lambda", "eta"),
}
CUTOFF_FUNCTIONS = tuple(name for name in cutoff.CUTOFF_FUNCTIONS if name is not None)


class Function(NamedTuple):
    """One symmetry function of one element.

    Attributes
    ----------
    type : str
        "g2", "g4" or "g5", see :class:`~torchml_core.SymmetryFunctions`.
    neighbors : tuple of str, or None
        The element of the neighbor (g2), or those of the two (g4, g5), in any order. None: all
        elements, each neighbor weighted with its atomic number.
    cutoff : float
        In Å.
    eta : float
        In Å⁻².
    shift : float
        Rs in Å. In g4 and g5 the squares are ``(R - Rs)²``, of all three distances in g4.
    zeta, lam : float
        Of g4 and g5.
    """

    type: str
    neighbors: tuple | None
    cutoff: float
    eta: float
    shift: float = 0.0
    zeta: float = 1.0
    lam: float = 1.0


def atomic_number(name):
    """Return the atomic number of a chemical symbol, or raise InputError."""
    from ase.data import atomic_numbers  # slow to import, and needed only here

    known = atomic_numbers.get(name, 0)
    if known < 1:
        raise InputError(f"species: {shown(name)} is not a chemical element, which is needed")
    return known


def check_functions(functions):
    """Return ((type, rows), ...) of the argument of SymmetryFunctions, or raise InputError."""
    try:
        pairs = [(type, rows) for type, rows in functions]
    except (TypeError, ValueError):
        raise InputError(
            'functions: a list like [("g2", [[eta, Rs], ...]), ...] is needed'
        ) from None
    checked = {}
    for type, rows in pairs:
        one_of("functions: type", type, tuple(PARAMETERS))
        if type in checked:
            raise InputError(
                f"functions: {type} is listed twice; one entry with all its rows is needed"
            )
        checked[type] = _check_rows(type, rows)
    if not checked:
        raise InputError("functions = []: at least one type is needed")
    return tuple(checked.items())


def _check_rows(type, rows):
    names = PARAMETERS[type]
    try:
        rows = [tuple(row) for row in rows]
    except TypeError:
        raise InputError(
            f"functions: {type}: a list of rows is needed, not {shown(rows)}"
        ) from None
    if type == "g1":
        if rows:
            raise InputError("functions: g1 has no parameters: an empty list of rows is needed")
        return ()
    if not rows:
        raise InputError(f"functions: {type}: at least one row [{', '.join(names)}] is needed")
    return tuple(check_row(f"functions: {type} row {k}", names, row) for k, row in enumerate(rows))


def check_row(where, names, row):
    """Return a row of parameters as finite floats that are meaningful, or raise InputError."""
    if len(row) != len(names):
        raise InputError(f"{where} = {list(row)}: [{', '.join(names)}] is needed")
    values = {name: number(f"{where}: {name}", x) for name, x in zip(names, row, strict=True)}
    if values.get("eta", 0.0) < 0:
        raise InputError(f"{where}: eta = {values['eta']:g}: at least 0 is needed")
    if "zeta" in values:
        zeta, lam = values["zeta"], values["lambda"]
        if zeta <= 0:
            raise InputError(f"{where}: zeta = {zeta:g}: more than 0 is needed")
        _require_finite_power(where, lam, zeta)
    return tuple(values.values())


def check_function(where, f, species):
    """Return f as a Function whose values can be used; ``where`` begins the InputError."""
    try:
        f = Function(*f)
    except TypeError:
        refuse(where, f, "a Function")
    one_of(f"{where}: type", f.type, ("g2", "g4", "g5"))
    if f.neighbors is not None:
        needed = 1 if f.type == "g2" else 2
        neighbors = tuple(f.neighbors) if isinstance(f.neighbors, (tuple, list)) else ()
        if len(neighbors) != needed or any(name not in species for name in neighbors):
            refuse(f"{where}: neighbors", f.neighbors, f"a tuple of {needed} of {list(species)}")
        f = f._replace(neighbors=neighbors)
    for name in ("cutoff", "eta", "shift", "zeta", "lam"):
        f = f._replace(**{name: number(f"{where}: {name}", getattr(f, name))})
    check_cutoff(f"{where}: cutoff", f.cutoff)
    if f.zeta <= 0 or f.eta < 0:
        raise InputError(
            f"{where}: zeta = {f.zeta:g}, eta = {f.eta:g}: zeta > 0 and eta >= 0 are needed"
        )
    _require_finite_power(where, f.lam, f.zeta)
    return f


def _require_finite_power(where, lam, zeta):
    """Raise InputError if the kernel's 2^(1 - zeta) (1 + lambda cosθ)^zeta could overflow."""
    if zeta * math.log2((1 + abs(lam)) / 2) > 500:
        raise InputError(
            f"{where}: (1 + lambda cosθ)^zeta overflows for lambda = {lam:g}, zeta = {zeta:g}"
        )
