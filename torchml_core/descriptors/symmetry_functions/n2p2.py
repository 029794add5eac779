"""Symmetry functions from the files of n2p2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import (
    ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions.n2p2_file import read_settings

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike


def read_n2p2(path: PathLike, *, length_unit: str | float) -> ElementSymmetryFunctions:
    """Read the symmetry functions of an n2p2 settings file.

    Parameters
    ----------
    path : path-like
        ``input.nn`` of n2p2 or RuNNer. Only the lines ``elements``, ``cutoff_type`` and
        ``symfunction_short`` (or ``symfunction``) are read; text after ``#`` or ``!`` is a comment.
    length_unit : "Bohr", "Angstrom" or float
        The unit of the lengths in the file, or its size in Å. The file does not say it.

    Returns
    -------
    ElementSymmetryFunctions
        Lengths are in Å. Species are in the order of atomic numbers. The functions of an element
        are in n2p2's own order (by type, cutoff, eta, Rs, zeta, lambda, neighbors), as in its
        ``scaling.data`` and ``function.data`` and in the inputs of its networks. Values are not
        scaled or centered.

    Raises
    ------
    MissingFileError
        There is no such file.
    FileFormatError
        A line cannot be understood; the message begins with ``file:line:``.
    UnsupportedError
        A type of function other than 2, 3, 9, 12, 13, or of cutoff other than 0 (hard), 1 (cos),
        2, 3 (tanh³), 4 (exp), 5-8 (polynomials); a line of another keyword that defines functions,
        such as ``global_symfunction_short``.
    InputError
        The length unit is unknown.

    Notes
    -----
    Types 2, 3 and 9 are g2, g4 and g5 (narrow and wide); 12 and 13 are g2 and g4 of all neighbors
    weighted with atomic numbers. Each pair of neighbors counts once, as here. With
    ``cutoff_type t alpha`` the cutoff function is 1 up to alpha times the cutoff; types 0, 2 and 3
    do not use alpha. Without that line the type is 1, as in RuNNer. Numbers may have Fortran's
    exponents.
    """
    return ElementSymmetryFunctions(**read_settings(path, length_unit))
