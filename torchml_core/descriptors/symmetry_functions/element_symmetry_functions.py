"""Symmetry functions with a separate list for each element, as used in n2p2 and RuNNer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import files
from torchml_core.checks import number, one_of, refuse
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.symmetry_functions.compact_planning import CompactFamily
from torchml_core.descriptors.symmetry_functions.functions import (
    CUTOFF_FUNCTIONS,
    CUTOFFS_WITHOUT_INNER,
    CompactFunction,
    atomic_number,
    check_function,
)
from torchml_core.descriptors.symmetry_functions.n2p2_file import write_n2p2
from torchml_core.descriptors.symmetry_functions.planning import Family, make_kernel
from torchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import PathLike


class ElementSymmetryFunctions(Descriptor):
    """Symmetry functions of which each element has its own list.

    :func:`~torchml_core.read_n2p2` makes one from the files of n2p2. The formulas are those of
    :class:`~torchml_core.SymmetryFunctions`; here each function also has its own cutoff,
    elements of the neighbors, and shift. A list may also contain compact functions.

    The lists of elements may have different lengths, but all rows of an array have the same length:
    row k contains the values of its atom's own list, followed by zeros. ``widths`` gives the number
    of values. Gradients with respect to the zeros are ignored.

    Parameters
    ----------
    functions : dict
        ``{"H": [Function(...), CompactFunction(...), ...], "O": [...]}``; the keys, in their
        order, are the species. A list may be empty. Both classes are in
        ``torchml_core.descriptors.symmetry_functions``.
    cutoff_function : str
        As in SymmetryFunctions, for all functions but the compact ones, which have none.
    inner : float
        Fraction of the cutoff up to which the cutoff function is 1 (n2p2's alpha); it falls to 0
        from there to the cutoff. 0 <= inner < 1.

    Attributes
    ----------
    widths : dict of str to int
        Length of each element's list.
    element_labels : dict of str to list of str
        A description of each value of an element.

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Examples
    --------
    >>> import torchml_core as tm
    >>> from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import Function
    >>> d = tm.ElementSymmetryFunctions(
    ...     {"H": [Function("g2", ("O",), 4.0, 0.1)], "O": [Function("g4", ("H", "H"), 4.0, 0.1)]}
    ... )
    >>> d.element_labels["O"]
    ['g4[H-H](zeta=1, lambda=1, eta=0.1, Rs=0, cutoff=4)']
    """

    def __init__(
        self,
        functions: Mapping[str, Sequence[Any]],
        *,
        cutoff_function: str = "cos",
        inner: float = 0.0,
    ) -> None:
        if not isinstance(functions, Mapping):
            refuse("functions", functions, "a dict of lists of Function")
        self.species = check_species(functions, "functions")
        self.functions = {
            element: _check_functions(element, own, self.species)
            for element, own in functions.items()
        }
        self.cutoff_function = one_of("cutoff_function", cutoff_function, CUTOFF_FUNCTIONS)
        self.inner = number("inner", inner)
        if not 0 <= self.inner < 1:
            refuse("inner", inner, "at least 0 and less than 1")
        if inner and cutoff_function in CUTOFFS_WITHOUT_INNER:
            raise InputError(
                f"inner = {inner!r}: {cutoff_function} has no inner cutoff; 0 is needed"
            )
        self.widths = {element: len(own) for element, own in self.functions.items()}
        self.width = max(self.widths.values())
        if self.width == 0:
            raise InputError("functions: every list is empty; at least one function is needed")

    @property
    def cutoff(self) -> float:
        """The largest cutoff, in Å."""
        return max(f.cutoff for own in self.functions.values() for f in own)

    def n_values(self, element: str) -> int:
        """Return the length of an element's list."""
        return self.widths[one_of("element", element, self.species)]

    def labels_of(self, element: str) -> list[str]:
        """Return a description of each value of an element."""
        own = self.functions[one_of("element", element, self.species)]
        return [_label(f) for f in own]

    @property
    def element_labels(self) -> dict[str, list[str]]:
        """A description of each value of an element."""
        return {element: self.labels_of(element) for element in self.species}

    @property
    def labels(self) -> list[str]:
        """A description of each value for each element: ``0: H g2[O](...); O g2[H](...)``."""
        own = self.element_labels
        return [
            f"{k}: " + "; ".join(f"{e} {own[e][k]}" for e in self.species if k < len(own[e]))
            for k in range(self.width)
        ]

    def to_file(self, path: PathLike) -> None:
        """Write a JSON file, or an ``input.nn`` of n2p2.

        Parameters
        ----------
        path : path-like
            If it ends in ``.json``, :func:`~torchml_core.read_descriptor` reads the file back
            equal. Otherwise the file is an ``input.nn`` for
            ``read_n2p2(path, length_unit="Angstrom")``, which returns functions in n2p2's order,
            and species by atomic number.

        Raises
        ------
        UnsupportedError
            n2p2 has no weighted g5; the path ends in ``.dat``, a format that cannot store it.
        """
        if files.as_path("path", path).suffix in (".json", ".dat"):
            super().to_file(path)
        else:
            write_n2p2(self, path)

    def __repr__(self):
        counts = ", ".join(f"{n} of {element}" for element, n in self.widths.items())
        return (
            f"<ElementSymmetryFunctions, cutoff {self.cutoff:g} ({self.cutoff_function}): {counts};"
            f" width {self.width}>"
        )

    def _make_kernel(self):
        families = [
            family
            for element, own in self.functions.items()
            for family in self._families(element, own)
        ]
        return make_kernel(self.width, families)

    def _families(self, element, own):
        """Functions of one element that can be summed together.

        They share type, cutoff and shift; and lists of parameters that are the same for several
        neighbors are one family with a channel for each. All compact functions are one family.
        """
        by_neighbors = {}
        for component, f in enumerate(own):
            if isinstance(f, CompactFunction):
                continue
            if f.type == "g2":
                key, row = (2, f.cutoff, 0.0), (f.eta, f.shift)
            else:
                key, row = (int(f.type[1]), f.cutoff, f.shift), (f.zeta, f.lam, f.eta)
            channel = f.neighbors and tuple(sorted(f.neighbors))
            rows = by_neighbors.setdefault((key, channel), {})
            rows.setdefault(row, []).append(component)
        together = {}
        for (key, channel), rows in by_neighbors.items():
            parameters = [(row, n) for row in sorted(rows) for n in range(len(rows[row]))]
            components = [rows[row][n] for row, n in parameters]
            shared = (key, channel is None, tuple(row for row, _ in parameters))
            together.setdefault(shared, []).append((channel, components))
        for (key, is_weighted, rows), channels in together.items():
            yield self._family(element, key, is_weighted, rows, channels)
        compact = [k for k, f in enumerate(own) if isinstance(f, CompactFunction)]
        if compact:
            yield CompactFamily(
                functions=[own[k] for k in compact],
                components=compact,
                species=self.species,
                numbers=self._weights(any(own[k].neighbors is None for k in compact)),
                centers=np.array([name == element for name in self.species]),
            )

    def _weights(self, is_weighted):
        """Of the species, as neighbors."""
        weights = [atomic_number(name) if is_weighted else 1.0 for name in self.species]
        return np.array(weights, dtype=np.float64)

    def _family(self, element, key, is_weighted, rows, channels):
        n = len(self.species)
        type, cutoff, shift = key
        numbers = np.full(n if type == 2 else (n, n), -1, dtype=np.int32)
        for channel, (neighbors, _) in enumerate(channels):
            if is_weighted:
                numbers[...] = channel
                continue
            codes = [self.species.index(name) for name in neighbors]
            numbers[tuple(codes)] = numbers[tuple(reversed(codes))] = channel
        return Family(
            type=type,
            rows=list(rows),
            channels=numbers,
            components=np.array([components for _, components in channels]),
            cutoffs=np.full((n, n), cutoff),
            cutoff_function=self.cutoff_function,
            weights=self._weights(is_weighted),
            centers=np.array([name == element for name in self.species]),
            inner=self.inner,
            shift=shift,
        )


def _label(f):
    neighbors = "weighted" if f.neighbors is None else "-".join(f.neighbors)
    if isinstance(f, CompactFunction):
        return f"{f.type}[{neighbors}]({_compact_parameters(f)})"
    angular = f"zeta={f.zeta:.6g}, lambda={f.lam:.6g}, " if f.type != "g2" else ""
    radial = f"eta={f.eta:.6g}, Rs={f.shift:.6g}, cutoff={f.cutoff:.6g}"
    return f"{f.type}[{neighbors}]({angular}{radial})"


def _compact_parameters(f):
    core = f.core + (" asymmetric" if f.asymmetric else "")
    angular = "" if f.angular is None else "angle={:.6g}..{:.6g}, ".format(*f.angular)
    return "R={:.6g}..{:.6g}, {}core={}".format(*f.radial, angular, core)


def _check_functions(element, own, species):
    if not isinstance(own, (list, tuple)):
        refuse(f"functions: {element}", own, "a list of Function")
    return tuple(
        check_function(f"functions: {element} number {k}", f, species) for k, f in enumerate(own)
    )
