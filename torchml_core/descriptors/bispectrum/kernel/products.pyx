"""Triple products of elements: the bispectrum and its derivatives, from lists of products.

For each pair of matrices (j1, j2) and each (s, t) there is a list of the pairs of elements whose
product contributes there. Each product is formed once, and added with a coefficient of its own to
each output j of the list; then

    value[triple] += Re(conj(element (j, s, t)) · sum)

Coefficients (coupling.py) hold the Clebsch-Gordan coefficients of rows and columns, the factor 2
for the other half of the (s, t), and 1/(j + 1). Which member of a triple is the output is chosen
such that the lists are short.

An energy's gradient goes the same way back. With the gradients β of the values, the product p of a
list has the gradient g = Σ_k c_k β_k u_k, u_k being the elements of the outputs; its two factors
have g times the other one, conjugated; and u_k has β_k times its sum.
"""

from torchml_core.descriptors.bispectrum.kernel.powers cimport set_zero
from torchml_core.simd.vectors cimport splat, splat_at, vec, vfloat

cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """


cdef inline const vec *coefficients_of(const ProductPlan *plan, const vec *type_tag) noexcept nogil:
    if vec is vfloat:
        return <const vec *> plan.coefficients_single
    else:
        return <const vec *> plan.coefficients


cdef inline Py_ssize_t n_products(const ListHead *head) noexcept nogil:
    return head.n_plain + head.n_conjugated + head.n_exchanged


cdef inline const vec *at_byte(const vec *array, Py_ssize_t offset) noexcept nogil:
    """Offsets in bytes save the instructions that would make them of numbers of vectors."""
    return <const vec *> (<const char *> array + offset)


# ---- values


cdef inline void sum_products(
    int n_outputs, bint conjugated, Py_ssize_t n, const int32_t *factors, const vec *one,
    const vec *two, const vec *coefficients, Py_ssize_t at, vec *re, vec *im,
) noexcept nogil:
    """Add n products to the sums of the outputs; inlined with constants."""
    cdef vec a, b, c, d, p, q, factor
    cdef const vec *x
    cdef const vec *y
    cdef Py_ssize_t i
    cdef int k
    for i in range(n):
        x = at_byte(one, factors[2 * i])
        y = at_byte(two, factors[2 * i + 1])
        a, b, c, d = x[0], x[1], y[0], y[1]
        if conjugated:
            p = a * c + b * d
            q = b * c - a * d
        else:
            p = a * c - b * d
            q = a * d + b * c
        for k in range(n_outputs):
            factor = splat_at(coefficients, at + k)
            re[k] = re[k] + factor * p
            im[k] = im[k] + factor * q
        at += n_outputs


cdef inline void add_list(
    int n_outputs, const ProductPlan *plan, const ListHead *head, const int32_t *factors,
    const vec *one, const vec *two, const vec *elements, const vec *coefficients, Py_ssize_t at,
    vec *values,
) noexcept nogil:
    """Add what one list contributes, for all channels of the output."""
    cdef vec re[MOST_OUTPUTS]
    cdef vec im[MOST_OUTPUTS]
    cdef const vec *u
    cdef int k, _
    for k in range(n_outputs):
        re[k] = im[k] = splat(0, elements)
    sum_products(n_outputs, False, head.n_plain, factors, one, two, coefficients, at, re, im)
    factors += 2 * head.n_plain
    at += n_outputs * head.n_plain
    sum_products(n_outputs, True, head.n_conjugated, factors, one, two, coefficients, at, re, im)
    factors += 2 * head.n_conjugated
    at += n_outputs * head.n_conjugated
    sum_products(n_outputs, True, head.n_exchanged, factors, two, one, coefficients, at, re, im)
    for _ in range(plan.n_channels):
        for k in range(n_outputs):
            u = elements + head.targets[2 * k]
            values[head.targets[2 * k + 1]] += u[0] * re[k] + u[1] * im[k]
        elements += 2 * plan.n_elements
        values += plan.n_triples


cdef inline void add_lists(
    const ProductPlan *plan, const vec *one, const vec *two, const vec *elements, vec *values
) noexcept nogil:
    """All lists for one channel of each factor."""
    cdef const vec *coefficients = coefficients_of(plan, elements)
    cdef const int32_t *factors = plan.factors
    cdef const ListHead *head
    cdef Py_ssize_t k, at = 0
    for k in range(plan.n_lists):
        head = &plan.heads[k]
        if head.n_outputs == 1:
            add_list(1, plan, head, factors, one, two, elements, coefficients, at, values)
        elif head.n_outputs == 2:
            add_list(2, plan, head, factors, one, two, elements, coefficients, at, values)
        elif head.n_outputs == 3:
            add_list(3, plan, head, factors, one, two, elements, coefficients, at, values)
        elif head.n_outputs == 4:
            add_list(4, plan, head, factors, one, two, elements, coefficients, at, values)
        else:
            add_list(5, plan, head, factors, one, two, elements, coefficients, at, values)
        factors += 2 * n_products(head)
        at += head.n_outputs * n_products(head)


cdef void triple_products(const ProductPlan *plan, const vec *elements, vec *values) noexcept nogil:
    """Fill the values of all triples and channels."""
    cdef int n = plan.n_channels, i, j
    set_zero(values, n**3 * plan.n_triples)
    for i in range(n):
        for j in range(n):
            add_lists(
                plan, elements + 2 * i * plan.n_elements, elements + 2 * j * plan.n_elements,
                elements, values + (i * n + j) * n * plan.n_triples,
            )


# ---- vjp


cdef inline void products_vjp(
    int n_outputs, bint conjugated, Py_ssize_t n, const int32_t *factors, const vec *one,
    const vec *two, const vec *coefficients, Py_ssize_t at, const vec *g_re, const vec *g_im,
    vec *re, vec *im, vec *by_one, vec *by_two,
) noexcept nogil:
    """Add n products to the sums, and to the gradients of their factors; inlined with constants."""
    cdef vec a, b, c, d, p, q, factor, g, h
    cdef const vec *x
    cdef const vec *y
    cdef vec *by
    cdef Py_ssize_t i, first, second
    cdef int k
    for i in range(n):
        first, second = factors[2 * i], factors[2 * i + 1]
        x = at_byte(one, first)
        y = at_byte(two, second)
        a, b, c, d = x[0], x[1], y[0], y[1]
        if conjugated:
            p = a * c + b * d
            q = b * c - a * d
        else:
            p = a * c - b * d
            q = a * d + b * c
        factor = splat_at(coefficients, at)
        re[0] = re[0] + factor * p
        im[0] = im[0] + factor * q
        g = factor * g_re[0]
        h = factor * g_im[0]
        for k in range(1, n_outputs):
            factor = splat_at(coefficients, at + k)
            re[k] = re[k] + factor * p
            im[k] = im[k] + factor * q
            g = g + factor * g_re[k]
            h = h + factor * g_im[k]
        at += n_outputs
        by = <vec *> at_byte(by_one, first)
        if conjugated:  # g two; conj(g) one
            by[0] = by[0] + (g * c - h * d)
            by[1] = by[1] + (g * d + h * c)
        else:  # g conj(two); g conj(one)
            by[0] = by[0] + (g * c + h * d)
            by[1] = by[1] + (h * c - g * d)
        by = <vec *> at_byte(by_two, second)
        if conjugated:
            by[0] = by[0] + (g * a + h * b)
            by[1] = by[1] + (g * b - h * a)
        else:
            by[0] = by[0] + (g * a + h * b)
            by[1] = by[1] + (h * a - g * b)


cdef inline void list_vjp(
    int n_outputs, const ProductPlan *plan, const ListHead *head, const int32_t *factors,
    const vec *one, const vec *two, const vec *elements, const vec *coefficients, Py_ssize_t at,
    const vec *by_value, vec *by_one, vec *by_two, vec *gradient,
) noexcept nogil:
    cdef vec re[MOST_OUTPUTS]
    cdef vec im[MOST_OUTPUTS]
    cdef vec g_re[MOST_OUTPUTS]
    cdef vec g_im[MOST_OUTPUTS]
    cdef vec beta
    cdef const vec *u
    cdef vec *y
    cdef int k, channel
    for k in range(n_outputs):
        re[k] = im[k] = g_re[k] = g_im[k] = splat(0, elements)
        u = elements + head.targets[2 * k]
        for channel in range(plan.n_channels):
            beta = by_value[channel * plan.n_triples + head.targets[2 * k + 1]]
            g_re[k] = g_re[k] + beta * u[0]
            g_im[k] = g_im[k] + beta * u[1]
            u += 2 * plan.n_elements
    products_vjp(
        n_outputs, False, head.n_plain, factors, one, two, coefficients, at, g_re, g_im, re, im,
        by_one, by_two,
    )
    factors += 2 * head.n_plain
    at += n_outputs * head.n_plain
    products_vjp(
        n_outputs, True, head.n_conjugated, factors, one, two, coefficients, at, g_re, g_im, re,
        im, by_one, by_two,
    )
    factors += 2 * head.n_conjugated
    at += n_outputs * head.n_conjugated
    products_vjp(
        n_outputs, True, head.n_exchanged, factors, two, one, coefficients, at, g_re, g_im, re,
        im, by_two, by_one,
    )
    for k in range(n_outputs):
        y = gradient + head.targets[2 * k]
        for channel in range(plan.n_channels):
            beta = by_value[channel * plan.n_triples + head.targets[2 * k + 1]]
            y[0] = y[0] + beta * re[k]
            y[1] = y[1] + beta * im[k]
            y += 2 * plan.n_elements


cdef inline bint has_triple(const ListHead *head, Py_ssize_t triple) noexcept nogil:
    cdef int k
    for k in range(head.n_outputs):
        if head.targets[2 * k + 1] == triple:
            return True
    return False


cdef inline void lists_vjp(
    const ProductPlan *plan, const vec *one, const vec *two, const vec *elements,
    const vec *by_value, Py_ssize_t only, vec *by_one, vec *by_two, vec *gradient,
) noexcept nogil:
    """All lists for one channel of each factor; or ``only`` those of a triple, -1: all."""
    cdef const vec *coefficients = coefficients_of(plan, elements)
    cdef const int32_t *factors = plan.factors
    cdef const ListHead *head
    cdef Py_ssize_t k, at = 0
    for k in range(plan.n_lists):
        head = &plan.heads[k]
        if only < 0 or has_triple(head, only):
            if head.n_outputs == 1:
                list_vjp(
                    1, plan, head, factors, one, two, elements, coefficients, at, by_value, by_one,
                    by_two, gradient,
                )
            elif head.n_outputs == 2:
                list_vjp(
                    2, plan, head, factors, one, two, elements, coefficients, at, by_value, by_one,
                    by_two, gradient,
                )
            elif head.n_outputs == 3:
                list_vjp(
                    3, plan, head, factors, one, two, elements, coefficients, at, by_value, by_one,
                    by_two, gradient,
                )
            elif head.n_outputs == 4:
                list_vjp(
                    4, plan, head, factors, one, two, elements, coefficients, at, by_value, by_one,
                    by_two, gradient,
                )
            else:
                list_vjp(
                    5, plan, head, factors, one, two, elements, coefficients, at, by_value, by_one,
                    by_two, gradient,
                )
        factors += 2 * n_products(head)
        at += head.n_outputs * n_products(head)


cdef void triple_products_vjp(
    const ProductPlan *plan, const vec *elements, const vec *by_value, Py_ssize_t only,
    vec *gradient,
) noexcept nogil:
    """Fill dE with respect to the elements from that for the values.

    ``only``: the one triple whose values have a gradient; -1: all.
    """
    cdef int n = plan.n_channels, i, j
    cdef Py_ssize_t row = 2 * plan.n_elements
    set_zero(gradient, n * row)
    for i in range(n):
        for j in range(n):
            lists_vjp(
                plan, elements + i * row, elements + j * row, elements,
                by_value + (i * n + j) * n * plan.n_triples, only, gradient + i * row,
                gradient + j * row, gradient,
            )


# ---- jvp


cdef inline void list_jvp(
    const ProductPlan *plan, const ListHead *head, const int32_t *factors, const vec *one,
    const vec *two, const vec *one_dot, const vec *two_dot, const vec *elements,
    const vec *elements_dot, const vec *coefficients, Py_ssize_t at, vec *values_dot,
) noexcept nogil:
    cdef vec re[MOST_OUTPUTS]
    cdef vec im[MOST_OUTPUTS]
    cdef vec re_dot[MOST_OUTPUTS]
    cdef vec im_dot[MOST_OUTPUTS]
    cdef vec a, b, c, d, a_dot, b_dot, c_dot, d_dot, sign, p, q, p_dot, q_dot, factor
    cdef const vec *x
    cdef const vec *y
    cdef Py_ssize_t i, place, target, first, second
    cdef int k, channel
    for k in range(head.n_outputs):
        re[k] = im[k] = re_dot[k] = im_dot[k] = splat(0, elements)
    for i in range(n_products(head)):
        if i == head.n_plain + head.n_conjugated:
            one, two, one_dot, two_dot = two, one, two_dot, one_dot
        first, second = factors[2 * i], factors[2 * i + 1]
        x = at_byte(one, first)
        y = at_byte(two, second)
        a, b, c, d = x[0], x[1], y[0], y[1]
        x = at_byte(one_dot, first)
        y = at_byte(two_dot, second)
        a_dot, b_dot, c_dot, d_dot = x[0], x[1], y[0], y[1]
        sign = splat(1 if i < head.n_plain else -1, elements)
        d = sign * d
        d_dot = sign * d_dot
        p = a * c - b * d
        q = a * d + b * c
        p_dot = a_dot * c - b_dot * d + a * c_dot - b * d_dot
        q_dot = a_dot * d + b_dot * c + a * d_dot + b * c_dot
        for k in range(head.n_outputs):
            factor = splat_at(coefficients, at)
            re[k] = re[k] + factor * p
            im[k] = im[k] + factor * q
            re_dot[k] = re_dot[k] + factor * p_dot
            im_dot[k] = im_dot[k] + factor * q_dot
            at += 1
    for channel in range(plan.n_channels):
        for k in range(head.n_outputs):
            place = channel * 2 * plan.n_elements + head.targets[2 * k]
            target = channel * plan.n_triples + head.targets[2 * k + 1]
            values_dot[target] += (
                elements[place] * re_dot[k] + elements[place + 1] * im_dot[k]
                + elements_dot[place] * re[k] + elements_dot[place + 1] * im[k]
            )


cdef void triple_products_jvp(
    const ProductPlan *plan, const vec *elements, const vec *elements_dot, vec *values_dot
) noexcept nogil:
    """Fill the changes of the values from those of the elements."""
    cdef const vec *coefficients = coefficients_of(plan, elements)
    cdef Py_ssize_t row = 2 * plan.n_elements, first, at, k
    cdef const int32_t *factors
    cdef const ListHead *head
    cdef int n = plan.n_channels, i, j
    set_zero(values_dot, n**3 * plan.n_triples)
    for i in range(n):
        for j in range(n):
            factors = plan.factors
            first = (i * n + j) * n * plan.n_triples
            at = 0
            for k in range(plan.n_lists):
                head = &plan.heads[k]
                list_jvp(
                    plan, head, factors, elements + i * row, elements + j * row,
                    elements_dot + i * row, elements_dot + j * row, elements, elements_dot,
                    coefficients, at, values_dot + first,
                )
                factors += 2 * n_products(head)
                at += head.n_outputs * n_products(head)
