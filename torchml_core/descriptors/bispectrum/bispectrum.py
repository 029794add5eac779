"""Bispectrum: the descriptor of SNAP potentials, its settings, checked and packed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.checks import shown
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.bispectrum.coupling import (
    choose_outputs,
    make_elements,
    make_lists,
)
from torchml_core.descriptors.bispectrum.dat_file import bispectrum_lines, read_bispectrum
from torchml_core.descriptors.bispectrum.packing import BispectrumKernel
from torchml_core.descriptors.pair_cutoffs import check_pair_cutoffs, cutoff_matrix, one_or_all
from torchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from torchml_core.annotations import Cutoffs
    from torchml_core.descriptors.data_lines import DataLines

LARGEST_TWOJMAX = 14
MOST_VALUES = 10**6
DIAGONAL_STYLES = (0, 1, 2, 3)


class Bispectrum(Descriptor):
    """The bispectrum of the neighbor density on the 3-sphere, as in SNAP potentials.

    Each neighbor j within the cutoff is mapped onto a rotation, whose matrices U_j of all angular
    momenta are added up, with a weight and a switching function. The components are triple
    products of these sums that do not depend on the orientation::

        U_j = self + Σ_k f(R_k) weight_k U_j(r_k)
        B(j1, j2, j) = Σ conj(U_j) · (C U_j1 ⊗ U_j2 C),    C: Clebsch-Gordan coefficients
        f(R) = (cos(π (R - rmin0)/(rc - rmin0)) + 1)/2 for rmin0 <= R <= rc

    where self is the identity: an isolated atom has B(j1, j2, j) = j + 1. All j are doubled, as in
    LAMMPS: whole numbers from 0 to twojmax. (A. P. Thompson et al., J. Comput. Phys. 285, 316
    (2015).) The values are those of LAMMPS (compute sna/atom) and of libdescriptor.

    Parameters
    ----------
    species : sequence of str
        The species that may occur, e.g. ``["Si", "C"]``.
    cutoff : float or dict
        In Å: one for all pairs, or one for each unordered pair of species,
        ``{("Si", "C"): 4.2, ...}``. See :meth:`lammps_cutoffs` for LAMMPS's rcutfac and radii.
    twojmax : int
        Twice the largest angular momentum, 0 to 14.
    rfac0 : float
        The largest angle of the rotations is rfac0 π, at the cutoff; more than 0, at most 1.
    rmin0 : float
        In Å; the distance whose rotation is the identity; at least 0, below all cutoffs.
    diagonal_style : 0, 1, 2 or 3
        Which components there are, with j1 >= j2: 0: all j; 1: only j1 = j2; 2: only j1 = j2 = j
        (0 for odd j1); 3: those with j >= j1, which are all that differ.
    switch : bool
        Whether f goes to 0 at the cutoff; if not, f = 1 (LAMMPS's switchflag).
    subtract_isolated : bool
        Whether the values of an isolated atom are subtracted (bzeroflag).
    weights : dict or sequence, optional
        The weight of each species as a neighbor, ``{"Si": 1.0, ...}`` or in the order of
        ``species``; default 1.
    inner_switch : dict, optional
        ``{"Si": (sinner, dinner), ...}`` for each species, in Å (switchinnerflag): f is multiplied
        with a function that goes from 0 to 1 between sinner - dinner and sinner + dinner, where
        both are means of those of the two species.
    normalize : bool
        Whether B(j1, j2, j) is divided by j + 1 (bnormflag).
    chemical : bool
        Whether there is a U for each species of neighbors, and B for each triple of them
        (chemflag; M. A. Cusentino et al., J. Phys. Chem. A 124, 5456 (2020)).
    self_in_all : bool
        With ``chemical``: whether self counts in the U of all species, not only in that of the
        center (wselfallflag).

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Notes
    -----
    Order of the values: with ``chemical``, species of U_j1, of U_j2, of U_j, the last fastest; in
    each of them j1, j2, j, the last fastest.

    At distances below rmin0 the rotation changes sign, as in LAMMPS and libdescriptor: values jump
    at rmin0, if it is not 0.

    Examples
    --------
    >>> import torchml_core as tm
    >>> bispectrum = tm.Bispectrum(["Si"], 5.0, 8)
    >>> bispectrum.width, bispectrum.labels[1]
    (55, 'B(1, 0, 1)')
    """

    def __init__(
        self,
        species: Sequence[str],
        cutoff: Cutoffs,
        twojmax: int,
        *,
        rfac0: float = 0.99363,
        rmin0: float = 0.0,
        diagonal_style: int = 3,
        switch: bool = True,
        subtract_isolated: bool = False,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        inner_switch: Mapping[str, tuple[float, float]] | None = None,
        normalize: bool = False,
        chemical: bool = False,
        self_in_all: bool = False,
    ) -> None:
        self.species = check_species(species)
        self.cutoffs = check_pair_cutoffs(cutoff, self.species)
        self.twojmax = checks.whole("twojmax", twojmax, 0, LARGEST_TWOJMAX)
        self.rfac0 = checks.positive("rfac0", rfac0)
        if self.rfac0 > 1:
            checks.refuse("rfac0", rfac0, "a number above 0 and up to 1")
        self.rmin0 = checks.not_negative("rmin0", rmin0)
        smallest = min(self.cutoffs.values())
        if self.rmin0 >= smallest:
            checks.refuse("rmin0", rmin0, f"a distance below the smallest cutoff, {smallest:g},")
        style = checks.whole("diagonal_style", diagonal_style)
        self.diagonal_style = checks.one_of("diagonal_style", style, DIAGONAL_STYLES)
        self.switch = checks.flag("switch", switch)
        self.subtract_isolated = checks.flag("subtract_isolated", subtract_isolated)
        self.weights = _check_weights(weights, self.species)
        self.inner_switch = _check_inner_switch(inner_switch, self.species)
        self.normalize = checks.flag("normalize", normalize)
        self.chemical = checks.flag("chemical", chemical)
        self.self_in_all = checks.flag("self_in_all", self_in_all)
        self.components = components_of_style(self.twojmax, self.diagonal_style)
        self.width = len(self.components) * len(self._channels()) ** 3
        if self.width > MOST_VALUES:
            raise InputError(
                f"species and twojmax give {self.width} values per atom: at most {MOST_VALUES} are"
                " possible; reduce twojmax or the number of species, or leave out chemical"
            )

    @staticmethod
    def lammps_cutoffs(rcutfac: float, radii: Mapping[str, float]) -> dict[tuple[str, str], float]:
        """Return LAMMPS's cutoffs, ``rcutfac (R_a + R_b)``, for each unordered pair of species.

        Parameters
        ----------
        rcutfac : float
            Of a ``.snapparam`` file.
        radii : dict
            ``{"Si": 0.5, ...}``, of a ``.snapcoeff`` file; with rcutfac, in Å.

        Examples
        --------
        >>> import torchml_core as tm
        >>> tm.Bispectrum.lammps_cutoffs(4.67637, {"Ta": 0.5})
        {('Ta', 'Ta'): 4.67637}
        """
        rcutfac = checks.positive("rcutfac", rcutfac)
        if not isinstance(radii, Mapping):
            checks.refuse("radii", radii, "a dictionary of radii by species")
        names = check_species(radii, "radii")
        checked = {name: checks.positive(f"radii[{name!r}]", radii[name]) for name in names}
        return {
            (a, b): (checked[a] + checked[b]) * rcutfac
            for a, b in itertools.combinations_with_replacement(checked, 2)
        }

    @property
    def cutoff(self) -> float:
        """The largest cutoff, in Å."""
        return max(self.cutoffs.values())

    @property
    def labels(self) -> list[str]:
        """A description of each value: ``B(2, 1, 3)``, or ``B[Si-Si-C](2, 1, 3)``."""
        names = [""]
        if self.chemical:
            names = [f"[{'-'.join(names)}]" for names in itertools.product(self.species, repeat=3)]
        return [
            f"B{name}({', '.join(map(str, component))})"
            for name in names
            for component in self.components
        ]

    def settings(self) -> dict[str, Any]:
        """Return the arguments with which the constructor makes an equal descriptor."""
        return {**super().settings(), "cutoff": one_or_all(self.cutoffs)}

    def _to_lines(self):
        return bispectrum_lines(self)

    @classmethod
    def _from_lines(cls, lines: DataLines) -> Bispectrum:
        settings = read_bispectrum(lines)
        return lines.checked(lambda: cls(**settings))

    def __repr__(self):
        cutoffs = self.cutoffs if len(set(self.cutoffs.values())) > 1 else self.cutoff
        settings = [repr(list(self.species)), repr(cutoffs), repr(self.twojmax)]
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if name == "weights" and set(value.values()) == {1.0}:
                continue
            if value != default:
                settings.append(f"{name}={value!r}")
        text = f"Bispectrum({', '.join(settings)})"
        if len(text) <= 300:
            return text
        return (
            f"<Bispectrum of {' '.join(self.species)}, cutoff {self.cutoff:g}, twojmax"
            f" {self.twojmax}, width {self.width}>"
        )

    def _channels(self):
        """The species that have a U of their own; one for all if not chemical."""
        return self.species if self.chemical else ("all",)

    # ---- the kernel's parameters

    def _make_kernel(self):
        triples = tuple(sorted({tuple(sorted(c)) for c in self.components if sum(c) % 2 == 0}))
        merged = len(self._channels()) == 1
        sources, scales, isolated = self._assign_values(triples, merged)
        return BispectrumKernel(
            self._rotation_settings(),
            self.twojmax,
            make_elements(self.twojmax),
            make_lists(self.twojmax, triples, merged),
            len(triples),
            self.self_in_all,
            sources,
            scales,
            isolated if self.subtract_isolated else np.zeros_like(isolated),
        )

    def _rotation_settings(self):
        n = len(self.species)
        inner = {"sinner": None, "dinner": None}
        if self.inner_switch is not None:
            for k, name in enumerate(inner):
                of_species = np.array([values[k] for values in self.inner_switch.values()])
                inner[name] = (of_species[:, None] + of_species) / 2
        return {
            "channels": list(range(n)) if self.chemical else [0] * n,
            "weights": list(self.weights.values()),
            "cutoffs": cutoff_matrix(self.cutoffs, self.species),
            "rfac0": self.rfac0,
            "rmin0": self.rmin0,
            "switches": self.switch,
            **inner,
        }

    def _assign_values(self, triples, merged):
        """Return the kernel's value that each component is, its factor, and isolated atoms' values.

        The kernel's values are numbered as in kernel/products.pxd: the channels of the smaller and
        the larger factor and of the output, and the triple.
        """
        n, n_species = len(self._channels()), len(self.species)
        outputs = dict(zip(triples, choose_outputs(self.twojmax, triples, merged), strict=True))
        channels = np.array(list(itertools.product(range(n), repeat=3)))
        sources = np.full((len(channels), len(self.components)), -1)
        for k, component in enumerate(self.components):
            triple = tuple(sorted(component))
            if triple in outputs:
                factors = np.argsort(component, kind="stable").tolist()
                output = factors.pop(outputs[triple])
                a, b, c = channels[:, [*factors, output]].T
                sources[:, k] = ((a * n + b) * n + c) * len(triples) + triples.index(triple)
        scales = np.array([1 if self.normalize else j + 1 for _, _, j in self.components])
        isolated = np.ones((n_species, len(channels)))
        if n > 1 and not self.self_in_all:
            isolated = np.all(channels == np.arange(n)[:, None, None], axis=2)
        isolated = isolated[:, :, None] * (sources >= 0) * scales
        scales = np.tile(scales, len(channels))
        return sources.ravel(), scales, isolated.reshape(n_species, -1)


_DEFAULTS = {
    "rfac0": 0.99363,
    "rmin0": 0.0,
    "diagonal_style": 3,
    "switch": True,
    "subtract_isolated": False,
    "weights": None,
    "inner_switch": None,
    "normalize": False,
    "chemical": False,
    "self_in_all": False,
}


def components_of_style(twojmax, diagonal_style):
    """Return the (j1, j2, j) of a diagonal style, in their order."""
    if diagonal_style == 2:
        return [(j, j, j) for j in range(twojmax + 1)]
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 if diagonal_style == 1 else 0, j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if diagonal_style != 3 or j >= j1
    ]


def _check_weights(weights, species):
    """{name: weight} in the order of species."""
    if weights is None:
        return dict.fromkeys(species, 1.0)
    if isinstance(weights, Mapping):
        if set(weights) != set(species):
            raise InputError(
                f"weights = {shown(weights)}: a weight of each of {shown(species)} is needed"
            )
        return {name: checks.number(f"weights[{name!r}]", weights[name]) for name in species}
    values = checks.sequence("weights", weights, "a dictionary or a sequence of numbers")
    if len(values) != len(species):
        checks.refuse("weights", weights, f"one number for each of {len(species)} species")
    return {
        name: checks.number(f"weights[{k}]", value)
        for k, (name, value) in enumerate(zip(species, values, strict=True))
    }


def _check_inner_switch(inner_switch, species):
    """{name: (sinner, dinner)} in the order of species, or None."""
    if inner_switch is None:
        return None
    if not isinstance(inner_switch, Mapping) or set(inner_switch) != set(species):
        raise InputError(
            f"inner_switch = {shown(inner_switch)}: (sinner, dinner) of each of {shown(species)}"
            " is needed"
        )
    checked = {}
    for name in species:
        where = f"inner_switch[{name!r}]"
        pair = checks.sequence(where, inner_switch[name], "(sinner, dinner)")
        if len(pair) != 2:
            checks.refuse(where, inner_switch[name], "(sinner, dinner)")
        checked[name] = checks.number(where, pair[0]), checks.positive(where, pair[1])
    return checked
