"""The order of the six components of a symmetric tensor: Voigt's, as in ASE."""

import numpy as np

# Rows and columns of xx yy zz yz xz xy: ``tensor[..., VOIGT[0], VOIGT[1]]``.
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
_PAIRS = tuple(zip(*VOIGT, strict=True))


def as_voigt(tensor):
    """Return the six components, (..., 6), of the symmetric part of (..., 3, 3) float64."""
    if tensor.ndim == 2:  # in each step of a simulation: the same, with fewer calls of numpy
        T = tensor.tolist()
        return np.array([(T[a][b] + T[b][a]) / 2 for a, b in _PAIRS])
    return (tensor[..., VOIGT[0], VOIGT[1]] + tensor[..., VOIGT[1], VOIGT[0]]) / 2
