"""Power spectra of a group of atoms, one in each lane:  p_(q n, q' n') l = Σ_m c_qnlm c_q'n'lm.

For each l this is one symmetric matrix, C^T C with C of shape (m, (q, n)); values are its upper
triangle. For an energy with dE/dp put into a symmetric matrix V (twice on the diagonal, 0 where
there is no value),  dE/dC = C V.

Lanes are atoms: every sum is lane by lane, whatever n_max and l_max are. Only at the end are values
transposed, in the order in which they are stored.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.density.kernel.coefficients cimport write_rows
from torchml_core.simd.vectors cimport SIMD_BYTES, held_pointer, lanes_of, splat, total, vec

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """

cdef enum:
    COLUMNS = 8                 # of a row, as many sums at a time
    ROWS = 13                   # m of a column
    ENOUGH = 128                # values, to be stored


# ---- values and changes


cdef inline void columns_of(
    int n_columns, bint tangents, int l_max, Py_ssize_t row, const vec *left, const vec *right,
    const vec *left_dot, const vec *right_dot, vec *out,
) noexcept nogil:
    """Σ_m of the first of ``left`` with n_columns of ``right``; inlined with constants."""
    cdef vec[COLUMNS] sums
    cdef vec x, x_dot
    cdef int l, _, j
    x_dot = splat(0, out)
    for l in range(l_max + 1):
        for j in range(n_columns):
            sums[j] = splat(0, out)
        for _ in range(2 * l + 1):
            x = left[0]
            if tangents:
                x_dot = left_dot[0]
            for j in range(n_columns):
                if tangents:
                    sums[j] = sums[j] + x * right_dot[j] + x_dot * right[j]
                else:
                    sums[j] = sums[j] + x * right[j]
            left += row
            right += row
            if tangents:
                left_dot += row
                right_dot += row
        for j in range(n_columns):
            out[j * (l_max + 1) + l] = sums[j]


cdef inline void some_columns(
    Py_ssize_t n_columns, bint tangents, int l_max, Py_ssize_t row, const vec *left,
    const vec *right, const vec *left_dot, const vec *right_dot, vec *out,
) noexcept nogil:
    """Call the instance for this number of columns."""
    if n_columns == 8:
        columns_of(8, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 7:
        columns_of(7, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 6:
        columns_of(6, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 5:
        columns_of(5, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 4:
        columns_of(4, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 3:
        columns_of(3, tangents, l_max, row, left, right, left_dot, right_dot, out)
    elif n_columns == 2:
        columns_of(2, tangents, l_max, row, left, right, left_dot, right_dot, out)
    else:
        columns_of(1, tangents, l_max, row, left, right, left_dot, right_dot, out)


cdef Py_ssize_t values_at_once(const PowerSpectrumPlan *plan) noexcept nogil:
    """How many vectors of values are computed before they are stored."""
    return ENOUGH + plan.n_max * (plan.l_max + 1)


cdef inline void all_values(
    const PowerSpectrumPlan *plan, bint tangents, const vec *coefficients, const vec *changes,
    Py_ssize_t n_environments, vec *values, vec *out, vec *bad,
) noexcept nogil:
    cdef Py_ssize_t n = plan.n_max, n_l = plan.l_max + 1, row = plan.n_channels * n
    cdef Py_ssize_t stored = 0, filled = 0, q, other, i, j, some, whole, k
    cdef const vec *left
    cdef const vec *left_dot
    for q in range(plan.n_channels):
        for other in range(q, plan.n_channels):
            for i in range(q * n, (q + 1) * n):
                left = coefficients + i
                left_dot = changes + i
                j = other * n
                if q == other or plan.places[i * row + j] < 0:
                    j += i - q * n
                while j < (other + 1) * n:
                    some = min(COLUMNS, (other + 1) * n - j)
                    some_columns(
                        some, tangents, plan.l_max, row, left, coefficients + j, left_dot,
                        changes + j, values + filled,
                    )
                    filled += some * n_l
                    j += some
                if filled >= ENOUGH:
                    whole = filled // lanes_of(out) * lanes_of(out)
                    write_rows(
                        values, stored, stored + whole, plan.width, n_environments, out, bad
                    )
                    stored += whole
                    filled -= whole
                    for k in range(filled):
                        values[k] = values[whole + k]
    write_rows(values, stored, plan.width, plan.width, n_environments, out, bad)


cdef void power_spectrum(
    const PowerSpectrumPlan *plan, const vec *coefficients, Py_ssize_t n_environments, vec *values,
    vec *out, bint *not_finite,
) noexcept nogil:
    """``out`` (n_environments, width): the values. ``values``: memory for values_at_once.

    ``not_finite``: NULL, or: store values past the caches, and set it if one is not finite.
    """
    cdef vec bad = splat(0, out)
    cdef vec *found = NULL if not_finite == NULL else &bad
    all_values(plan, False, coefficients, coefficients, n_environments, values, out, found)
    if not_finite != NULL and not total(bad) == 0:
        not_finite[0] = True


cdef void power_spectrum_jvp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *changes,
    Py_ssize_t n_environments, vec *values, vec *out,
) noexcept nogil:
    """The same of their changes for a change of the coefficients."""
    all_values(
        plan, True, coefficients, changes, n_environments, values, out, <vec *> NULL
    )


# ---- vjp


cdef inline vec weight_of(
    const int32_t *places, Py_ssize_t i, Py_ssize_t j, int l, const vec *by_value
) noexcept nogil:
    """Element (i, j) of V; ``places``: of row i."""
    if places[j] < 0:
        return splat(0, by_value)
    if i == j:
        return 2 * by_value[places[j] + l]
    return by_value[places[j] + l]


cdef inline void gradient_of(
    int n_rows, int n_columns, const PowerSpectrumPlan *plan, Py_ssize_t i, int l,
    const vec *coefficients, const vec *by_value, vec *gradient,
) noexcept nogil:
    """n_rows rows of column i of C V for one l, or of two columns; inlined with constants."""
    cdef vec[ROWS] sums
    cdef vec[ROWS] sums_of_next
    cdef vec weight, weight_of_next
    cdef Py_ssize_t row = plan.n_channels * plan.n_max, j
    cdef const int32_t *places = plan.places + i * row
    cdef const vec *c
    cdef int m
    weight_of_next = splat(0, gradient)
    for m in range(n_rows):
        sums[m] = sums_of_next[m] = splat(0, gradient)
    for j in range(row):
        weight = weight_of(places, i, j, l, by_value)
        if n_columns == 2:
            weight_of_next = weight_of(places + row, i + 1, j, l, by_value)
        c = coefficients + j
        for m in range(n_rows):
            sums[m] = sums[m] + weight * c[0]
            if n_columns == 2:
                sums_of_next[m] = sums_of_next[m] + weight_of_next * c[0]
            c = held_pointer(c + row)
    for m in range(n_rows):
        gradient[m * row + i] = sums[m]
        if n_columns == 2:
            gradient[m * row + i + 1] = sums_of_next[m]


cdef inline void some_rows(
    Py_ssize_t n_rows, int n_columns, const PowerSpectrumPlan *plan, Py_ssize_t i, int l,
    const vec *coefficients, const vec *by_value, vec *gradient,
) noexcept nogil:
    """Call the instance for this number of rows; n_columns is a constant."""
    if n_rows == 13:
        gradient_of(13, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 12:
        gradient_of(12, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 11:
        gradient_of(11, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 10:
        gradient_of(10, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 9:
        gradient_of(9, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 8:
        gradient_of(8, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 7:
        gradient_of(7, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 6:
        gradient_of(6, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 5:
        gradient_of(5, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 4:
        gradient_of(4, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 3:
        gradient_of(3, n_columns, plan, i, l, coefficients, by_value, gradient)
    elif n_rows == 2:
        gradient_of(2, n_columns, plan, i, l, coefficients, by_value, gradient)
    else:
        gradient_of(1, n_columns, plan, i, l, coefficients, by_value, gradient)


cdef void power_spectrum_vjp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *by_value, vec *gradient
) noexcept nogil:
    """Set gradient, dE/dc, from by_value (width,), dE/dp."""
    cdef Py_ssize_t row = plan.n_channels * plan.n_max, i, n_rows
    cdef const vec *c
    cdef vec *out
    cdef int l, first
    for l in range(plan.l_max + 1):
        first = l * l
        while first < (l + 1) * (l + 1):
            n_rows = min(ROWS, (l + 1) * (l + 1) - first)
            c = coefficients + first * row
            out = gradient + first * row
            i = 0
            while i < row:
                if SIMD_BYTES == 64 and i + 1 < row:  # there are registers for two
                    some_rows(n_rows, 2, plan, i, l, c, by_value, out)
                    i += 2
                else:
                    some_rows(n_rows, 1, plan, i, l, c, by_value, out)
                    i += 1
            first += n_rows
