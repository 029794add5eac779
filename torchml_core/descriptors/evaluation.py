"""Evaluation: values of a descriptor, with what their gradient can reuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core import checks

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike


class Evaluation:
    """Values of a descriptor, and their gradient in less time: see :meth:`Descriptor.evaluate`.

    Attributes
    ----------
    values : (n_centers, width) array
        As of :meth:`Descriptor.compute`. They may be changed in place.
    descriptor : Descriptor
    configuration : Configuration
        With a copy of the positions.
    kept_nbytes : int
        How many bytes are kept for the gradient.
    """

    def __init__(self, descriptor, configuration, values, view, kept, n_threads):
        self.descriptor, self.configuration, self.values = descriptor, configuration, values
        self.kept_nbytes = kept.nbytes
        self._dtype, self._view, self._kept = values.dtype, view, kept
        self._n_threads = n_threads

    def vjp(self, dE_dD: ArrayLike, *, virial: bool = False) -> Any:
        """Return the gradient with respect to positions, as :meth:`Descriptor.vjp` does.

        It may be called as often as needed, with different gradients.

        Parameters
        ----------
        dE_dD : (n_centers, width) array
            The gradient of the energy with respect to the values; it is rounded to their precision.
        virial : bool

        Returns
        -------
        gradient : (n_particles, 3) array of the precision of the values
        W : (3, 3) float64
            Only with ``virial=True``.
        """
        virial = checks.flag("virial", virial)
        weights = self.descriptor._check_weights(self.configuration, dE_dD)
        gradient, W = self._vjp(weights, virial)
        return (gradient, W) if virial else gradient

    def _vjp(self, dE_dD, virial):
        """The gradient, and the virial or None; dE_dD is right as it is."""
        weights = self.descriptor._unnormalized(dE_dD).astype(self._dtype, copy=False)
        return self.descriptor._vjp(
            self._view, self.configuration, weights, virial, self._n_threads, self._kept
        )

    def __reduce__(self):
        """What is kept is made again: it is large, and for this processor."""
        arguments = self.descriptor, self.configuration, self.values, self._dtype, self._n_threads
        return _made_again, arguments

    def __repr__(self):
        n, width = self.values.shape
        return f"<Evaluation: {n} rows, width {width}, {self.kept_nbytes} bytes kept>"


def _made_again(descriptor, configuration, values, dtype, n_threads):
    made = descriptor.evaluate(configuration, dtype=dtype, n_threads=n_threads)
    made.values = values  # which may have been changed
    return made
