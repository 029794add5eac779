"""Rows of the least-squares problem of one structure: derivatives of its labels by coefficients.

A model of degree 1 or 2 is linear in its coefficients: the energy of an atom is w · φ(D) with

    φ = (1, D_1 ... D_n)    or    φ = (1, D_1 ... D_n, t_k t_l for k <= l)

for each element separately, where t are the values D, or their leading principal components: wide
descriptors have too many products of values. Energies, forces and stresses of a structure are then
linear as well, with rows made of D and of its Jacobian.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchml_core.voigt import VOIGT

SMALLEST_VARIANCE = 1e-12  # of a principal component, relative to the largest: less is rounding


class Rows(NamedTuple):
    """Rows of one structure; each is None where it is not wanted.

    Attributes
    ----------
    energy : (1, n_features)
        Of the energy divided by the number of atoms.
    forces : (3 n_atoms, n_features)
    stress : (6, n_features)
        In the order xx yy zz yz xz xy.
    """

    energy: np.ndarray | None
    forces: np.ndarray | None
    stress: np.ndarray | None


class Features:
    """The features φ of a descriptor, for each element.

    Parameters
    ----------
    descriptor : Descriptor
    species : tuple of str
        The order of the elements.
    degree : {1, 2}
    axes : Axes, optional
        Of the components whose products are features of degree 2. None: products of values.

    Attributes
    ----------
    n_of_element : int
        Number of features of one element.
    n : int
        Of all elements: those of the first element, then those of the second, ...
    """

    def __init__(self, descriptor, species, degree, axes=None):
        width = descriptor.width
        self.descriptor, self.species, self.degree = descriptor, species, degree
        self.axes = axes if degree == 2 else None
        n_factors = width if self.axes is None else self.axes.n
        self.n_elements = len(species)
        self.n_of_element = 1 + width + (n_factors * (n_factors + 1) // 2 if degree == 2 else 0)
        self.n = self.n_elements * self.n_of_element

    def of_atoms(self, values, element):
        """(n, n_of_element) of the values D (n, width) of atoms of an element."""
        parts = [np.ones((len(values), 1)), values]
        if self.degree == 2:
            t = self._factors(values, element)
            parts += [t[:, k : k + 1] * t[:, k:] for k in range(t.shape[1])]
        return np.concatenate(parts, axis=1)

    def sizes(self):
        """(n,) sizes of coefficients with which all directions in the space of values count alike.

        The energy is then as likely to vary along a principal axis of small variance as along
        others, per unit of length, and so varies less among the atoms there are. This suits values
        that have the same unit, as those of SOAP. 0 for constants; None for products of all values.
        """
        if self.degree == 2 and self.axes is None:
            return None
        sizes = np.zeros((self.n_elements, self.n_of_element))
        width = self.descriptor.width
        for element in range(self.n_elements):
            sizes[element, 1 : 1 + width] = 1.0
            if self.axes is not None:
                spreads = self.axes.spreads(element)
                largest = spreads[0] or 1.0
                k, l = np.triu_indices(self.axes.n)
                sizes[element, 1 : 1 + width] = 1 / largest
                sizes[element, 1 + width :] = spreads[k] * spreads[l] / largest**2
        return sizes.ravel()

    def polynomial(self, coefficients, element):
        """Return (constant, linear (width,), quadratic (width, width)) of (n_of_element,) numbers.

        Those of the energy as a polynomial in the values; quadratic is None if degree is 1.
        """
        width = self.descriptor.width
        constant, linear = coefficients[0], coefficients[1 : 1 + width]
        if self.degree == 1:
            return constant, linear, None
        n = width if self.axes is None else self.axes.n
        products = np.zeros((n, n))
        products[np.triu_indices(n)] = coefficients[1 + width :]
        if self.axes is None:
            return constant, linear, products
        mean, axes = self.axes.mean[element], self.axes.axes[element]
        quadratic = axes @ products @ axes.T
        from_mean = (quadratic + quadratic.T) @ mean
        return constant + mean @ quadratic @ mean, linear - from_mean, quadratic

    def _factors(self, values, element):
        """What the products of degree 2 are made of."""
        return values if self.axes is None else self.axes.components(values, element)

    def rows(self, c, values, *, forces, stress, n_threads=None):
        """Return the Rows of a configuration with the values D."""
        codes = c.codes(self.species)[c.centers]
        energy = np.zeros((self.n_elements, self.n_of_element))
        for element in range(self.n_elements):
            energy[element] = self.of_atoms(values[codes == element], element).sum(axis=0)
        energy = energy.reshape(1, -1) / c.n_centers
        if not forces and not stress:
            return Rows(energy, None, None)
        sums = _PairSums(c, codes, forces, stress)
        jacobian = self.descriptor.jacobian(c, n_threads=n_threads).values
        by_element = [self._derivatives(sums, e, values, jacobian) for e in range(self.n_elements)]
        derivatives = np.concatenate(by_element, axis=2)
        n_atoms = c.n_centers if forces else 0
        strain = derivatives[n_atoms:].reshape(-1, self.n)
        return Rows(
            energy,
            -derivatives[:n_atoms].reshape(-1, self.n) if forces else None,
            _voigt(strain) / abs(np.linalg.det(c.cell)) if stress else None,
        )

    def _derivatives(self, sums, element, values, jacobian):
        """(n_atoms + 3, 3, n_of_element): dφ/dr of all atoms, and dφ/dstrain, of one element."""
        pairs, matrix, centers = sums.of_element(element)
        width = jacobian.shape[2]
        own = jacobian[pairs]
        out = np.zeros((matrix.shape[0], 3, self.n_of_element))
        out[:, :, 1 : 1 + width] = _times(matrix, own)
        if self.degree == 2:
            factors = self._factors(values, element)[centers]
            if self.axes is not None:
                own = own @ self.axes.axes[element]
            out[:, :, 1 + width :] = _products(matrix, factors, own)
        return out


class Axes:
    """Principal axes of the values of each element.

    Parameters
    ----------
    n : int
        How many components there are, those of the largest variance.
    values : (n_atoms, width) float64
    codes : (n_atoms,) int
    n_elements : int

    Attributes
    ----------
    mean : (n_elements, width) float64
    axes : (n_elements, width, n) float64
        Components ``(D - mean) @ axes`` have the variance 1; those without variance are 0.
    """

    def __init__(self, n, values, codes, n_elements):
        self.n, width = n, values.shape[1]
        self.mean = np.zeros((n_elements, width))
        self.axes = np.zeros((n_elements, width, n))
        for element in range(n_elements):
            own = values[codes == element]
            if len(own) < 2:
                continue
            self.mean[element] = own.mean(axis=0)
            centered = own - self.mean[element]
            variances, axes = np.linalg.eigh(centered.T @ centered / len(own))
            variances, axes = variances[::-1][:n], axes[:, ::-1][:, :n]
            there = variances > SMALLEST_VARIANCE * variances[0]
            scale = np.where(there, 1 / np.sqrt(np.where(there, variances, 1)), 0)
            self.axes[element] = axes * scale

    def spreads(self, element):
        """(n,) standard deviations of the values along the axes, in descending order."""
        lengths = np.linalg.norm(self.axes[element], axis=0)
        return np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)

    def components(self, values, element):
        """(n_atoms, n) of the values (n_atoms, width) of atoms of an element."""
        return (values - self.mean[element]) @ self.axes[element]


def _products(matrix, values, own):
    """(n, 3, n_products): sums of D_k dD_l + D_l dD_k over pairs, k <= l.

    T_k = Σ D_k dD is one product with the matrix, whose entries are multiplied with D_k of the
    pair's center.
    """
    width = own.shape[2]
    parts = np.empty((width, matrix.shape[0], 3, width))
    weighted = matrix.copy()
    for k in range(width):
        weighted.data = matrix.data * values[matrix.indices, k]
        parts[k] = _times(weighted, own)
    k, l = np.triu_indices(width)
    return (parts[k, :, :, l] + parts[l, :, :, k]).transpose(1, 2, 0)


class _PairSums:
    """Sums over the pairs of a configuration as products with a sparse matrix.

    Its rows are the atoms, if forces are wanted: +1 for the pair's neighbor, -1 for its center; and
    the three components of r_ij, if the stress is.
    """

    def __init__(self, c, codes, forces, stress):
        self._c, self._forces, self._stress = c, forces, stress
        sizes = np.diff(c.offsets)
        self._rows = np.repeat(np.arange(c.n_centers), sizes)  # of the values, of each pair
        self._elements = np.repeat(codes, sizes)

    def of_element(self, element):
        """The pairs whose center is of an element, the matrix, and the rows of their values."""
        from scipy.sparse import csr_array  # slow to import

        c = self._c
        pairs = np.flatnonzero(self._elements == element)
        n, rows, columns, entries = 0, [], [], []
        places = np.arange(len(pairs))
        if self._forces:
            row_of = np.empty(c.n_particles, dtype=np.int64)
            row_of[c.centers] = np.arange(c.n_centers)
            neighbors = row_of[c.parents[c.neighbors[pairs]]]
            rows += [neighbors, self._rows[pairs]]
            columns += [places, places]
            entries += [np.ones(len(pairs)), -np.ones(len(pairs))]
            n = c.n_centers
        if self._stress:
            i, j = c.centers[self._rows[pairs]], c.neighbors[pairs]
            r_ij = c.positions[j] - c.positions[i]
            for axis in range(3):
                rows.append(np.full(len(pairs), n + axis))
                columns.append(places)
                entries.append(r_ij[:, axis])
            n += 3
        indices = np.concatenate(rows), np.concatenate(columns)
        return (
            pairs,
            csr_array((np.concatenate(entries), indices), (n, len(pairs))),
            (self._rows[pairs]),
        )


def _times(matrix, blocks):
    """(n, 3, m) of a sparse (n, n_pairs) matrix and (n_pairs, 3, m)."""
    n_pairs, _, m = blocks.shape
    return (matrix @ blocks.reshape(n_pairs, 3 * m)).reshape(-1, 3, m)


def _voigt(strain):
    """(6, n) of (9, n), the derivatives with respect to strain, which are symmetric in sum."""
    a = strain.reshape(3, 3, -1)
    symmetric = (a + a.transpose(1, 0, 2)) / 2
    return symmetric[VOIGT]
