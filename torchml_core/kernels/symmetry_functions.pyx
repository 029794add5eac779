"""Behler-Parrinello symmetry functions g1-g5 of one environment, and their derivatives.

NOTATION  r_j = x_j - x_i, R_j its length, fc the cutoff function of the pair of species; for
neighbors j < k: θ the angle between r_j and r_k, R_jk the distance of j and k.

    g1 = Σ_j fc(R_j)       g2 = Σ_j exp(-η (R_j - Rs)²) fc(R_j)       g3 = Σ_j cos(κ R_j) fc(R_j)
    g4 = Σ_{j<k} a(cosθ) exp(-η S) C,   S = R_j² + R_k² + R_jk²,   C = fc(R_j) fc(R_k) fc(R_jk)
    g5 = the same with                  S = R_j² + R_k²,           C = fc(R_j) fc(R_k)
    a(cosθ) = 2^(1-ζ) (1 + λ cosθ)^ζ, and 0 where 1 + λ cosθ <= 0

(J. Behler, J. Chem. Phys. 134, 074106 (2011).) A triplet depends on the positions through the
three numbers cosθ, S and C alone. So each loop below takes these and their gradients from one
function, and a row of parameters adds one exponential and one power.

Every verb: env (IN), scratch (scratch_size reals, private to the caller), out (OUT, overwritten).
"""

from libc.math cimport sqrt

from torchml_core.kernels.cutoff cimport cutoff_function
from torchml_core.kernels.elementary cimport rcos, rexp, rpow, rsin, whole_power
from torchml_core.kernels.environment cimport Environment, real


# What a g4 or g5 sees of two neighbors. Gradients are those for r_j and r_k.
cdef struct Triplet:
    double cosine
    double square              # S
    double cutoff              # C
    double[3] cosine_j
    double[3] cosine_k
    double[3] square_j
    double[3] square_k
    double[3] cutoff_j
    double[3] cutoff_k


# ---- the functions of one point, each beside its derivative


cdef inline real radial(
    const FunctionBlock *block, Py_ssize_t row, real r, real *derivative
) noexcept nogil:
    """The function of R under the sums of g1, g2, g3, without fc."""
    cdef real parameter, distance, result
    if block.type == 2:
        parameter = <real> block.eta[row]
        distance = r - <real> block.shift[row]
        result = rexp(-parameter * distance * distance)
        derivative[0] = -2 * parameter * distance * result
        return result
    if block.type == 3:
        parameter = <real> block.kappa[row]
        derivative[0] = -parameter * rsin(parameter * r)
        return rcos(parameter * r)
    derivative[0] = 0
    return 1


cdef inline real angular(
    const FunctionBlock *block, Py_ssize_t row, real cosine, real *derivative
) noexcept nogil:
    """a(cosθ), written as 2 b^ζ with b = (1 + λ cosθ)/2, so that a large ζ overflows nothing."""
    cdef real lam = <real> block.lam[row]
    cdef real b = (1 + lam * cosine) / 2
    cdef real power
    if b <= 0:
        derivative[0] = 0
        return 0
    if block.whole_zeta[row] > 0:
        power = whole_power(b, block.whole_zeta[row] - 1)
    else:
        power = rpow(b, <real> (block.zeta[row] - 1))
    derivative[0] = <real> block.zeta[row] * lam * power
    return 2 * power * b


# ---- what all rows share


cdef inline void neighbor_cutoffs(
    const SymmetryFunctionPlan *plan, const Environment *env, real *fc, real *slope
) noexcept nogil:
    """fc(R_j) and its derivative for each neighbor."""
    cdef const double *cutoffs = plan.cutoffs + env.species * plan.n_species
    cdef Py_ssize_t j
    for j in range(env.n):
        fc[j] = cutoff_function(
            plan.cutoff_function, <real> env.r[j], <real> cutoffs[env.neighbor_species[j]],
            &slope[j],
        )


cdef inline bint triplet(
    const SymmetryFunctionPlan *plan, const Environment *env, const real *fc, const real *slope,
    Py_ssize_t j, Py_ssize_t k, bint with_jk, bint with_gradients, Triplet *out,
) noexcept nogil:
    """Fill ``out`` for two neighbors; False where they count nothing. ``with_jk``: g4, not g5."""
    cdef double[3] rj = [env.x[j], env.y[j], env.z[j]]
    cdef double[3] rk = [env.x[k], env.y[k], env.z[k]]
    cdef double cutoff_jk = 1, slope_jk = 0, r_jk = 1, rc
    cdef double uj, uk, ujk
    cdef int axis

    if with_jk:
        r_jk = sqrt((rj[0] - rk[0]) ** 2 + (rj[1] - rk[1]) ** 2 + (rj[2] - rk[2]) ** 2)
        rc = plan.cutoffs[env.neighbor_species[j] * plan.n_species + env.neighbor_species[k]]
        if r_jk >= rc:
            return False
        cutoff_jk = cutoff_function(plan.cutoff_function, r_jk, rc, &slope_jk)

    out.cosine = (rj[0] * rk[0] + rj[1] * rk[1] + rj[2] * rk[2]) / (env.r[j] * env.r[k])
    out.square = env.r[j] ** 2 + env.r[k] ** 2 + (r_jk ** 2 if with_jk else 0)
    out.cutoff = fc[j] * fc[k] * cutoff_jk
    if not with_gradients:
        return True

    for axis in range(3):
        uj = rj[axis] / env.r[j]
        uk = rk[axis] / env.r[k]
        # j and k at one place: the slope of fc is 0 there, so any direction does
        ujk = (rj[axis] - rk[axis]) / r_jk if r_jk > 0 else 0
        out.cosine_j[axis] = (uk - out.cosine * uj) / env.r[j]
        out.cosine_k[axis] = (uj - out.cosine * uk) / env.r[k]
        out.square_j[axis] = 2 * rj[axis]
        out.square_k[axis] = 2 * rk[axis]
        if with_jk:
            out.square_j[axis] += 2 * (rj[axis] - rk[axis])
            out.square_k[axis] -= 2 * (rj[axis] - rk[axis])
        out.cutoff_j[axis] = fc[k] * (slope[j] * cutoff_jk * uj + fc[j] * slope_jk * ujk)
        out.cutoff_k[axis] = fc[j] * (slope[k] * cutoff_jk * uk - fc[k] * slope_jk * ujk)
    return True


cdef inline void exponentials(const FunctionBlock *block, double square, real *out) noexcept nogil:
    """exp(-η S) once for each different η."""
    cdef Py_ssize_t e
    for e in range(block.n_etas):
        out[e] = rexp(<real> (-block.etas[e] * square))


cdef inline Py_ssize_t radial_first(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    Py_ssize_t j,
) noexcept nogil:
    """The first component that neighbor j adds to."""
    return block.first + plan.channels[env.neighbor_species[j]] * block.n_rows


cdef inline Py_ssize_t angular_first(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    Py_ssize_t j, Py_ssize_t k,
) noexcept nogil:
    """The first component that neighbors j and k add to."""
    cdef Py_ssize_t pair = env.neighbor_species[j] * plan.n_species + env.neighbor_species[k]
    return block.first + plan.pair_channels[pair] * block.n_rows


cdef inline Py_ssize_t most_etas(const SymmetryFunctionPlan *plan) noexcept nogil:
    cdef Py_ssize_t b, most = 0
    for b in range(plan.n_blocks):
        most = max(most, plan.blocks[b].n_etas)
    return most


cdef Py_ssize_t scratch_size(const SymmetryFunctionPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many reals of scratch an environment of n neighbors needs: fc, its slope, exp(-η S)."""
    return 2 * n + most_etas(plan)


# ---- values


cdef void value(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil:
    """``out`` (width,): the values."""
    cdef real *fc = scratch
    cdef real *slope = fc + env.n
    cdef const FunctionBlock *block
    cdef Py_ssize_t b, c
    for c in range(plan.width):
        out[c] = 0
    neighbor_cutoffs(plan, env, fc, slope)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.type <= 3:
            radial_value(plan, block, env, fc, out)
        else:
            angular_value(plan, block, env, fc, slope, out)


cdef inline void radial_value(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    const real *fc, real *out,
) noexcept nogil:
    cdef Py_ssize_t j, row, first
    cdef real unused
    for j in range(env.n):
        first = radial_first(plan, block, env, j)
        for row in range(block.n_rows):
            out[first + row] += radial(block, row, <real> env.r[j], &unused) * fc[j]


cdef inline void angular_value(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    real *fc, real *slope, real *out,
) noexcept nogil:
    cdef real *exponential = slope + env.n
    cdef Py_ssize_t j, k, row, first
    cdef real cutoff, cosine, unused
    cdef Triplet t
    for j in range(env.n):
        for k in range(j + 1, env.n):
            if not triplet(plan, env, fc, slope, j, k, block.type == 4, False, &t):
                continue
            exponentials(block, t.square, exponential)
            first = angular_first(plan, block, env, j, k)
            cosine = <real> t.cosine
            cutoff = <real> t.cutoff
            for row in range(block.n_rows):
                out[first + row] += (
                    angular(block, row, cosine, &unused)
                    * exponential[block.eta_index[row]] * cutoff
                )


# ---- vjp: contracted with dE/dD as it goes, three sums a triplet whatever the number of rows


cdef void vjp(
    const SymmetryFunctionPlan *plan, const Environment *env, const real *dE_dD, real *scratch,
    real *out,
) noexcept nogil:
    """``out`` (3, n): dE/dr_j of the energy whose gradient by the values is dE_dD."""
    cdef real *fc = scratch
    cdef real *slope = fc + env.n
    cdef const FunctionBlock *block
    cdef Py_ssize_t b, j
    for j in range(3 * env.n):
        out[j] = 0
    neighbor_cutoffs(plan, env, fc, slope)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.type <= 3:
            radial_vjp(plan, block, env, dE_dD, fc, slope, out)
        else:
            angular_vjp(plan, block, env, dE_dD, fc, slope, out)


cdef inline void radial_vjp(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    const real *dE_dD, const real *fc, const real *slope, real *out,
) noexcept nogil:
    cdef Py_ssize_t j, row
    cdef const real *weight
    cdef real f, df, dE_dr
    for j in range(env.n):
        weight = dE_dD + radial_first(plan, block, env, j)
        dE_dr = 0
        for row in range(block.n_rows):
            f = radial(block, row, <real> env.r[j], &df)
            dE_dr += weight[row] * (df * fc[j] + f * slope[j])
        out[j] += dE_dr * <real> (env.x[j] / env.r[j])
        out[env.n + j] += dE_dr * <real> (env.y[j] / env.r[j])
        out[2 * env.n + j] += dE_dr * <real> (env.z[j] / env.r[j])


cdef inline void angular_vjp(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    const real *dE_dD, real *fc, real *slope, real *out,
) noexcept nogil:
    cdef real *exponential = slope + env.n
    cdef Py_ssize_t j, k, row
    cdef int axis
    cdef const real *weight
    cdef real a, da, weighted, dE_dcosine, dE_dsquare, dE_dcutoff
    cdef Triplet t
    for j in range(env.n):
        for k in range(j + 1, env.n):
            if not triplet(plan, env, fc, slope, j, k, block.type == 4, True, &t):
                continue
            exponentials(block, t.square, exponential)
            weight = dE_dD + angular_first(plan, block, env, j, k)
            dE_dcosine = dE_dsquare = dE_dcutoff = 0
            for row in range(block.n_rows):
                a = angular(block, row, <real> t.cosine, &da)
                weighted = weight[row] * exponential[block.eta_index[row]]
                dE_dcosine += weighted * da
                dE_dcutoff += weighted * a
                dE_dsquare -= weighted * a * <real> block.eta[row]
            dE_dcosine *= <real> t.cutoff
            dE_dsquare *= <real> t.cutoff
            for axis in range(3):
                out[axis * env.n + j] += chain(
                    dE_dcosine, dE_dsquare, dE_dcutoff, t.cosine_j, t.square_j, t.cutoff_j, axis
                )
                out[axis * env.n + k] += chain(
                    dE_dcosine, dE_dsquare, dE_dcutoff, t.cosine_k, t.square_k, t.cutoff_k, axis
                )


cdef inline real chain(
    real by_cosine, real by_square, real by_cutoff,
    const double *cosine, const double *square, const double *cutoff, int axis,
) noexcept nogil:
    """The chain rule through cosθ, S and C, along one axis."""
    return (
        by_cosine * <real> cosine[axis]
        + by_square * <real> square[axis]
        + by_cutoff * <real> cutoff[axis]
    )


# ---- jvp: the tangent of the values along (dx, dy, dz)


cdef void jvp(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil:
    """``out`` (width,): the change of the values for the change of r_j that env holds."""
    cdef real *fc = scratch
    cdef real *slope = fc + env.n
    cdef const FunctionBlock *block
    cdef Py_ssize_t b, c
    for c in range(plan.width):
        out[c] = 0
    neighbor_cutoffs(plan, env, fc, slope)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.type <= 3:
            radial_jvp(plan, block, env, fc, slope, out)
        else:
            angular_jvp(plan, block, env, fc, slope, out)


cdef inline double along(
    const Environment *env, Py_ssize_t j, const double *gradient
) noexcept nogil:
    """A gradient for r_j times the direction of neighbor j."""
    return gradient[0] * env.dx[j] + gradient[1] * env.dy[j] + gradient[2] * env.dz[j]


cdef inline void radial_jvp(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    const real *fc, const real *slope, real *out,
) noexcept nogil:
    cdef Py_ssize_t j, row, first
    cdef real f, df, dr
    for j in range(env.n):
        first = radial_first(plan, block, env, j)
        dr = <real> (
            (env.x[j] * env.dx[j] + env.y[j] * env.dy[j] + env.z[j] * env.dz[j]) / env.r[j]
        )
        for row in range(block.n_rows):
            f = radial(block, row, <real> env.r[j], &df)
            out[first + row] += (df * fc[j] + f * slope[j]) * dr


cdef inline void angular_jvp(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    real *fc, real *slope, real *out,
) noexcept nogil:
    cdef real *exponential = slope + env.n
    cdef Py_ssize_t j, k, row, first
    cdef real a, da, cutoff, cosine_dot, square_dot, cutoff_dot
    cdef Triplet t
    for j in range(env.n):
        for k in range(j + 1, env.n):
            if not triplet(plan, env, fc, slope, j, k, block.type == 4, True, &t):
                continue
            exponentials(block, t.square, exponential)
            first = angular_first(plan, block, env, j, k)
            cutoff = <real> t.cutoff
            cosine_dot = <real> (along(env, j, t.cosine_j) + along(env, k, t.cosine_k))
            square_dot = <real> (along(env, j, t.square_j) + along(env, k, t.square_k))
            cutoff_dot = <real> (along(env, j, t.cutoff_j) + along(env, k, t.cutoff_k))
            for row in range(block.n_rows):
                a = angular(block, row, <real> t.cosine, &da)
                out[first + row] += exponential[block.eta_index[row]] * (
                    da * cosine_dot * cutoff
                    + a * (cutoff_dot - <real> block.eta[row] * square_dot * cutoff)
                )


# ---- jacobian: every component's gradient, for those who ask for it


cdef void jacobian(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil:
    """``out``: a (3, width) block for each entry of the row, at env.slot; IN zero, added to."""
    cdef real *fc = scratch
    cdef real *slope = fc + env.n
    cdef const FunctionBlock *block
    cdef Py_ssize_t b
    neighbor_cutoffs(plan, env, fc, slope)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.type <= 3:
            radial_jacobian(plan, block, env, fc, slope, out)
        else:
            angular_jacobian(plan, block, env, fc, slope, out)


cdef inline void radial_jacobian(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    const real *fc, const real *slope, real *out,
) noexcept nogil:
    cdef Py_ssize_t j, row
    cdef real *dD_dr
    cdef real f, df, derivative
    for j in range(env.n):
        dD_dr = out + env.slot[j] * 3 * plan.width + radial_first(plan, block, env, j)
        for row in range(block.n_rows):
            f = radial(block, row, <real> env.r[j], &df)
            derivative = df * fc[j] + f * slope[j]
            dD_dr[row] += derivative * <real> (env.x[j] / env.r[j])
            dD_dr[plan.width + row] += derivative * <real> (env.y[j] / env.r[j])
            dD_dr[2 * plan.width + row] += derivative * <real> (env.z[j] / env.r[j])


cdef inline void angular_jacobian(
    const SymmetryFunctionPlan *plan, const FunctionBlock *block, const Environment *env,
    real *fc, real *slope, real *out,
) noexcept nogil:
    cdef real *exponential = slope + env.n
    cdef Py_ssize_t j, k, row, first, at
    cdef int axis
    cdef real *dD_drj
    cdef real *dD_drk
    cdef real a, da, by_cosine, by_square, by_cutoff
    cdef Triplet t
    for j in range(env.n):
        for k in range(j + 1, env.n):
            if not triplet(plan, env, fc, slope, j, k, block.type == 4, True, &t):
                continue
            exponentials(block, t.square, exponential)
            first = angular_first(plan, block, env, j, k)
            dD_drj = out + env.slot[j] * 3 * plan.width + first
            dD_drk = out + env.slot[k] * 3 * plan.width + first
            for row in range(block.n_rows):
                a = angular(block, row, <real> t.cosine, &da)
                by_cutoff = exponential[block.eta_index[row]] * a
                by_cosine = exponential[block.eta_index[row]] * da * <real> t.cutoff
                by_square = -<real> block.eta[row] * by_cutoff * <real> t.cutoff
                for axis in range(3):
                    at = axis * plan.width + row
                    dD_drj[at] += chain(
                        by_cosine, by_square, by_cutoff, t.cosine_j, t.square_j, t.cutoff_j, axis
                    )
                    dD_drk[at] += chain(
                        by_cosine, by_square, by_cutoff, t.cosine_k, t.square_k, t.cutoff_k, axis
                    )
