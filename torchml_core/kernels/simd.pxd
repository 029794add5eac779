"""Explicit vectors: ``vec`` is a vector of float64 or float32 lanes, see simd.h.

Kernels keep every array as ``vec *``, aligned and padded to whole vectors; ``a * b + c`` is then
vector arithmetic whatever the compiler makes of loops. A number that is not exact in float32
needs ``splat``; 2 or 0.5 stands for itself. Never let a ``vec`` become a Python object, nor
compare two with ``<``.
"""

from libc.stdint cimport int32_t

cdef extern from "simd.h" nogil:
    enum:
        SIMD_BYTES
    ctypedef double vdouble
    ctypedef float vfloat
    vdouble simd_splat_d(double)
    vfloat simd_splat_f(float)
    vdouble simd_load_d(const double *)
    vfloat simd_load_f(const float *)
    void simd_store_d(double *, vdouble)
    void simd_store_f(float *, vfloat)
    vdouble simd_held_d(vdouble)
    vfloat simd_held_f(vfloat)
    vdouble simd_step_d(vdouble)
    vfloat simd_step_f(vfloat)
    vdouble simd_max_d(vdouble, vdouble)
    vfloat simd_max_f(vfloat, vfloat)
    vdouble simd_sqrt_d(vdouble)
    vfloat simd_sqrt_f(vfloat)
    vdouble simd_round_d(vdouble, vdouble *)
    vfloat simd_round_f(vfloat, vfloat *)
    vdouble simd_scale_d(vdouble, vdouble)
    vfloat simd_scale_f(vfloat, vfloat)
    vdouble simd_split_d(vdouble, vdouble *)
    vfloat simd_split_f(vfloat, vfloat *)
    unsigned simd_below_d(vdouble, double)
    unsigned simd_below_f(vfloat, float)
    void simd_pack_d(double *, vdouble, unsigned)
    void simd_pack_f(float *, vfloat, unsigned)
    void simd_pack_index(int32_t *, int32_t, unsigned, int)
    int simd_count(unsigned)
    void simd_transpose_d(double *, Py_ssize_t, const double *, Py_ssize_t)
    void simd_transpose_f(float *, Py_ssize_t, const float *, Py_ssize_t)
    double simd_total_d(vdouble)
    float simd_total_f(vfloat)


ctypedef fused vec:
    vfloat
    vdouble


cdef enum:
    MOST_LANES = 16  # of any type, on any processor


cdef inline Py_ssize_t lanes_of(const vec *array) noexcept nogil:
    if vec is vfloat:
        return SIMD_BYTES // 4
    else:
        return SIMD_BYTES // 8


# ---- one number of an array


cdef inline double get(const vec *array, Py_ssize_t at) noexcept nogil:
    if vec is vfloat:
        return (<const float *> array)[at]
    else:
        return (<const double *> array)[at]


cdef inline void put(vec *array, Py_ssize_t at, double x) noexcept nogil:
    if vec is vfloat:
        (<float *> array)[at] = <float> x
    else:
        (<double *> array)[at] = x


cdef inline vec *number_at(const vec *array, Py_ssize_t at) noexcept nogil:
    """The array that begins with this number; to be read number by number."""
    if vec is vfloat:
        return <vec *> (<float *> array + at)
    else:
        return <vec *> (<double *> array + at)


# ---- whole vectors. ``like`` is never read: it tells which type is meant.


cdef inline vec splat(double x, const vec *like) noexcept nogil:
    """x in every lane."""
    if vec is vfloat:
        return simd_splat_f(<float> x)
    else:
        return simd_splat_d(x)


cdef inline vec splat_at(const vec *array, Py_ssize_t at) noexcept nogil:
    """One number of an array, in every lane."""
    if vec is vfloat:
        return simd_splat_f((<const float *> array)[at])
    else:
        return simd_splat_d((<const double *> array)[at])


cdef inline vec load_at(const vec *array, Py_ssize_t at) noexcept nogil:
    """Load a vector from any place, aligned or not."""
    if vec is vfloat:
        return simd_load_f((<const float *> array) + at)
    else:
        return simd_load_d((<const double *> array) + at)


cdef inline vec held(vec x) noexcept nogil:
    """x, loaded once: compilers else load it again wherever a load is part of an instruction."""
    if vec is vfloat:
        return simd_held_f(x)
    else:
        return simd_held_d(x)


cdef inline void store_at(vec *array, Py_ssize_t at, vec x) noexcept nogil:
    """Store a vector at any place, aligned or not."""
    if vec is vfloat:
        simd_store_f((<float *> array) + at, x)
    else:
        simd_store_d((<double *> array) + at, x)


cdef inline unsigned below(vec x, double limit) noexcept nogil:
    """Which lanes are below a limit: one bit each."""
    if vec is vfloat:
        return simd_below_f(x, <float> limit)
    else:
        return simd_below_d(x, limit)


cdef inline void pack_at(vec *array, Py_ssize_t at, vec x, unsigned lanes) noexcept nogil:
    """Store these lanes without gaps, and anything behind them up to a whole vector."""
    if vec is vfloat:
        simd_pack_f((<float *> array) + at, x, lanes)
    else:
        simd_pack_d((<double *> array) + at, x, lanes)


cdef inline void fill(vec *array, Py_ssize_t begin, Py_ssize_t end, vec x) noexcept nogil:
    """Store x in begin ... end - 1, and in up to a vector more behind."""
    while begin < end:
        store_at(array, begin, x)
        begin += lanes_of(array)


cdef inline void transpose(
    vec *to, Py_ssize_t to_row, const vec *array, Py_ssize_t row
) noexcept nogil:
    """Transpose a square of as many vectors as they have lanes; rows are so many vectors apart."""
    cdef Py_ssize_t lanes = lanes_of(to)
    if vec is vfloat:
        simd_transpose_f(<float *> to, to_row * lanes, <const float *> array, row * lanes)
    else:
        simd_transpose_d(<double *> to, to_row * lanes, <const double *> array, row * lanes)


cdef inline double total(vec x) noexcept nogil:
    """The sum over the lanes."""
    if vec is vfloat:
        return simd_total_f(x)
    else:
        return simd_total_d(x)


cdef inline vec vmax(vec x, vec y) noexcept nogil:
    if vec is vfloat:
        return simd_max_f(x, y)
    else:
        return simd_max_d(x, y)


cdef inline vec vstep(vec x) noexcept nogil:
    """1 where x > 0, else 0."""
    if vec is vfloat:
        return simd_step_f(x)
    else:
        return simd_step_d(x)


cdef inline vec vsqrt(vec x) noexcept nogil:
    if vec is vfloat:
        return simd_sqrt_f(x)
    else:
        return simd_sqrt_d(x)


# ---- memory: pieces of one scratch buffer, each aligned


cdef inline void *take(char **free_bytes, Py_ssize_t n_bytes) noexcept nogil:
    """Cut n_bytes off; with a buffer that begins at 0, free_bytes ends as the size needed."""
    cdef char *piece = free_bytes[0]
    free_bytes[0] = piece + (n_bytes + 63) // 64 * 64
    return piece
