"""Which distances count as within a cutoff, where the cutoff itself counts.

That is in configurations, staged graphs and descriptors, but not in ``neighbor_list``.
"""

import math

import numpy as np

# A shell of a crystal that is at the cutoff is listed as a whole, from both ends of each pair. Its
# distances differ by rounding, also that of the ghosts that another driver places: for coordinates
# below 10 000 Å and cutoffs of a few Å, by less than this, relative to the cutoff.
ROUNDING = 1e-10


def at_cutoff(cutoff):
    """Return the largest distance that counts as equal to the cutoff."""
    return min(cutoff * (1 + ROUNDING), np.finfo(np.float64).max)


def scaled_limit(cutoff):
    """Return a power of two, and the largest distance that counts, multiplied by it.

    Distances multiplied by it can be squared and compared, whatever the magnitude of the cutoff.
    """
    exponent = min(max(-math.frexp(cutoff)[1], -1000), 1000)
    return math.ldexp(1.0, exponent), math.ldexp(at_cutoff(cutoff), exponent)
