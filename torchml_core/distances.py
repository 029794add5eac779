"""Which distances count as within a cutoff, where the cutoff itself counts.

That is in configurations, staged graphs and descriptors, but not in ``neighbor_list``.
"""

import functools
import math
import sys

# A shell of a crystal that is at the cutoff is listed as a whole, from both ends of each pair. Its
# distances differ by rounding, also that of the ghosts that another driver places: for coordinates
# below 10 000 Å and cutoffs of a few Å, by less than this, relative to the cutoff.
ROUNDING = 1e-10


def at_cutoff(cutoff):
    """Return the largest distance that counts as equal to the cutoff."""
    return min(cutoff * (1 + ROUNDING), sys.float_info.max)


@functools.lru_cache(maxsize=128)
def inclusive_limit(cutoff):
    """Return a number that all distances which count as within the cutoff are less than."""
    return math.nextafter(at_cutoff(cutoff), math.inf)


def scale_for(length):
    """Return a power of two: lengths like this one, multiplied by it, can be squared."""
    return math.ldexp(1.0, min(max(-math.frexp(length)[1], -1000), 1000))


def scaled_limit(cutoff):
    """Return ``scale_for`` a cutoff, and the largest distance that counts, multiplied by it."""
    scale = scale_for(cutoff)
    return scale, at_cutoff(cutoff) * scale
