"""Descriptor: the base class, with the operations of all descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import _descriptors, _memory, checks
from torchml_core.configuration import Configuration
from torchml_core.descriptors.evaluation import Evaluation
from torchml_core.descriptors.jacobian import Jacobian
from torchml_core.descriptors.storing import Storable
from torchml_core.errors import InputError
from torchml_core.threads import resolve_threads

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike

    from torchml_core.annotations import Doubles, Floats


MOST_KEPT = 2**28  # bytes of an evaluation


class Descriptor(Storable):
    """One row of values for each contributing particle, and its derivatives.

    Species of a configuration are matched with those of the descriptor by name. List entries beyond
    the cutoff are ignored; lists that are known to end before the cutoff are refused.

    Attributes
    ----------
    species : tuple of str
        The species that may occur; empty: any.
    cutoff : float
        The largest cutoff, in Å (or the unit of length that its settings were made in).
    width : int
        Number of values per particle.
    labels : list of str
        A description of each value.
    mean, std : (width,) float64 or None
        If given, all values are ``(D - mean) / std``, and all derivatives accordingly.
    rotation_invariant : bool
        Whether the values do not change under rotations.
    tells_centers_apart : bool
        Whether two atoms of different species have different values, whatever their neighbors are.
        False for all descriptors of this package: silicon and carbon between the same neighbors
        can have the same values. If a model has several species, its network then needs them too:
        ``forward(descriptor, species)``.

    Notes
    -----
    All methods that compute raise InputError if the argument is not a
    :class:`~torchml_core.Configuration`, for a species that the descriptor does not have, for
    arrays of the wrong shape or with numbers that are not finite, and for two particles at the same
    position. ``n_threads``: None means as many threads as the work can use, up to OMP_NUM_THREADS,
    or the number of processors if that is not set; see
    :func:`torchml_core.threads.resolve_threads`. Results are the same to the last bit for any
    number of threads. An exception of a signal handler, such as Ctrl-C, ends a computation within
    a tenth of a second.

    An instance of a subclass consists of settings: it is immutable, two instances with the same
    settings are equal, and it can be pickled and stored. It has ``species``, ``cutoff``, ``width``
    and ``labels``, as attributes or properties, and defines ``_make_kernel``; ``settings``, unless
    the arguments of its constructor are its attributes; with a file format of its own, also
    ``_to_lines`` and ``_from_lines``. CONTRIBUTING.md shows how to write one.
    """

    species: tuple[str, ...]
    width: int
    mean: Doubles | None = None
    std: Doubles | None = None
    rotation_invariant = True
    tells_centers_apart = False

    if TYPE_CHECKING:  # attributes or properties

        @property
        def cutoff(self) -> float: ...

        @property
        def labels(self) -> list[str]: ...

    def compute(
        self,
        configuration: Configuration,
        *,
        dtype: DTypeLike = np.float64,
        n_threads: int | None = None,
    ) -> Floats:
        """Return the values.

        Parameters
        ----------
        configuration : Configuration
        dtype : float64 or float32
            The precision of the sums and of the result. Differences of positions are always
            computed in float64.
        n_threads : int, optional

        Returns
        -------
        (n_centers, width) array of dtype
            Row k belongs to particle ``configuration.centers[k]``.
        """
        return self._compute(
            self._view(configuration), configuration, checks.real_dtype("dtype", dtype), n_threads
        )

    def _compute(self, view, configuration, dtype, n_threads, kept=None):
        out = _memory.empty((configuration.n_centers, self.width), dtype)
        fault = self._kernel.compute(view, out, resolve_threads(n_threads), kept)
        if fault != _descriptors.GOOD:
            self._check_fault(configuration, fault, out.dtype)
        if self.mean is not None and self.std is not None:
            out -= self.mean.astype(out.dtype)
            out /= self.std.astype(out.dtype)
        return out

    def evaluate(
        self,
        configuration: Configuration,
        *,
        dtype: DTypeLike = np.float64,
        n_threads: int | None = None,
        most_kept: int = MOST_KEPT,
    ) -> Evaluation:
        """Return the values together with what their :meth:`vjp` can reuse.

        The gradient of the same configuration then takes less time: SOAP and Xi keep their density
        coefficients. Descriptors that have nothing to keep compute as usual. Results are the same
        as those of :meth:`compute` and :meth:`vjp`, to the last bit.

        Parameters
        ----------
        configuration : Configuration
            Its positions are copied: the gradient is that at these positions.
        dtype : float64 or float32
            Of the values, and of the gradient.
        n_threads : int, optional
        most_kept : int
            How many bytes may be kept, 256 MiB unless given. What does not fit is computed again.

        Returns
        -------
        Evaluation

        Examples
        --------
        >>> import numpy as np, torchml_core as tm
        >>> from ase.build import bulk
        >>> d = tm.SOAP(["Si"], 5.0, n_max=8, l_max=6)
        >>> c = tm.Configuration.from_atoms(bulk("Si", cubic=True), d.cutoff, d.species)
        >>> e = d.evaluate(c)
        >>> gradient = e.vjp(2 * e.values)          # of the energy (e.values**2).sum()
        >>> bool((gradient == d.vjp(c, 2 * d.compute(c))).all())
        True
        """
        dtype = checks.real_dtype("dtype", dtype)
        most_kept = checks.whole("most_kept", most_kept, 0)
        check_configuration(configuration)
        fixed = configuration._with(configuration.positions.copy())
        view = self._view(fixed)
        kept = _descriptors.Kept(self._kernel, view, dtype, most_kept)
        values = self._compute(view, fixed, dtype, n_threads, kept)
        return Evaluation(self, fixed, values, view, kept, n_threads)

    def vjp(
        self,
        configuration: Configuration,
        dE_dD: ArrayLike,
        *,
        virial: bool = False,
        n_threads: int | None = None,
    ) -> Any:
        """Return the gradient with respect to positions of an energy that depends on the values.

        Parameters
        ----------
        configuration : Configuration
        dE_dD : (n_centers, width) array
            The gradient of the energy with respect to the values. float32 is computed in float32,
            any other type in float64.
        virial : bool
            Whether the virial is also returned, which costs almost nothing here.
        n_threads : int, optional

        Returns
        -------
        gradient : (n_particles, 3) array of dE_dD's precision
            +dE/dr for every particle, including ghosts. Forces on atoms are minus this, folded.
        W : (3, 3) float64
            Only with ``virial=True``: W = -sum over pairs of r_ij ⊗ dE/dr_ij with
            r_ij = r_j - r_i, which is **minus** the derivative of the energy with respect to
            strain, as in :class:`~torchml_core.Prediction`. Its first index is that of r_ij.
        """
        virial = checks.flag("virial", virial)
        view = self._view(configuration)
        weights = self._unnormalized(self._check_weights(configuration, dE_dD))
        gradient, W = self._vjp(view, configuration, weights, virial, n_threads)
        return (gradient, W) if virial else gradient

    def _vjp(self, view, configuration, weights, virial, n_threads, kept=None):
        out = np.zeros((configuration.n_particles, 3))
        W = np.zeros((3, 3)) if virial else None
        threads = resolve_threads(n_threads)
        fault = self._kernel.vjp(view, weights, out, W, threads, kept=kept)
        if fault != _descriptors.GOOD:
            self._check_fault(configuration, fault, weights.dtype)
        return out.astype(weights.dtype, copy=False), W

    def energy_and_gradient(
        self,
        configuration: Configuration,
        weights: ArrayLike,
        *,
        virial: bool = False,
        n_threads: int | None = None,
    ) -> Any:
        """Return the energies of a model that is linear in the values, and their gradient.

        Some descriptors (Bispectrum) compute both in one pass, which takes less time than
        :meth:`compute` and :meth:`vjp`.

        Parameters
        ----------
        configuration : Configuration
        weights : (width,) or (n_species, width) array
            The weight of each value; or different ones for each species of the center, in the order
            of the descriptor's ``species``. float32 is computed in float32, any other type in
            float64.
        virial : bool
            Whether the virial is also returned.
        n_threads : int, optional

        Returns
        -------
        energies : (n_centers,) array of the precision of the weights
            Σ_k weights_k D_k for each row.
        gradient : (n_particles, 3) array of the same precision
            The gradient of their sum, as in :meth:`vjp`.
        W : (3, 3) float64
            Only with ``virial=True``, as in :meth:`vjp`.

        Examples
        --------
        >>> import numpy as np, torchml_core as tm
        >>> from ase.build import bulk
        >>> d = tm.Bispectrum(["Si"], 4.0, 4)
        >>> c = tm.Configuration.from_atoms(bulk("Si"), d.cutoff)
        >>> energies, gradient = d.energy_and_gradient(c, np.ones(d.width))
        >>> bool(np.allclose(energies, d.compute(c).sum(axis=1)))
        True
        """
        virial = checks.flag("virial", virial)
        view = self._view(configuration)
        rows = self._weights_of_rows(configuration, weights)
        energies = np.zeros(configuration.n_centers)
        out = np.zeros((configuration.n_particles, 3))
        W = np.zeros((3, 3)) if virial else None
        threads = resolve_threads(n_threads)
        if self._kernel.with_energies:
            fault = self._kernel.vjp(view, rows, out, W, threads, energies)
            if fault == _descriptors.GOOD and not np.isfinite(energies).all():
                fault = _descriptors.NOT_FINITE
        else:
            values = _memory.empty((configuration.n_centers, self.width), rows.dtype)
            fault = self._kernel.compute(view, values, threads)
            self._check_fault(configuration, fault, rows.dtype)
            np.einsum("ij,ij->i", rows, values, out=energies)
            fault = self._kernel.vjp(view, rows, out, W, threads)
        self._check_fault(configuration, fault, rows.dtype)
        if self.mean is not None:
            energies -= rows @ self.mean
        energies = energies.astype(rows.dtype, copy=False)
        gradient = out.astype(rows.dtype, copy=False)
        return (energies, gradient, W) if virial else (energies, gradient)

    def pair_gradients(
        self, configuration: Configuration, dE_dD: ArrayLike, *, n_threads: int | None = None
    ) -> Floats:
        """Return the same gradient for each pair, before it is summed over particles.

        The virial of each particle can be computed from it. For forces and the total virial,
        :meth:`vjp` is faster.

        Parameters
        ----------
        configuration : Configuration
        dE_dD : (n_centers, width) array
            As in :meth:`vjp`.
        n_threads : int, optional

        Returns
        -------
        (n_pairs, 3) array of dE_dD's precision
            dE/dr_ij with r_ij = r_j - r_i, from the values of center i alone: the entry of i in
            the row of j contains the part from the values of j. 0 for entries beyond the cutoff.
        """
        view = self._view(configuration)
        weights = self._unnormalized(self._check_weights(configuration, dE_dD))
        out = _memory.empty((configuration.n_pairs, 3), weights.dtype)
        fault = self._kernel.pair_gradients(view, weights, out, resolve_threads(n_threads))
        self._check_fault(configuration, fault, out.dtype)
        return out

    def jvp(
        self, configuration: Configuration, dr: ArrayLike, *, n_threads: int | None = None
    ) -> Floats:
        """Return the change of the values when particles move, to first order.

        Parameters
        ----------
        configuration : Configuration
        dr : (n_particles, 3) array
            The displacement of each particle, including ghosts. float32 is computed in float32,
            any other type in float64.
        n_threads : int, optional

        Returns
        -------
        (n_centers, width) array of dr's precision
            Sum over particles of dD/dr · dr.
        """
        view = self._view(configuration)
        direction = checks.real_numbers(
            "dr", dr, (configuration.n_particles, 3), "(n_particles, 3)", keep_float32=True
        )
        out = _memory.empty((configuration.n_centers, self.width), direction.dtype)
        fault = self._kernel.jvp(
            view, direction.astype(np.float64, copy=False), out, resolve_threads(n_threads)
        )
        self._check_fault(configuration, fault, out.dtype)
        if self.std is not None:
            out /= self.std.astype(out.dtype)
        return out

    def jacobian(
        self,
        configuration: Configuration,
        *,
        dtype: DTypeLike = np.float64,
        n_threads: int | None = None,
    ) -> Jacobian:
        """Return the derivative of every value with respect to every neighbor's position.

        Forces do not need it: :meth:`vjp` needs much less memory and time. See
        :meth:`jacobian_nbytes` for its size.

        Parameters
        ----------
        configuration : Configuration
        dtype : float64 or float32
        n_threads : int, optional

        Returns
        -------
        Jacobian
        """
        view = self._view(configuration)
        shape = (configuration.n_pairs, 3, self.width)
        out = _memory.empty(shape, checks.real_dtype("dtype", dtype))
        fault = self._kernel.jacobian(view, out, resolve_threads(n_threads))
        self._check_fault(configuration, fault, out.dtype)
        if self.std is not None:
            out /= self.std.astype(out.dtype)
        return Jacobian(out, configuration)

    def jacobian_nbytes(
        self, configuration: Configuration, *, dtype: DTypeLike = np.float64
    ) -> int:
        """Return the size of ``jacobian(configuration).values`` in bytes, without computing it."""
        check_configuration(configuration)
        itemsize = checks.real_dtype("dtype", dtype).itemsize
        return configuration.n_pairs * 3 * self.width * itemsize

    def n_values(self, element: str) -> int:
        """Return the number of values of an element's atoms: width, if it is not smaller.

        In a row of :class:`~torchml_core.ElementSymmetryFunctions`, zeros follow these values.
        """
        if self.species:
            checks.one_of("element", element, self.species)
        return self.width

    def labels_of(self, element: str) -> list[str]:
        """Return a description of each value of an element's atoms, :meth:`n_values` of them."""
        if self.species:
            checks.one_of("element", element, self.species)
        return self.labels

    # ---- what a subclass defines

    def _make_kernel(self) -> _descriptors.Kernel:
        """Return the kernel with the parameters packed."""
        raise NotImplementedError(f"{type(self).__name__} does not define _make_kernel")

    # ----

    @property
    def _kernel(self):
        """The packed parameters; made when first needed, and not pickled."""
        kernel = self.__dict__.get("_packed")
        if kernel is None:
            kernel = self.__dict__["_packed"] = self._make_kernel()
        return kernel

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}

    def _view(self, configuration):
        check_configuration(configuration)
        cutoff = self.cutoff
        if configuration.cutoff is not None and configuration.cutoff < cutoff:
            configuration.require_cutoff(cutoff, f"a descriptor of cutoff {cutoff:g}")
        return _descriptors.ConfigurationView(
            configuration.positions,
            self._codes(configuration),
            configuration.centers,
            configuration.offsets,
            configuration.neighbors,
        )

    def _codes(self, configuration):
        """The species code of each particle, as the kernel has them."""
        return configuration.codes(self.species)

    def _check_weights(self, configuration, dE_dD):
        shape = (configuration.n_centers, self.width)
        return checks.real_numbers("dE_dD", dE_dD, shape, "(n_centers, width)", keep_float32=True)

    def _unnormalized(self, dE_dD):
        """dE/dD of the values before they are normalized."""
        return dE_dD if self.std is None else dE_dD / self.std.astype(dE_dD.dtype)

    def _weights_of_rows(self, configuration, weights):
        """dE/dD, before values are normalized, of energies that are linear in the values."""
        weights = checks.as_array("weights", weights, "an array of real numbers")
        one = weights.ndim < 2
        shape = (self.width,) if one else (len(self.species), self.width)
        meaning = "(width,)" if one else "(n_species, width)"
        weights = checks.real_numbers("weights", weights, shape, meaning, keep_float32=True)
        if self.std is not None:
            weights = weights / self.std.astype(weights.dtype)
        if one:
            return np.tile(weights, (configuration.n_centers, 1))
        return weights[configuration.codes(self.species)[configuration.centers]]

    def _check_fault(self, configuration, fault, dtype):
        if fault >= 0:
            entry = fault
            row = int(np.searchsorted(configuration.offsets, entry, side="right")) - 1
            i = int(configuration.centers[row])
            j = int(configuration.neighbors[entry])
            place = ", ".join(f"{x:g}" for x in configuration.positions[i])
            parents = configuration.parents
            image = ""
            if parents is not None and parents[j] != j:
                image = f" (an image of particle {int(parents[j])})"
            raise InputError(
                f"positions: particles {i} and {j}{image} are both at ({place});"
                " different positions are needed"
            )
        if fault == _descriptors.NOT_FINITE:
            raise InputError(
                f"a descriptor value is too large for {dtype}, or not a number: check the positions"
                f" and the parameters of {self!r}"
            )


def check_cutoff(name, value):
    """Return a cutoff as a float; InputError unless the squares of distances below it are finite.

    The limits are wide, since any unit of length may be used.
    """
    cutoff = checks.positive(name, value)
    if not 1e-100 <= cutoff <= 1e100:
        checks.refuse(name, value, "a length from 1e-100 to 1e+100")
    return cutoff


def check_configuration(configuration):
    """Raise InputError for what is not a Configuration."""
    if not isinstance(configuration, Configuration):
        raise InputError(
            f"configuration is a {type(configuration).__name__}; a Configuration is needed:"
            " Configuration.from_atoms(structure, cutoff, species) makes one"
        )
