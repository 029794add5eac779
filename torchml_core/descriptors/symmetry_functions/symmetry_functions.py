"""Behler-Parrinello symmetry functions: their settings, checked and packed for the kernel."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchml_core.checks import number, one_of, real_numbers, shown
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.pair_cutoffs import check_pair_cutoffs, cutoff_matrix, one_or_all
from torchml_core.descriptors.symmetry_functions.dat_file import (
    read_symmetry_functions,
    symmetry_function_lines,
)
from torchml_core.descriptors.symmetry_functions.functions import (
    CUTOFF_FUNCTIONS,
    PARAMETERS,
    atomic_number,
    check_functions,
)
from torchml_core.descriptors.symmetry_functions.planning import Family, make_kernel
from torchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from torchml_core.annotations import Cutoffs, Functions
    from torchml_core.descriptors.data_lines import DataLines


SPECIES_MODES = ("pooled", "resolved", "weighted")


class SymmetryFunctions(Descriptor):
    """Behler-Parrinello symmetry functions g1-g5, and weighted ones (wACSF).

    R_j is the distance of neighbor j from the center i, θ the angle between neighbors j and k at i,
    and fc the cutoff function of a pair of species::

        g1 = Σ_j fc(R_j)
        g2 = Σ_j exp(-eta (R_j - Rs)²) fc(R_j)
        g3 = Σ_j cos(kappa R_j) fc(R_j)
        g4 = Σ_{j<k} 2^(1-zeta) (1 + lambda cosθ)^zeta exp(-eta (R_j² + R_k² + R_jk²))
             fc(R_j) fc(R_k) fc(R_jk)
        g5 = Σ_{j<k} 2^(1-zeta) (1 + lambda cosθ)^zeta exp(-eta (R_j² + R_k²)) fc(R_j) fc(R_k)

    Each pair of neighbors counts once. If 1 + lambda cosθ <= 0 the term is 0. All values of an atom
    without neighbors are zero. (J. Behler, J. Chem. Phys. 134, 074106 (2011), where g4 and g5 sum
    over j and k in both orders and are twice as large.)

    Parameters
    ----------
    species : sequence of str
        The species that may occur, e.g. ``["Si", "C"]``.
    cutoff : float or dict
        In Å: one for all pairs, or one for each unordered pair of species,
        ``{("Si", "C"): 4.2, ...}``.
    functions : list of (type, rows)
        ``[("g1", []), ("g2", [[eta, Rs], ...]), ("g3", [[kappa], ...]),
        ("g4", [[zeta, lambda, eta], ...]), ("g5", [[zeta, lambda, eta], ...])]``: each type at
        most once. eta >= 0 in Å⁻², Rs in Å, kappa in Å⁻¹, zeta > 0, not necessarily a whole number;
        lambda is not necessarily ±1.
    species_mode : "pooled", "resolved" or "weighted"
        pooled: species affect only the cutoffs, as in KLIFF and libdescriptor.
        resolved: g1-g3 for each species of the neighbor, g4 and g5 for each unordered pair of
        species of the two neighbors.
        weighted: pooled, with each term of g1-g3 times w_j, of g4 and g5 times w_j w_k, where w is
        the weight of the neighbor's species (M. Gastegger et al., J. Chem. Phys. 148, 241709
        (2018)).
    cutoff_function : str
        As a function of x = R/rc: "cos": ``(cos(π x) + 1)/2``; "poly1" ... "poly4": the polynomial
        that has 1 ... 4 continuous derivatives at 0 and at rc (n2p2's CT_POLY1 ... 4); "exp":
        ``exp(1 - 1/(1 - x²))``; "tanh3": ``tanh³(1 - x)``; "tanh3_normalized": the same divided by
        tanh³(1). All are 0 from rc on. "hard" is 1 below rc and 0 from there on. Its derivative is
        0 everywhere, the jump at rc included, so that forces do not conserve the energy when an
        atom passes rc; it is here to read models of n2p2.
    weights : dict, optional
        ``{"Si": 14.0, ...}``, only for species_mode="weighted"; default: atomic numbers.
    mean, std : float or (width,) array, optional
        Values are returned as (D - mean) / std; std > 0.

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Notes
    -----
    Order of the values: types in the given order. Within a type, if resolved, the neighbor species
    s_0, s_1, ... in the order of ``species``, or their pairs (s_0, s_0), (s_0, s_1), ...,
    (s_1, s_1), ...; within each of these, rows in the given order. The sum of resolved values over
    the species is the pooled value.

    Examples
    --------
    >>> import torchml_core as tm
    >>> tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0]]), ("g4", [[1, -1, 0.01]])]).labels
    ['g2(eta=0.1, Rs=0)', 'g4(zeta=1, lambda=-1, eta=0.01)']
    """

    def __init__(
        self,
        species: Sequence[str],
        cutoff: Cutoffs,
        functions: Functions,
        *,
        species_mode: str = "pooled",
        cutoff_function: str = "cos",
        weights: Mapping[str, float] | None = None,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
    ) -> None:
        self.species = check_species(species)
        self.cutoffs = check_pair_cutoffs(cutoff, self.species)
        self.functions = check_functions(functions)
        self.species_mode = one_of("species_mode", species_mode, SPECIES_MODES)
        self.cutoff_function = one_of("cutoff_function", cutoff_function, CUTOFF_FUNCTIONS)
        self.weights = _check_weights(weights, self.species, self.species_mode)
        self.width = sum(
            _n_components(rows) * len(self._channels(type)) for type, rows in self.functions
        )
        self.mean, self.std = _check_normalization(mean, std, self.width)

    @property
    def cutoff(self) -> float:
        """The largest cutoff, in Å."""
        return max(self.cutoffs.values())

    @property
    def labels(self) -> list[str]:
        """A description of each value: ``g2(eta=0.1, Rs=0)``, or ``g2[Si](eta=0.1, Rs=0)``."""
        return [
            _label(type, channel, row)
            for type, rows in self.functions
            for channel in self._channels(type)
            for row in rows or [()]
        ]

    def settings(self) -> dict[str, Any]:
        """Return the arguments with which the constructor makes an equal descriptor."""
        return {**super().settings(), "cutoff": one_or_all(self.cutoffs)}

    def _to_lines(self):
        return symmetry_function_lines(self)

    @classmethod
    def _from_lines(cls, lines: DataLines) -> SymmetryFunctions:
        settings = read_symmetry_functions(lines)
        return lines.checked(lambda: cls(**settings))

    def __repr__(self):
        cutoffs = self.cutoffs if len(set(self.cutoffs.values())) > 1 else self.cutoff
        settings = [repr(list(self.species)), repr(cutoffs), repr(_as_lists(self.functions))]
        if self.species_mode != "pooled":
            settings.append(f"species_mode={self.species_mode!r}")
        if self.weights is not None:
            settings.append(f"weights={self.weights!r}")
        if self.cutoff_function != "cos":
            settings.append(f"cutoff_function={self.cutoff_function!r}")
        if self.mean is not None:
            settings += [f"mean={self.mean.tolist()!r}", f"std={self.std.tolist()!r}"]
        text = f"SymmetryFunctions({', '.join(settings)})"
        if len(text) <= 200:
            return text
        counts = ", ".join(f"{_n_components(rows)} {type}" for type, rows in self.functions)
        return (
            f"<SymmetryFunctions of {' '.join(self.species)} ({self.species_mode}), cutoff"
            f" {self.cutoff:g} ({self.cutoff_function}): {counts}; width {self.width}>"
        )

    def _channels(self, type):
        """The names of a type's channels, which repeat its rows: species, pairs, or one."""
        if self.species_mode != "resolved":
            return ["" if self.species_mode == "pooled" else "[weighted]"]
        if type in ("g1", "g2", "g3"):
            return [f"[{name}]" for name in self.species]
        pairs = itertools.combinations_with_replacement(self.species, 2)
        return [f"[{a}-{b}]" for a, b in pairs]

    def _make_kernel(self):
        n = len(self.species)
        cutoffs = cutoff_matrix(self.cutoffs, self.species)
        weights = np.ones(n) if self.weights is None else np.array(list(self.weights.values()))
        families, first = [], 0
        for type, rows in self.functions:
            channels, n_channels = self._channel_numbers(type)
            n_values = n_channels * _n_components(rows)
            families.append(
                Family(
                    type=int(type[1]),
                    rows=list(rows) or [()],
                    channels=channels,
                    components=np.arange(first, first + n_values).reshape(n_channels, -1),
                    cutoffs=cutoffs,
                    cutoff_function=self.cutoff_function,
                    weights=weights,
                    centers=np.ones(n, dtype=bool),
                )
            )
            first += n_values
        return make_kernel(self.width, families)

    def _channel_numbers(self, type):
        """The index in :meth:`_channels` of each species, or of each two species."""
        n, n_channels = len(self.species), len(self._channels(type))
        is_radial = type in ("g1", "g2", "g3")
        if self.species_mode != "resolved":
            return np.zeros(n if is_radial else (n, n), dtype=np.int32), n_channels
        if is_radial:
            return np.arange(n, dtype=np.int32), n_channels
        channels = np.empty((n, n), dtype=np.int32)
        pairs = itertools.combinations_with_replacement(range(n), 2)
        for channel, (a, b) in enumerate(pairs):
            channels[a, b] = channels[b, a] = channel
        return channels, n_channels


def _n_components(rows):
    return len(rows) or 1  # g1 has no rows


def _as_lists(functions):
    return [(type, [list(row) for row in rows]) for type, rows in functions]


def _label(type, channel, row):
    parameters = zip(PARAMETERS[type], row, strict=True)
    inside = ", ".join(f"{name}={value:.6g}" for name, value in parameters)
    return f"{type}{channel}({inside})" if inside else f"{type}{channel}"


def _check_weights(weights, species, mode):
    """{name: weight} in the order of species, or None without weights."""
    if mode != "weighted":
        if weights is not None:
            raise InputError(f"weights: species_mode = 'weighted' is needed, not {shown(mode)}")
        return None
    if weights is None:
        return {name: float(atomic_number(name)) for name in species}
    if not isinstance(weights, Mapping) or set(weights) != set(species):
        raise InputError(
            f"weights = {shown(weights)}: a weight of each of {shown(species)} is needed"
        )
    return {name: number(f"weights[{name!r}]", weights[name]) for name in species}


def _check_normalization(mean, std, width):
    """Two read-only (width,) arrays; None, None if they would change nothing."""
    mean = _per_component("mean", 0.0 if mean is None else mean, width)
    std = _per_component("std", 1.0 if std is None else std, width)
    if (std <= 0).any():
        worst = int(np.argmax(std <= 0))
        raise InputError(f"std[{worst}] = {std[worst]:g}: more than 0 is needed")
    if not mean.any() and (std == 1).all():
        return None, None
    return mean, std


def _per_component(name, values, width):
    array = real_numbers(name, values, None)
    if array.shape not in ((), (1,), (width,)):
        raise InputError(
            f"{name} has shape {array.shape}; one number, or one for each value, ({width},), is"
            " needed"
        )
    array = np.array(np.broadcast_to(array, (width,)))
    array.flags.writeable = False
    return array
