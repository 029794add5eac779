"""Explicit vectors: ``vec`` is a vector of float64 or of float32 lanes, see simd.h.

HOW TO READ A KERNEL. A kernel is written once, for both precisions: ``vec`` is a fused type, and
Cython makes two functions of each that has it in its arguments.

``vec x``       A vector: 16 to 64 bytes, as wide as the processor has them. ``a * b + c`` is vector
                arithmetic, whatever a compiler makes of loops. A number that is not exact in
                float32 needs ``splat``; 2 or 0.5 needs nothing. Vectors are never compared with
                ``<`` and never become Python objects.
``vec *array``  An array in the kernel's precision: vectors, ``array[v]``, or the same numbers one
                by one, ``get(array, i)`` and ``put(array, i, x)``; (n,) in comments: n numbers.
                Those of the caller (``out``, ``env.dE_dD``) are not aligned: single numbers,
                ``load_at`` and ``store_at`` only.
``type_tag``    A ``vec *`` that is never read: it says which precision is meant where no other
                argument does. Any array will do, or ``<const vfloat *> NULL``.
``void *``      Arrays in structs, which have no fused members; cast on entry.
scratch         One buffer per thread. ``lay_out_...`` functions ``carve`` arrays off it, each at a
                multiple of 64 bytes; off a buffer that begins at 0, which gives the size needed.
padding         Arrays over neighbors or triplets are filled up to whole vectors with entries that
                count nothing (fc = 0), and loops run over vectors. Sums are kept lane by lane and
                added up once, by ``total``.
purpose         VALUES, GRADIENTS or TANGENTS (verbs.pxd): what is wanted, and so what is computed.
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
    vdouble simd_doubles_d(const double *)
    vfloat simd_doubles_f(const double *)
    vdouble simd_gather_d(const double *, const int32_t *, double)
    vfloat simd_gather_f(const double *, const int32_t *, double)
    const double *simd_numbers
    void simd_store_d(double *, vdouble)
    void simd_store_f(float *, vfloat)
    vdouble simd_held_d(vdouble)
    vfloat simd_held_f(vfloat)
    const void *simd_held_pointer(const void *)
    vdouble simd_step_d(vdouble)
    vfloat simd_step_f(vfloat)
    vdouble simd_max_d(vdouble, vdouble)
    vfloat simd_max_f(vfloat, vfloat)
    vdouble simd_sqrt_d(vdouble)
    vfloat simd_sqrt_f(vfloat)
    vdouble simd_rsqrt_d(vdouble)
    vfloat simd_rsqrt_f(vfloat)
    vdouble simd_abs_d(vdouble)
    vfloat simd_abs_f(vfloat)
    vdouble simd_pick_d(vdouble, vdouble, vdouble)
    vfloat simd_pick_f(vfloat, vfloat, vfloat)
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
    void simd_fill_index(int32_t *, int32_t, int)
    int simd_count(unsigned)
    vdouble simd_even_d(vdouble, vdouble)
    vfloat simd_even_f(vfloat, vfloat)
    vdouble simd_odd_d(vdouble, vdouble)
    vfloat simd_odd_f(vfloat, vfloat)
    vdouble simd_zip_d(vdouble, vdouble)
    vfloat simd_zip_f(vfloat, vfloat)
    vdouble simd_zip_end_d(vdouble, vdouble)
    vfloat simd_zip_end_f(vfloat, vfloat)
    vdouble simd_repeat_d(const double *, int)
    vfloat simd_repeat_f(const float *, int)
    void simd_transpose_d(double *, Py_ssize_t, const double *, Py_ssize_t)
    void simd_transpose_f(float *, Py_ssize_t, const float *, Py_ssize_t)
    bint simd_stream_d(double *, const double *, Py_ssize_t)
    bint simd_stream_f(float *, const float *, Py_ssize_t)
    void simd_store_past_d(double *, vdouble)
    void simd_store_past_f(float *, vfloat)
    void simd_end_stream()
    bint simd_finite_d(const double *, Py_ssize_t)
    bint simd_finite_f(const float *, Py_ssize_t)
    vdouble simd_whole(vdouble, int32_t *)
    double simd_total_d(vdouble)
    float simd_total_f(vfloat)
    void simd_four_totals_d(const vdouble *, double *)
    void simd_four_totals_f(const vfloat *, float *)


ctypedef fused vec:
    vfloat
    vdouble


cdef enum:
    MOST_LANES = 16  # of any type, on any processor


cdef inline Py_ssize_t lanes_of(const vec *type_tag) noexcept nogil:
    """Numbers in a vector."""
    if vec is vfloat:
        return SIMD_BYTES // 4
    else:
        return SIMD_BYTES // 8


cdef inline Py_ssize_t vectors_for(Py_ssize_t n, const vec *type_tag) noexcept nogil:
    """How many vectors hold n numbers."""
    return (n + lanes_of(type_tag) - 1) // lanes_of(type_tag)


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
    """The array that begins with this number, for reading number by number."""
    if vec is vfloat:
        return <vec *> (<float *> array + at)
    else:
        return <vec *> (<double *> array + at)


# ---- whole vectors


cdef inline vec splat(double x, const vec *type_tag) noexcept nogil:
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


cdef inline vec load_doubles(
    const double *array, Py_ssize_t at, const vec *type_tag
) noexcept nogil:
    """Load float64 numbers, in either precision."""
    if vec is vfloat:
        return simd_doubles_f(array + at)
    else:
        return simd_doubles_d(array + at)


cdef inline vec gather_doubles(
    const double *array, const int32_t *numbers, double other, const vec *type_tag
) noexcept nogil:
    """Those of float64 numbers that are listed, one for each lane; ``other`` for those below 0."""
    if vec is vfloat:
        return simd_gather_f(array, numbers, other)
    else:
        return simd_gather_d(array, numbers, other)


cdef inline vec lane_numbers(const vec *type_tag) noexcept nogil:
    """0, 1, 2 ..."""
    return load_doubles(simd_numbers, 0, type_tag)


cdef inline vec repeat_at(const vec *array, Py_ssize_t at, int n) noexcept nogil:
    """n numbers of an array (1, 2 or 4, but no more than lanes), over and over in all lanes."""
    if vec is vfloat:
        return simd_repeat_f((<const float *> array) + at, n)
    else:
        return simd_repeat_d((<const double *> array) + at, n)


cdef inline vec evens(vec x, vec y) noexcept nogil:
    """The even lanes of x, then of y."""
    if vec is vfloat:
        return simd_even_f(x, y)
    else:
        return simd_even_d(x, y)


cdef inline vec odds(vec x, vec y) noexcept nogil:
    if vec is vfloat:
        return simd_odd_f(x, y)
    else:
        return simd_odd_d(x, y)


cdef inline vec zipped(vec x, vec y) noexcept nogil:
    """x[0], y[0], x[1], y[1] ...: the first half of this sequence."""
    if vec is vfloat:
        return simd_zip_f(x, y)
    else:
        return simd_zip_d(x, y)


cdef inline vec zipped_end(vec x, vec y) noexcept nogil:
    """The second half of it."""
    if vec is vfloat:
        return simd_zip_end_f(x, y)
    else:
        return simd_zip_end_d(x, y)


cdef inline vec held(vec x) noexcept nogil:
    """x in a register: compilers otherwise load it again wherever an instruction can load."""
    if vec is vfloat:
        return simd_held_f(x)
    else:
        return simd_held_d(x)


cdef inline const vec *held_pointer(const vec *array) noexcept nogil:
    """The same array, in a register: compilers otherwise make a pointer of each sum of offsets to
    it, more than there are registers for."""
    return <const vec *> simd_held_pointer(array)


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
    """Store these lanes without gaps, and anything after them up to a whole vector."""
    if vec is vfloat:
        simd_pack_f((<float *> array) + at, x, lanes)
    else:
        simd_pack_d((<double *> array) + at, x, lanes)


cdef inline void fill(vec *array, Py_ssize_t begin, Py_ssize_t end, vec x) noexcept nogil:
    """Store x in begin ... end - 1, and in up to a vector after them."""
    while begin < end:
        store_at(array, begin, x)
        begin += lanes_of(array)


cdef inline void transpose(
    vec *to, Py_ssize_t to_row, const vec *array, Py_ssize_t row
) noexcept nogil:
    """Transpose a square of as many vectors as they have lanes; rows are in vectors."""
    cdef Py_ssize_t lanes = lanes_of(to)
    if vec is vfloat:
        simd_transpose_f(<float *> to, to_row * lanes, <const float *> array, row * lanes)
    else:
        simd_transpose_d(<double *> to, to_row * lanes, <const double *> array, row * lanes)


cdef inline bint stream(const vec *array, Py_ssize_t n, vec *to, Py_ssize_t at) noexcept nogil:
    """Copy n numbers past the caches, see simd.h, and return whether they are finite."""
    if vec is vfloat:
        return simd_stream_f((<float *> to) + at, <const float *> array, n)
    else:
        return simd_stream_d((<double *> to) + at, <const double *> array, n)


cdef inline void store_past(vec *array, Py_ssize_t at, vec x) noexcept nogil:
    """Store a vector past the caches, at a multiple of its length."""
    if vec is vfloat:
        simd_store_past_f((<float *> array) + at, x)
    else:
        simd_store_past_d((<double *> array) + at, x)


cdef inline bint finite(const vec *array, Py_ssize_t n) noexcept nogil:
    """Whether all of n numbers are."""
    if vec is vfloat:
        return simd_finite_f(<const float *> array, n)
    else:
        return simd_finite_d(<const double *> array, n)


cdef inline double total(vec x) noexcept nogil:
    """The sum over the lanes."""
    if vec is vfloat:
        return simd_total_f(x)
    else:
        return simd_total_d(x)


cdef inline void four_totals(const vec *array, vec *totals) noexcept nogil:
    """``totals`` (4,) numbers: those of four vectors, as ``total`` has them."""
    if vec is vfloat:
        simd_four_totals_f(array, <float *> totals)
    else:
        simd_four_totals_d(array, <double *> totals)


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


cdef inline vec vrsqrt(vec x) noexcept nogil:
    """1/sqrt(x) for normal x > 0, good to the last digit or two."""
    if vec is vfloat:
        return simd_rsqrt_f(x)
    else:
        return simd_rsqrt_d(x)


cdef inline vec vabs(vec x) noexcept nogil:
    if vec is vfloat:
        return simd_abs_f(x)
    else:
        return simd_abs_d(x)


cdef inline vec vpick(vec x, vec positive, vec other) noexcept nogil:
    """``positive`` where x > 0, else ``other``."""
    if vec is vfloat:
        return simd_pick_f(x, positive, other)
    else:
        return simd_pick_d(x, positive, other)


cdef inline void interleave(vec *v, int n) noexcept nogil:
    """From n vectors (1, 2 or 4) one after another to their numbers in turn."""
    cdef vec a, b, c, d
    if n == 2:
        a, b = v[0], v[1]
        v[0], v[1] = zipped(a, b), zipped_end(a, b)
    elif n == 4:
        a, b = zipped(v[0], v[2]), zipped_end(v[0], v[2])
        c, d = zipped(v[1], v[3]), zipped_end(v[1], v[3])
        v[0], v[1], v[2], v[3] = zipped(a, c), zipped_end(a, c), zipped(b, d), zipped_end(b, d)


# ---- memory: pieces of one scratch buffer, each aligned


cdef inline void *carve(char **free_bytes, Py_ssize_t n_bytes) noexcept nogil:
    """Cut n_bytes off; with a buffer that begins at 0, free_bytes ends as the size needed."""
    cdef char *piece = free_bytes[0]
    free_bytes[0] = piece + (n_bytes + 63) // 64 * 64
    return piece
