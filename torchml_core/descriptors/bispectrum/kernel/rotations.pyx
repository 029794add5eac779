"""Neighbors as rotations, several environments side by side: one lane for each.

A neighbor at distance R in direction (x, y, z)/R becomes the rotation whose Cayley-Klein parameters
are

    a = (z0 - i z)/√(R² + z0²),   b = (y - i x)/√(R² + z0²),   z0 = R/tan(θ0)
    θ0 = rfac0 π (R - rmin0)/(rc - rmin0)

that is, with S = |sin(θ0)|/R: ā = ±cos(θ0) + i S z and b̄ = S (y + i x), where the sign is that of
sin(θ0). Both have the period π in θ0, so θ0 is first reduced to -π/2 ... π/2. At θ0 = 0, where z0
is infinite, the limit from above counts, at π the limit from below: nothing is divided by 0.

(A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015); the formulas are those of LAMMPS.)
"""

from torchml_core.kernels.verbs cimport TANGENTS, VALUES
from torchml_core.simd.elementary cimport vsincos
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, lanes_of, put, simd_round_d, simd_round_f, splat, vec, vfloat,
    vmax, vstep,
)

cdef enum:
    ARRAYS = 22                 # of vectors

cdef double PI = 3.141592653589793


cdef void lay_out_rotations(
    Rotations *rotations, const RotationPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut the arrays for environments of up to n neighbors off the scratch buffer."""
    cdef Py_ssize_t most = n * min(plan.n_channels, MOST_LANES), n_bytes = most * SIMD_BYTES
    rotations.end = <Py_ssize_t *> carve(free_bytes, plan.n_channels * sizeof(Py_ssize_t))
    rotations.source = <int32_t *> carve(free_bytes, most * MOST_LANES * sizeof(int32_t))
    rotations.species = <int32_t *> carve(free_bytes, most * MOST_LANES * sizeof(int32_t))
    rotations.x = carve(free_bytes, n_bytes)
    rotations.y = carve(free_bytes, n_bytes)
    rotations.z = carve(free_bytes, n_bytes)
    rotations.r = carve(free_bytes, n_bytes)
    rotations.weight = carve(free_bytes, n_bytes)
    rotations.per_length = carve(free_bytes, n_bytes)
    rotations.a_re = carve(free_bytes, n_bytes)
    rotations.a_im = carve(free_bytes, n_bytes)
    rotations.b_re = carve(free_bytes, n_bytes)
    rotations.b_im = carve(free_bytes, n_bytes)
    rotations.cosine = carve(free_bytes, n_bytes)
    rotations.f = carve(free_bytes, n_bytes)
    rotations.ratio = carve(free_bytes, n_bytes)
    rotations.a_slope = carve(free_bytes, n_bytes)
    rotations.ratio_slope = carve(free_bytes, n_bytes)
    rotations.f_slope = carve(free_bytes, n_bytes)
    rotations.a_re_dot = carve(free_bytes, n_bytes)
    rotations.a_im_dot = carve(free_bytes, n_bytes)
    rotations.b_re_dot = carve(free_bytes, n_bytes)
    rotations.b_im_dot = carve(free_bytes, n_bytes)
    rotations.cosine_dot = carve(free_bytes, n_bytes)
    rotations.f_dot = carve(free_bytes, n_bytes)


# ---- gathering


cdef Py_ssize_t gather_neighbors(
    Rotations *rotations, const RotationPlan *plan, const Environment *group,
    Py_ssize_t n_environments, const vec *type_tag,
) noexcept nogil:
    """Fill the arrays up to per_length, channel by channel; return how many vectors they have.

    In each lane the neighbors of a channel keep their order. Those that fewer lanes have are padded
    with weight 0.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), begin = 0, longest, lane, n, v
    cdef int channel
    for channel in range(plan.n_channels):
        longest = 0
        for lane in range(n_environments):
            longest = max(longest, count_of_channel(plan, &group[lane], channel))
        if plan.n_species == 1:
            for v in range(begin, begin + longest):
                (<vec *> rotations.weight)[v] = splat(plan.weights[0], type_tag)
                (<vec *> rotations.per_length)[v] = splat(plan.per_length[0], type_tag)
        for lane in range(lanes):
            n = 0
            if lane < n_environments:
                n = gather_lane(rotations, plan, &group[lane], channel, begin, lane, type_tag)
            for v in range(begin + n, begin + longest):
                pad(rotations, plan, v * lanes + lane, type_tag)
        begin += longest
        rotations.end[channel] = begin
    return begin


cdef inline Py_ssize_t count_of_channel(
    const RotationPlan *plan, const Environment *env, int channel
) noexcept nogil:
    cdef Py_ssize_t n = 0, j
    if plan.n_channels == 1:
        return env.n
    for j in range(env.n):
        n += plan.channels[env.neighbor_species[j]] == channel
    return n


cdef inline Py_ssize_t gather_lane(
    Rotations *rotations, const RotationPlan *plan, const Environment *env, int channel,
    Py_ssize_t begin, Py_ssize_t lane, const vec *type_tag,
) noexcept nogil:
    """Store the neighbors of a channel in one lane; return how many there are."""
    # All pointers are local: behind each number that is stored, compilers load others again.
    cdef Py_ssize_t lanes = lanes_of(type_tag), at = begin * lanes + lane, n = 0, n_all = env.n, j
    cdef const double *x = env.x
    cdef const double *y = env.y
    cdef const double *z = env.z
    cdef const double *r = env.r
    cdef const int32_t *all_species = env.neighbor_species
    cdef vec *to_x = <vec *> rotations.x
    cdef vec *to_y = <vec *> rotations.y
    cdef vec *to_z = <vec *> rotations.z
    cdef vec *to_r = <vec *> rotations.r
    cdef int32_t *source = rotations.source
    cdef bint several = plan.n_species > 1, chemical = plan.n_channels > 1
    cdef bint inside = plan.switches_inside
    cdef int first = env.species * plan.n_species, species
    for j in range(n_all):
        species = all_species[j]
        if chemical and plan.channels[species] != channel:
            continue
        source[at] = <int32_t> j
        put(to_x, at, x[j])
        put(to_y, at, y[j])
        put(to_z, at, z[j])
        put(to_r, at, r[j])
        if several:  # else gather_neighbors does it, vector by vector
            put(<vec *> rotations.weight, at, plan.weights[species])
            put(<vec *> rotations.per_length, at, plan.per_length[first + species])
        if inside:
            rotations.species[at] = first + species
        at += lanes
        n += 1
    return n


cdef inline void pad(
    Rotations *rotations, const RotationPlan *plan, Py_ssize_t at, const vec *type_tag
) noexcept nogil:
    """An entry that counts nothing, in the middle between rmin0 and a cutoff, above the center."""
    cdef double r = plan.rmin0 + 0.5 / plan.per_length[0]
    rotations.source[at] = -1
    rotations.species[at] = 0
    put(<vec *> rotations.x, at, 0)
    put(<vec *> rotations.y, at, 0)
    put(<vec *> rotations.z, at, r)
    put(<vec *> rotations.r, at, r)
    put(<vec *> rotations.weight, at, 0)
    put(<vec *> rotations.per_length, at, plan.per_length[0])


# ---- mapping


cdef inline vec rounded(vec x) noexcept nogil:
    """The nearest whole number."""
    cdef vec unused
    if vec is vfloat:
        return simd_round_f(x, &unused)
    else:
        return simd_round_d(x, &unused)


cdef inline vec inner_switch(
    const RotationPlan *plan, const int32_t *species, vec r, vec *slope
) noexcept nogil:
    """0 below sinner - dinner, 1 above sinner + dinner, a quarter of a cosine wave between."""
    cdef Py_ssize_t lane
    cdef vec center, per_width, q, sine, cosine, quarter = splat(PI / 4, &r)
    for lane in range(lanes_of(&r)):
        put(&center, lane, plan.inner_centers[species[lane]])
        put(&per_width, lane, plan.per_inner_width[species[lane]])
    q = vmax((r - center) * per_width, splat(-1, &r))
    q = -vmax(-q, splat(-1, &r))
    sine = vsincos(quarter * (q + 1), &cosine)
    # at both ends sine * cosine is 0 up to rounding
    slope[0] = 2 * sine * cosine * quarter * per_width
    return sine * sine


cdef void map_onto_rotations(
    Rotations *rotations, const RotationPlan *plan, const Environment *group, Purpose purpose,
    const vec *type_tag,
) noexcept nogil:
    """Fill the other arrays, as far as the purpose needs them, from those that are gathered."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), v
    cdef vec one = splat(1, type_tag), pi = splat(PI, type_tag), rfac0 = splat(plan.rfac0, type_tag)
    cdef vec r, q, turns, sine, cosine, sign, ratio, f, f_slope, inner, inner_slope, theta_slope
    cdef vec a_re, b_re, b_im, x, y, z
    for v in range(rotations.end[plan.n_channels - 1]):
        r = (<vec *> rotations.r)[v]
        x = (<vec *> rotations.x)[v]
        y = (<vec *> rotations.y)[v]
        z = (<vec *> rotations.z)[v]
        q = (r - splat(plan.rmin0, type_tag)) * (<vec *> rotations.per_length)[v]
        turns = rounded(q * rfac0)
        sine = vsincos(pi * (q * rfac0 - turns), &cosine)
        # 1 or -1: where the sine is 0, that of an angle a little nearer to π/2
        sign = 2 * vstep(sine + splat(1e-30, type_tag) * (splat(0.5, type_tag) - turns)) - one
        ratio = sign * sine / r
        a_re = sign * cosine
        b_re = ratio * y
        b_im = ratio * x
        (<vec *> rotations.a_re)[v] = a_re
        (<vec *> rotations.a_im)[v] = ratio * z
        (<vec *> rotations.b_re)[v] = b_re
        (<vec *> rotations.b_im)[v] = b_im
        (<vec *> rotations.cosine)[v] = one - 2 * (b_re * b_re + b_im * b_im)
        f = one
        f_slope = splat(0, type_tag)
        if plan.switches:
            q = vmax(q, splat(0, type_tag))
            sine = vsincos(splat(PI / 2, type_tag) * q, &f)
            f_slope = -pi * (<vec *> rotations.per_length)[v] * f * sine
            f = f * f
        if plan.switches_inside:
            inner = inner_switch(plan, rotations.species + v * lanes, r, &inner_slope)
            f_slope = f_slope * inner + f * inner_slope
            f = f * inner
        (<vec *> rotations.f)[v] = f * (<vec *> rotations.weight)[v]
        if purpose == VALUES:
            continue
        theta_slope = pi * rfac0 * (<vec *> rotations.per_length)[v]
        (<vec *> rotations.ratio)[v] = ratio
        (<vec *> rotations.a_slope)[v] = -ratio * r * theta_slope
        (<vec *> rotations.ratio_slope)[v] = (a_re * theta_slope - ratio) / r
        (<vec *> rotations.f_slope)[v] = f_slope * (<vec *> rotations.weight)[v]
    if purpose == TANGENTS:
        map_directions(rotations, plan, group, type_tag)


cdef inline void map_directions(
    Rotations *rotations, const RotationPlan *plan, const Environment *group, const vec *type_tag
) noexcept nogil:
    """Fill the changes along the directions."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), v, lane, j
    cdef vec dx, dy, dz, x, y, z, r_dot, ratio, ratio_dot, b_re_dot, b_im_dot, zero
    zero = splat(0, type_tag)
    for v in range(rotations.end[plan.n_channels - 1]):
        dx = dy = dz = zero
        for lane in range(lanes):
            j = rotations.source[v * lanes + lane]
            if j >= 0:
                put(&dx, lane, group[lane].dx[j])
                put(&dy, lane, group[lane].dy[j])
                put(&dz, lane, group[lane].dz[j])
        x = (<vec *> rotations.x)[v]
        y = (<vec *> rotations.y)[v]
        z = (<vec *> rotations.z)[v]
        r_dot = (x * dx + y * dy + z * dz) / (<vec *> rotations.r)[v]
        ratio = (<vec *> rotations.ratio)[v]
        ratio_dot = (<vec *> rotations.ratio_slope)[v] * r_dot
        b_re_dot = ratio_dot * y + ratio * dy
        b_im_dot = ratio_dot * x + ratio * dx
        (<vec *> rotations.a_re_dot)[v] = (<vec *> rotations.a_slope)[v] * r_dot
        (<vec *> rotations.a_im_dot)[v] = ratio_dot * z + ratio * dz
        (<vec *> rotations.b_re_dot)[v] = b_re_dot
        (<vec *> rotations.b_im_dot)[v] = b_im_dot
        (<vec *> rotations.cosine_dot)[v] = -(4 * (
            (<vec *> rotations.b_re)[v] * b_re_dot + (<vec *> rotations.b_im)[v] * b_im_dot
        ))
        (<vec *> rotations.f_dot)[v] = (<vec *> rotations.f_slope)[v] * r_dot
