"""What a bispectrum needs that depends on twojmax alone: elements, couplings, lists of products.

NOTATION  All angular momenta are doubled: j = 0 ... twojmax, and rows mb and columns ma of the
(j + 1, j + 1) matrix U_j are counted from 0, as in LAMMPS. An element is named by j,
s = j - ma - mb and t = ma - mb: the product of two elements contributes to elements whose s and t
are the sums of theirs. u(j, -s, -t) = (-1)^t conj u(j, s, t), so elements with s >= 0 suffice;
they are *stored*. With t >= 0,

    u(j, s, t) = ā^s (-b̄)^t Q(x),     u(j, s, -t) = ā^s b^t Q(x),     x = 1 - 2|b|²

where a and b are the Cayley-Klein parameters of a rotation and Q is a Jacobi polynomial of degree
n = (j - s - t)/2, up to its norm. A *block* is the elements of one s and |t|; its degrees n count
from 0.

Of a bispectrum component, B(j1, j2, j)/(j + 1) does not depend on the order of the three. A
*triple* is three angular momenta in any order, and its value is this number.
"""

import functools
import math
import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from torchml_core.descriptors.clebsch_gordan import clebsch_gordan

MOST_OUTPUTS = 5  # of a list, as in kernel/products.pyx
ROUNDS, STEPS = 3, 3000  # of the search for cheap lists


# ---- elements and blocks


class Block(NamedTuple):
    """The elements of one s and |t|."""

    s: int
    t: int
    plus: int  # the element (s, t) of degree 0; those of higher degrees follow
    minus: int  # (s, -t); the same as plus if t = 0
    chebyshev: np.ndarray  # (n_degrees, n_degrees): Q_n = Σ_k chebyshev[n, k] T_k(x)


class Elements(NamedTuple):
    """The stored elements of all U_j."""

    labels: list  # of (j, s, t)
    blocks: list  # of Block
    numbers: dict  # of each (j, s, t)


@functools.lru_cache(maxsize=4)
def make_elements(twojmax):
    """Return the stored elements of U_0 ... U_twojmax."""
    labels, blocks = [], []
    for s in range(twojmax + 1):
        for t in range(twojmax + 1 - s):
            spins = range(s + t, twojmax + 1, 2)
            plus = minus = len(labels)
            labels += [(j, s, t) for j in spins]
            if t > 0:
                minus = len(labels)
                labels += [(j, s, -t) for j in spins]
            chebyshev = np.zeros((len(spins), len(spins)))
            for n, j in enumerate(spins):
                chebyshev[n, : n + 1] = _polynomial(j, s, t)
            blocks.append(Block(s, t, plus, minus, chebyshev))
    return Elements(labels, blocks, {label: k for k, label in enumerate(labels)})


def _polynomial(j, s, t):
    """Return the Chebyshev coefficients of Q, for s, t >= 0.

    Row mb of U_j holds the coefficients of (ā X - b̄ Y)^(j-mb) (b X + a Y)^mb, times
    sqrt(ma! (j-ma)! / (mb! (j-mb)!)) in column ma: the definition of the representation. In a
    product of k factors -b̄ Y and ma - k factors a Y, each a meets an ā, which makes (1 + x)/2, and
    each b a -b̄, which makes (x - 1)/2.
    """
    ma, mb = (j - s + t) // 2, (j - s - t) // 2
    sum = [Fraction(0)] * (mb + 1)
    for k in range(t, ma + 1):
        term = [Fraction(math.comb(j - mb, k) * math.comb(mb, ma - k))]
        for sign in [1] * (ma - k) + [-1] * (k - t):
            term = _times_half(term, sign)
        sum = [a + b for a, b in zip(sum, term, strict=True)]
    f = math.factorial
    norm = math.sqrt(f(ma) * f(j - ma) / (f(mb) * f(j - mb)))
    return [float(c) * norm for c in sum]


def _times_half(chebyshev, sign):
    """Multiply a Chebyshev series by (x + sign)/2: x T_k = (T_(k+1) + T_|k-1|)/2."""
    product = [Fraction(0)] * (len(chebyshev) + 1)
    for k, c in enumerate(chebyshev):
        product[k] += c * sign / 2
        product[k + 1] += c / 4
        product[abs(k - 1)] += c / 4
    return product


# ---- Clebsch-Gordan coefficients


# ---- which of a triple is made of the product of the other two


def _others(triple, position):
    return triple[:position] + triple[position + 1 :]


def _product_counts(j1, j2, merged):
    """Return how many products of U_j1 and U_j2 have |s| + |t| <= J, for J = 0, 1, ..."""
    _, _, s, t, _ = _pairs_of_elements(j1, j2, merged)
    return np.cumsum(np.bincount(abs(s) + abs(t), minlength=j1 + j2 + 1))


@functools.lru_cache(maxsize=4)
def choose_outputs(twojmax, triples, merged):
    """Return for each triple the position of the output.

    The cost of a pair (j1, j2): 4 multiply-adds for each product that any of its outputs needs,
    and 2 for each output that needs it. Simulated annealing from the smallest outputs, with a
    random generator of its own: the same lists everywhere.
    """
    rng = random.Random(twojmax)
    counts = {
        (j1, j2): _product_counts(j1, j2, merged)
        for j1 in range(twojmax + 1)
        for j2 in range(j1, twojmax + 1)
    }

    def cost(pair, outputs):
        if not outputs:
            return 0
        count = counts[pair]
        return 4 * int(count[max(outputs)]) + 2 * sum(int(count[j]) for j in outputs)

    best, least = None, math.inf
    for _ in range(ROUNDS):
        chosen = [0] * len(triples)
        outputs = {pair: [] for pair in counts}
        for triple in triples:
            outputs[_others(triple, 0)].append(triple[0])
        now = sum(cost(pair, js) for pair, js in outputs.items())
        if best is None:
            best, least = list(chosen), now
        steps = STEPS + 100 * len(triples)
        for step in range(steps):
            temperature = 0.02 * now / len(triples) * (1 - step / steps) ** 2 * 10
            k = rng.randrange(len(triples))
            triple, old, new = triples[k], chosen[k], rng.randrange(3)
            if triple[old] == triple[new]:
                continue
            a, b = _others(triple, old), _others(triple, new)
            fewer = [j for j in outputs[a] if j != triple[old]]
            more = [*outputs[b], triple[new]]
            change = cost(a, fewer) + cost(b, more) - cost(a, outputs[a]) - cost(b, outputs[b])
            if change <= 0 or rng.random() < math.exp(-change / max(temperature, 1e-9)):
                outputs[a], outputs[b], chosen[k], now = fewer, more, new, now + change
                if now < least:
                    best, least = list(chosen), now
    return tuple(best)


# ---- lists of products


def _pairs_of_elements(j1, j2, merged):
    """Return all pairs of elements of U_j1 and U_j2 whose product is at s > 0, or s = 0 and t >= 0.

    As five arrays: places in the first matrix, in the second (rows mb, columns ma), s and t of the
    product, and how often it counts: twice where ``merged`` and the same with the two exchanged,
    of j1 = j2, is left out.
    """
    first = np.repeat(np.arange((j1 + 1) ** 2), (j2 + 1) ** 2)
    second = np.tile(np.arange((j2 + 1) ** 2), (j1 + 1) ** 2)
    (mb1, ma1), (mb2, ma2) = divmod(first, j1 + 1), divmod(second, j2 + 1)
    s, t = j1 + j2 - ma1 - mb1 - ma2 - mb2, ma1 - mb1 + ma2 - mb2
    needed = (s > 0) | ((s == 0) & (t >= 0))
    times = np.ones(len(first))
    if merged and j1 == j2:
        needed &= first <= second
        times[first != second] = 2
    return first[needed], second[needed], s[needed], t[needed], times[needed]


class Lists(NamedTuple):
    """Lists of products, one after another: see kernel/products.pxd.

    heads : (n_lists, 4) int32
        Numbers of products, of conjugated ones that follow them, of exchanged ones that follow
        those, and of outputs.
    targets : (n_lists, MOST_OUTPUTS, 2) int32
        The element of each output, and its triple.
    factors : (n_products, 2) int32
        The two elements of each product, of U_j1 and of U_j2. In the conjugated ones the second one
        is conjugated; so it is in the exchanged ones, where it is that of U_j1. (If both U belong
        to the same channel, that does not matter, and exchanged ones count as conjugated.)
    coefficients : (n_coefficients,) float64
        One for each output of each product.
    """

    heads: np.ndarray
    targets: np.ndarray
    factors: np.ndarray
    coefficients: np.ndarray


@functools.lru_cache(maxsize=4)
def make_lists(twojmax, triples, merged):
    """Return the lists for the values of these triples.

    ``merged``: U_j1 and U_j2 belong to the same channel, where products commute.
    """
    elements = make_elements(twojmax)
    by_pair = {}
    for k, (triple, position) in enumerate(
        zip(triples, choose_outputs(twojmax, triples, merged), strict=True)
    ):
        by_pair.setdefault(_others(triple, position), []).append((triple[position], k))
    lists = []
    for pair, outputs in sorted(by_pair.items()):
        lists += _lists_of_pair(elements, *pair, sorted(outputs), merged)
    return Lists(
        np.array([head for head, _, _, _ in lists], dtype=np.int32),
        np.array([targets for _, targets, _, _ in lists], dtype=np.int32),
        np.concatenate([factors for _, _, factors, _ in lists]).astype(np.int32),
        np.concatenate([coefficients.ravel() for _, _, _, coefficients in lists]),
    )


def _lists_of_pair(elements, j1, j2, outputs, merged):
    """Yield (head, targets, factors, coefficients) for each s and t that the outputs have."""
    first, second, s, t, times = _pairs_of_elements(j1, j2, merged)
    (mb1, ma1), (mb2, ma2) = divmod(first, j1 + 1), divmod(second, j2 + 1)
    coefficients = np.zeros((len(first), len(outputs)))
    for column, (j, _) in enumerate(outputs):
        cg = clebsch_gordan(j1, j2, j)
        coefficients[:, column] = times * cg[ma1, ma2] * cg[mb1, mb2] / (j + 1)
    coefficients[(s != 0) | (t != 0)] *= 2  # with the other half
    one, conjugated1, sign1 = _stored(elements, j1, ma1, mb1)
    two, conjugated2, sign2 = _stored(elements, j2, ma2, mb2)
    coefficients *= (sign1 * sign2)[:, None]
    factors = np.where(conjugated1, [two, one], [one, two]).T
    kind = conjugated1 * (1 if merged else 2) + conjugated2  # plain, conjugated, exchanged
    order = np.lexsort((kind, t, s))
    order = order[coefficients[order].any(axis=1)]
    breaks = np.flatnonzero(np.diff(s[order]) | np.diff(t[order])) + 1
    for group in np.split(order, breaks):
        target_s, target_t = s[group[0]], t[group[0]]
        reached = [c for c, (j, _) in enumerate(outputs) if j >= abs(target_s) + abs(target_t)]
        for begin in range(0, len(reached), MOST_OUTPUTS):
            columns = reached[begin : begin + MOST_OUTPUTS]
            targets = [(elements.numbers[outputs[c][0], target_s, target_t], outputs[c][1])
                       for c in columns]  # fmt: skip
            yield (
                (*np.bincount(kind[group], minlength=3), len(columns)),
                targets + [(0, 0)] * (MOST_OUTPUTS - len(columns)),
                factors[group],
                coefficients[np.ix_(group, columns)],
            )


def _stored(elements, j, ma, mb):
    """Return which stored elements hold these, whether conjugated, and with what sign."""
    s, t = j - ma - mb, ma - mb
    conjugated = s < 0
    which = [
        elements.numbers[j, abs(a), -b if a < 0 else b]
        for a, b in zip(s.tolist(), t.tolist(), strict=True)
    ]
    return np.array(which), conjugated, np.where(conjugated & (t % 2 == 1), -1, 1)
