"""Cutoff functions by name. See the .pxd."""

from torchml_core.simd.vectors cimport splat, total, vdouble

CUTOFF_FUNCTIONS = {
    "cos": COSINE,
    "poly1": POLYNOMIAL_1,
    "poly2": POLYNOMIAL_2,
    "poly3": POLYNOMIAL_3,
    "poly4": POLYNOMIAL_4,
    "exp": EXPONENTIAL,
    "tanh3": TANH_CUBED,
    "tanh3_normalized": TANH_CUBED_NORMALIZED,
    "hard": HARD,
    None: STEP,
}


cdef CutoffFunction cutoff_function(name) except *:
    """The one of this name."""
    check_cutoff_function(CUTOFF_FUNCTIONS[name])
    return CUTOFF_FUNCTIONS[name]


def check_cutoff_function(number):
    """Refuse a number for which cutoff_of_square has no branch: it makes NaN of it."""
    if halfway(number) != halfway(number):
        raise NotImplementedError(f"cutoff function {number} has no branch in cutoff_of_square")


cdef double halfway(CutoffFunction function) noexcept:
    cdef vdouble derivative
    return total(cutoff_of_square(function, 0, splat(0.25, <const vdouble *> NULL), &derivative))
