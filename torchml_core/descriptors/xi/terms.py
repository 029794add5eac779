"""The values of Xi: their order, and each as a polynomial of third degree in the coefficients.

With complex coefficients c_nlm and Clebsch-Gordan coefficients ⟨l1 m1 l2 m2 | l0 m0⟩::

    ξ = (-1)^l0 / √(2 l0 + 1) Σ_{m0, m1} ⟨l1 m1 l2 m0-m1 | l0 m0⟩
        Re[conj(c_{n0 l0 m0}) c_{n1 l1 m1} c_{n2 l2 m0-m1}]

The kernel has the coefficients of real spherical harmonics instead. In them it is a sum of products
of three as well. They are computed in two steps::

    s_k = Σ factor c_second c_third,    ξ = Σ scale c_first s_k

where many values share sums of products of two, up to a scale. First is the factor of the smallest
l, which gives the fewest terms. For q = 8 there are 15 293 products of three, but 1 768 terms and
9 619 products of two.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from torchml_core.descriptors.clebsch_gordan import clebsch_gordan

NOTHING = 1e-10  # factors below are rounding errors: the smallest for q up to 15 is 1e-5
DIGITS = 9  # in which sums agree that are shared


@dataclass(frozen=True, eq=False)
class Terms:
    """All products of all values. A coefficient is numbered ``(l² + l + m) * n_max + n``.

    Attributes
    ----------
    values : (width, 6) int array
        n0, n1, n2, l0, l1, l2 of each.
    terms : (width + 1,) int array
        Where the terms of a value begin; its last number is how many there are.
    first, sums : (n_terms,) int array
    scales : (n_terms,) float64
    products : (n_sums + 1,) int array
        Where the products of a sum begin.
    second, third : (n_products,) int array
    factors : (n_products,) float64
    """

    values: np.ndarray
    terms: np.ndarray
    first: np.ndarray
    sums: np.ndarray
    scales: np.ndarray
    products: np.ndarray
    second: np.ndarray
    third: np.ndarray
    factors: np.ndarray


def values_of(q):
    """Return (n0, n1, n2, l0, l1, l2) of each value, in the order of libdescriptor."""
    return [
        (n0, n1, n2, l0, l1, l2)
        for order in range(q + 1)
        for n_sum in range(order + 1)
        for n0, n1, n2 in _triples(n_sum, n_sum)
        if n0 >= n1 >= n2
        for l0, l1, l2 in _triples(2 * (order - n_sum), order - n_sum)
        if abs(l1 - l2) <= l0 <= l1 + l2 and (n0 > n1 or l0 >= l1) and (n1 > n2 or l1 >= l2)
    ]


def _triples(total, most):
    """All of three whole numbers 0 ... most with this sum, first and second descending."""
    for a in range(min(total, most), -1, -1):
        for b in range(min(total - a, most), -1, -1):
            if total - a - b <= most:
                yield a, b, total - a - b


@lru_cache(maxsize=32)
def terms_of(q):
    """Return the Terms of all values for q; the coefficients have n_max = q + 1."""
    values = values_of(q)
    begins, terms, sums = [0], [], {}  # sums: their products, and which one it is
    for value in values:
        numbers, factors = _products_of_three(value, q + 1)
        starts = np.flatnonzero(np.diff(numbers[:, 0], prepend=-1))
        for begin, end in zip(starts, np.append(starts[1:], len(numbers)), strict=True):
            pairs, relative = numbers[begin:end, 1:], factors[begin:end]
            scale = relative[np.argmax(np.abs(relative) > (1 - 1e-9) * np.abs(relative).max())]
            relative = relative / scale
            key = pairs.tobytes(), (np.round(relative, DIGITS) + 0.0).tobytes()  # no -0
            k, *_ = sums.setdefault(key, (len(sums), pairs, relative))
            terms.append((numbers[begin, 0], k, scale))
        begins.append(len(terms))
    first, which, scales = zip(*terms, strict=True)
    _, pairs, factors = zip(*sums.values(), strict=True)
    second, third = np.concatenate(pairs).T
    return Terms(
        values=np.array(values),
        terms=np.array(begins),
        first=np.array(first),
        sums=np.array(which),
        scales=np.array(scales),
        products=np.cumsum([0, *map(len, pairs)]),
        second=second,
        third=third,
        factors=np.concatenate(factors),
    )


def _products_of_three(value, n_max):
    """(n, 3) the numbers of the coefficients in each product, and (n,) factors.

    Sorted by the first of them. Products of the same coefficients occur once.
    """
    n, l = np.array(value[:3]), np.array(value[3:])
    ms, factors = _coupling(*value[3:])
    numbers = np.sort((l * l + l + ms) * n_max + n, axis=1)  # those of the smallest l first
    numbers, where = np.unique(numbers, axis=0, return_inverse=True)
    sums = np.bincount(where.ravel(), weights=factors)
    kept = np.abs(sums) > NOTHING
    return numbers[kept], sums[kept]


@cache
def _coupling(l0, l1, l2):
    """The products of real coefficients in ξ: (n, 3) of their m0, m1, m2, and (n,) factors.

    With a_m the coefficient of cos(m φ) and a_-m that of sin(m φ), m > 0: c_m = (a_m + i a_-m)/√2
    and c_-m = (-1)^m (a_m - i a_-m)/√2. Re[...] of such a product has up to four terms.
    """
    scale = (-1) ** l0 / math.sqrt(2 * l0 + 1)
    coupled = clebsch_gordan(2 * l1, 2 * l2, 2 * l0)
    ms, factors = [], []
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l0 - m1), min(l2, l0 - m1) + 1):
            factor = scale * coupled[m1 + l1, m2 + l2]
            if not factor:
                continue
            for k0, u0 in _real_parts(m1 + m2):
                for k1, u1 in _real_parts(m1):
                    for k2, u2 in _real_parts(m2):
                        real = (u0.conjugate() * u1 * u2).real
                        if real:
                            ms.append((k0, k1, k2))
                            factors.append(factor * real)
    return np.array(ms), np.array(factors)


def _real_parts(m):
    """c_m as a sum of real coefficients: pairs (m of it, what multiplies it)."""
    if m == 0:
        return ((0, 1 + 0j),)
    half = math.sqrt(0.5)
    if m > 0:
        return ((m, half + 0j), (-m, 1j * half))
    sign = (-1) ** m
    return ((-m, sign * half + 0j), (m, -1j * sign * half))
