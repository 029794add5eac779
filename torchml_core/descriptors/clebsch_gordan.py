"""Clebsch-Gordan coefficients, which couple two angular momenta."""

import math

import numpy as np


def clebsch_gordan(j1, j2, j):
    """Return the (j1 + 1, j2 + 1) array of <j1 m1 j2 m2 | j m1+m2>; rows and columns ascend in m.

    All angular momenta and m are doubled, so that they are whole numbers. Zeros where j1, j2 and j
    do not form a triangle.

    Racah's formula (Varshalovich et al., Quantum Theory of Angular Momentum, 8.2.1), with binomial
    coefficients: its sum is one of integers.
    """
    table = np.zeros((j1 + 1, j2 + 1))
    if not abs(j1 - j2) <= j <= j1 + j2:
        return table
    f, comb = math.factorial, math.comb
    half = (j1 + j2 + j) // 2
    n, n1, n2 = half - j, half - j2, half - j1
    denominator = f(n) * f(n1) * f(n2) * f(half + 1)
    for k1 in range(j1 + 1):  # j1 + m1
        for k2 in range(j2 + 1):
            k = k1 + k2 - n
            if 0 <= k <= j:
                total = 0
                for z in range(max(0, j1 - k1 - n1, k2 - n2), min(n, j1 - k1, k2) + 1):
                    total += (-1) ** z * comb(n, z) * comb(n1, j1 - k1 - z) * comb(n2, k2 - z)
                squares = f(k1) * f(j1 - k1) * f(k2) * f(j2 - k2) * f(k) * f(j - k) * (j + 1)
                table[k1, k2] = total * math.sqrt(squares / denominator)
    return table
