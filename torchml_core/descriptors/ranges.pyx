"""How many values of a descriptor are outside of ranges: one pass, while they are in cache."""

from libc.stdint cimport int32_t, int64_t


def count_outside(
    const double[:, ::1] values,
    const int32_t[::1] species,
    const double[:, ::1] lower,
    const double[:, ::1] upper,
):
    """Return how many values are below or above those of their atom's species.

    Parameters
    ----------
    values : (n, width) float64
    species : (n,) int32
        Row of ``lower`` and ``upper`` for each row of values.
    lower, upper : (n_species, width) float64
    """
    cdef Py_ssize_t n = values.shape[0], width = values.shape[1], row
    cdef int64_t found = 0
    with nogil:
        for row in range(n):
            found += outside(
                &values[row, 0], &lower[species[row], 0], &upper[species[row], 0], width
            )
    return found


cdef int64_t outside(
    const double *values, const double *lower, const double *upper, Py_ssize_t n
) noexcept nogil:
    cdef int64_t found = 0
    cdef Py_ssize_t k
    for k in range(n):
        found += (values[k] < lower[k]) | (values[k] > upper[k])
    return found
