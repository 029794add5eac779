"""The order of the six components of a symmetric tensor: Voigt's, as in ASE."""

# Rows and columns of xx yy zz yz xz xy: ``tensor[..., VOIGT[0], VOIGT[1]]``.
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
