"""Symmetry functions from the files of n2p2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import (
    ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions.n2p2_functions import read_functions
from torchml_core.descriptors.symmetry_functions.n2p2_settings import Settings

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike


def read_n2p2(path: PathLike, *, length_unit: str | float) -> ElementSymmetryFunctions:
    """Read the symmetry functions of a settings file of n2p2 or RuNNer.

    :func:`torchml_core.convert.n2p2` reads a whole potential.

    Parameters
    ----------
    path : path-like
        ``input.nn``. Only the lines that define elements and symmetry functions are read; text
        after ``#`` or ``!`` is a comment.
    length_unit : str or float
        The unit of the lengths in the file ("bohr", "angstrom", "nm", "pm"), or its size in Å. The
        file does not say it.

    Returns
    -------
    ElementSymmetryFunctions
        Lengths are in Å. Species are in the order of atomic numbers. The functions of an element
        are in n2p2's own order, as in its ``scaling.data`` and ``function.data`` and in the inputs
        of its networks. Values are not scaled or centered.

    Raises
    ------
    MissingFileError
        There is no such file.
    FileFormatError
        A line cannot be understood; the message begins with ``file:line:``.
    UnsupportedError
        A type of function or of cutoff that n2p2 does not have; a line of another keyword that
        defines functions, such as ``symfunction_electrostatic``.
    InputError
        The length unit is unknown.

    Notes
    -----
    Types 2, 3 and 9 are g2, g4 and g5 (narrow and wide), with an optional shift for the last two;
    12 and 13 are g2 and g4 of all neighbors weighted with atomic numbers. 20, 21 and 22 are the
    compact functions c2, c4 and c5, and 23, 24 and 25 the same of all neighbors, weighted. Each
    pair of neighbors counts once, as here. n2p2 sorts functions by type, cutoff, eta, Rs, zeta,
    lambda and neighbors, compact ones by type, core, neighbors, cutoff, beginning and angles.

    ``element_symfunction_short`` and ``global_symfunction_short`` of RuNNer (types 2, 3, 9) stand
    for one function for each element of the neighbors, or each pair.

    With ``cutoff_type t alpha`` the cutoff function is 1 up to alpha times the cutoff; types 0
    (hard), 2 and 3 (tanh³) do not use alpha. RuNNer's ``cutoff_alpha`` also sets it. Without the
    line the type is 1, as in RuNNer. Numbers may have Fortran's exponents, and words behind those
    that are needed are comments, as in RuNNer, unless they begin with a number.
    """
    arguments, _ = read_functions(Settings(path), length_unit)
    return ElementSymmetryFunctions(**arguments)
