"""Types of symmetry functions and their parameters, checked."""

import math
from typing import NamedTuple

from torchml_core.checks import flag, number, one_of, real_numbers, refuse, shown
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
CUTOFFS_WITHOUT_INNER = ("hard", "tanh3", "tanh3_normalized")  # those without a flat part
# The numbers of cutoff_type in n2p2's settings file, and its names of core functions.
N2P2_CUTOFF_TYPES = {
    0: "hard",
    1: "cos",
    2: "tanh3",
    3: "tanh3_normalized",
    4: "exp",
    5: "poly1",
    6: "poly2",
    7: "poly3",
    8: "poly4",
}
N2P2_CORES = {"p1": "poly1", "p2": "poly2", "p3": "poly3", "p4": "poly4", "e": "exp"}
CORES = tuple(N2P2_CORES.values())  # of compact functions


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


class CompactFunction(NamedTuple):
    """One compact symmetry function of one element, as in n2p2.

    It is a sum of products of functions that are not 0 only in an interval, (left, right)::

        C(a) = f(|x|),  x = (a - (left + right)/2) / ((right - left)/2);  0 where |x| >= 1

        c2 = Σ_j C(R_j)
        c4 = Σ_{j<k} C(R_j) C(R_k) C(R_jk) C(θ)
        c5 = Σ_{j<k} C(R_j) C(R_k) C(θ)

    with the core function f, see below. Distances have the interval ``radial``, the angle θ
    between j and k at the center the interval ``angular``. Each pair of neighbors counts once.
    (M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).)

    Attributes
    ----------
    type : str
        "c2", "c4" or "c5": types 20, 21 and 22 of n2p2; with ``neighbors`` None, 23, 24 and 25.
    neighbors : tuple of str, or None
        As in :class:`Function`.
    radial : (float, float)
        The interval of distances, in Å. Its end is the cutoff; its beginning may be negative.
    angular : (float, float), or None for c2
        The interval of θ, in **degrees**, within 0 ... 180, or with its center at 0 or at 180 and
        up to 360 wide.
    core : "poly1", "poly2", "poly3", "poly4" or "exp"
        The polynomial in x that has 1, 2, 3 or 4 continuous derivatives at 0 and at 1, or
        ``exp(1 - 1/(1 - x²))``.
    asymmetric : bool
        ``f((2 - x) x)`` for distances instead of f(x); only for polynomials. θ has f(x).
    """

    type: str
    neighbors: tuple | None
    radial: tuple
    angular: tuple | None = None
    core: str = "poly2"
    asymmetric: bool = False

    @property
    def cutoff(self):
        """The end of the radial interval, in Å."""
        return self.radial[1]


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
    """Return f as a Function or CompactFunction whose values can be used.

    f may be any sequence, or a dict, of their attributes. ``where`` begins the message of the
    InputError.
    """
    requirement = "a Function or CompactFunction"
    by_name = isinstance(f, dict)
    if not isinstance(f, (tuple, list, dict)) or not f:
        refuse(where, f, requirement)
    type = f.get("type") if by_name else f[0]
    one_of(f"{where}: type", type, ("g2", "g4", "g5", "c2", "c4", "c5"))
    is_compact = type in ("c2", "c4", "c5")
    kind = CompactFunction if is_compact else Function
    try:
        f = kind(**f) if by_name else kind(*f)
    except TypeError:
        refuse(where, f, requirement)
    f = f._replace(neighbors=_check_neighbors(where, f, species))
    return _check_compact(where, f) if is_compact else _check_gaussian(where, f)


def _check_neighbors(where, f, species):
    if f.neighbors is None:
        return None
    needed = 1 if f.type in ("g2", "c2") else 2
    neighbors = tuple(f.neighbors) if isinstance(f.neighbors, (tuple, list)) else ()
    if len(neighbors) != needed or any(name not in species for name in neighbors):
        refuse(f"{where}: neighbors", f.neighbors, f"a tuple of {needed} of {list(species)}")
    return neighbors


def _check_gaussian(where, f):
    for name in ("cutoff", "eta", "shift", "zeta", "lam"):
        f = f._replace(**{name: number(f"{where}: {name}", getattr(f, name))})
    check_cutoff(f"{where}: cutoff", f.cutoff)
    if f.zeta <= 0 or f.eta < 0:
        raise InputError(
            f"{where}: zeta = {f.zeta:g}, eta = {f.eta:g}: zeta > 0 and eta >= 0 are needed"
        )
    _require_finite_power(where, f.lam, f.zeta)
    return f


def _check_compact(where, f):
    core = one_of(f"{where}: core", f.core, CORES)
    asymmetric = flag(f"{where}: asymmetric", f.asymmetric)
    if asymmetric and core == "exp":
        raise InputError(f"{where}: asymmetric = True: core = 'exp' has no asymmetric form")
    radial = _check_interval(f"{where}: radial", f.radial)
    check_cutoff(f"{where}: radial: cutoff", radial[1])
    if f.type == "c2":
        if f.angular is not None:
            refuse(f"{where}: angular", f.angular, "None, since c2 has no angle,")
        return f._replace(radial=radial, core=core, asymmetric=asymmetric)
    angular = _check_interval(f"{where}: angular", f.angular)
    left, right = angular
    if (left < 0 and right != -left) or (right > 180 and 180 - left != right - 180):
        refuse(
            f"{where}: angular", f.angular, "an interval in 0 ... 180 degrees or around 0 or 180"
        )
    return f._replace(radial=radial, angular=angular, core=core, asymmetric=asymmetric)


def _check_interval(where, interval):
    """(left, right) as floats, wide enough that the square of 1/width is finite."""
    left, right = real_numbers(where, interval, (2,)).tolist()
    if not right - left > 1e-12 * max(abs(left), abs(right)):
        refuse(where, interval, "two numbers, the second clearly greater than the first,")
    return left, right


def _require_finite_power(where, lam, zeta):
    """Raise InputError if the kernel's 2^(1 - zeta) (1 + lambda cosθ)^zeta could overflow."""
    if zeta * math.log2((1 + abs(lam)) / 2) > 500:
        raise InputError(
            f"{where}: (1 + lambda cosθ)^zeta overflows for lambda = {lam:g}, zeta = {zeta:g}"
        )
