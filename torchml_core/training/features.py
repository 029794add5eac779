"""Rows of the least-squares problem of one structure: derivatives of its labels by coefficients.

A model of degree 1 or 2 is linear in its coefficients: the energy of an atom is w · φ(D) with

    φ = (1, D_1 ... D_n)    or    φ = (1, D_1 ... D_n, t_k t_l for k <= l)

for each element separately, where t are the values D, or their leading principal components: wide
descriptors have too many products of values. Energies, forces and stresses of a structure are then
linear as well, with rows made of D and of its Jacobian.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from torchml_core.configuration import Configuration
from torchml_core.training.products import eigenvectors, product
from torchml_core.voigt import VOIGT

JACOBIAN = 8 * 2**20  # bytes, of one block of centers
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

    def energies(self, values, codes, sizes):
        """(n_structures, n), the derivatives of energies per atom.

        Parameters
        ----------
        values : (n_atoms, width)
            Of the first structure's atoms, then those of the second, ...
        codes : (n_atoms,) int
        sizes : sequence of int
            Numbers of atoms of the structures.
        """
        out = np.zeros((len(sizes), self.n_elements, self.n_of_element))
        structure = np.repeat(np.arange(len(sizes)), sizes)
        for element in range(self.n_elements):
            own = np.flatnonzero(codes == element)
            if len(own):
                found, first = np.unique(structure[own], return_index=True)
                features = self.of_atoms(values[own], element)
                out[found, element] = np.add.reduceat(features, first)
        return out.reshape(len(sizes), -1) / np.asarray(sizes)[:, None]

    def rows(self, c, values, *, forces, stress, n_threads=None):
        """Return the Rows of a configuration with the values D."""
        codes = c.codes(self.species)[c.centers]
        energy = self.energies(values, codes, [c.n_centers])
        if not forces and not stress:
            return Rows(energy, None, None)
        n_atoms = c.n_centers if forces else 0
        out = np.zeros((n_atoms + 3 * stress, 3, self.n_elements, self.n_of_element))
        for part, first, end in _blocks(c, self.descriptor.width):
            jacobian = self.descriptor.jacobian(part, n_threads=n_threads).values
            pairs = _pairs_of(c, part)
            for element in np.unique(codes[first:end]):
                own = pairs.of(codes[pairs.centers] == element)
                atoms, found = self._derivatives(own, jacobian, values, element, forces, stress)
                out[atoms, :, element] += found
        strain = out[n_atoms:].reshape(-1, self.n)
        forces_rows = out[:n_atoms].reshape(-1, self.n)
        return Rows(
            energy,
            np.negative(forces_rows, out=forces_rows) if forces else None,
            _voigt(strain) / abs(np.linalg.det(c.cell)) if stress else None,
        )

    def _derivatives(self, pairs, jacobian, values, element, forces, stress):
        """The rows of dφ/dr and dφ/dstrain that pairs contribute to, and (n, 3, n_of_element)."""
        width = jacobian.shape[2]
        own = jacobian if len(pairs.places) == len(jacobian) else jacobian[pairs.places]
        sums = _Sums(pairs, forces, stress)
        out = np.zeros((len(sums.rows), 3, self.n_of_element))
        out[:, :, 1 : 1 + width] = sums.of(own)
        if self.degree == 2:
            centers, of_pairs = np.unique(pairs.centers, return_inverse=True)
            factors = self._factors(values[centers], element)[of_pairs]
            if self.axes is not None:
                own = product(own.reshape(-1, width), self.axes.axes[element]).reshape(
                    *own.shape[:2], -1
                )
            out[:, :, 1 + width :] = _products(sums, factors, own)
        return sums.rows, out


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
            variances, axes = eigenvectors(product(centered.T, centered) / len(own))
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
        return product(values - self.mean[element], self.axes[element])


def _products(sums, values, own):
    """(n, 3, n_products): sums of D_k dD_l + D_l dD_k over pairs, k <= l."""
    n = own.shape[2]
    found = sums.outer(own, values).transpose(0, 2, 1, 3)
    found = (found + found.transpose(0, 1, 3, 2)).reshape(len(found), 3, n * n)
    k, l = np.triu_indices(n)
    return found[:, :, n * k + l]


class _Pairs(NamedTuple):
    """Pairs of a configuration.

    Attributes
    ----------
    places : (n_pairs,) int
        Their rows in the Jacobian of a block.
    centers, neighbors : (n_pairs,) int
        Of which atoms, as rows of the values.
    vectors : (n_pairs, 3) float64
        r_ij.
    """

    places: np.ndarray
    centers: np.ndarray
    neighbors: np.ndarray
    vectors: np.ndarray

    def of(self, chosen):
        """Those where chosen (n_pairs,) is True."""
        return self if chosen.all() else _Pairs(*(array[chosen] for array in self))


def _pairs_of(c, part):
    """The pairs of a block of c."""
    row_of = np.zeros(c.n_particles, dtype=np.int64)
    row_of[c.centers] = np.arange(c.n_centers)
    i = part.pair_centers()
    return _Pairs(
        places=np.arange(part.n_pairs),
        centers=row_of[i],
        neighbors=row_of[c.parents[part.neighbors]],
        vectors=c.positions[part.neighbors] - c.positions[i],
    )


def _blocks(c, width):
    """Yield a configuration of some of the centers, and the first and last of them + 1.

    The Jacobian of each block takes a limited memory.
    """
    most = max(1, JACOBIAN // (24 * width))
    first = 0
    while first < c.n_centers:
        limit = c.offsets[first] + most
        end = max(first + 1, int(np.searchsorted(c.offsets, limit, side="right")) - 1)
        a, b = c.offsets[first], c.offsets[end]
        own = {"centers": c.centers[first:end], "offsets": c.offsets[first : end + 1] - a}
        yield Configuration.unchecked(**vars(c) | own | {"neighbors": c.neighbors[a:b]}), first, end
        first = end


class _Sums:
    """Sums over pairs: for forces those of atoms, +1 for the neighbor and -1 for the center; for
    the stress those with the three components of r_ij.

    Attributes
    ----------
    rows : (n,) int
        The atoms that occur, then -3, -2, -1 if there is a stress: the last three rows.
    """

    def __init__(self, pairs, forces, stress):
        from scipy.sparse import csr_array  # slow to import

        n, rows = len(pairs.places), []
        self._matrix, self._vectors = None, pairs.vectors if stress else None
        if forces:
            ends = np.concatenate([pairs.neighbors, pairs.centers])
            atoms, ends = np.unique(ends, return_inverse=True)
            order = np.argsort(ends, kind="stable")
            starts = np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=len(atoms)))])
            signs = np.where(order < n, 1.0, -1.0)
            self._matrix = csr_array((signs, order % n, starts), (len(atoms), n))
            rows.append(atoms)
        if stress:
            rows.append(np.arange(-3, 0))
        self.rows = np.concatenate(rows)

    def of(self, derivatives):
        """(n, 3, m) of (n_pairs, 3, m)."""
        n_pairs, _, m = derivatives.shape
        flat, parts = derivatives.reshape(n_pairs, 3 * m), []
        if self._matrix is not None:
            parts.append(self._matrix @ flat)
        if self._vectors is not None:
            parts.append(product(self._vectors.T, flat))
        return np.concatenate(parts).reshape(-1, 3, m)

    def outer(self, derivatives, factors):
        """(n, k, 3, m) of (n_pairs, 3, m), multiplied with each column of factors (n_pairs, k)."""
        n_pairs, _, m = derivatives.shape
        k, flat = factors.shape[1], derivatives.reshape(n_pairs, 3 * m)
        out = np.empty((len(self.rows), k, 3 * m))
        if self._matrix is not None:
            pairs, starts = self._matrix.indices, self._matrix.indptr.tolist()
            left, right = self._matrix.data[:, None] * factors[pairs], flat[pairs]
            for row, (first, end) in enumerate(itertools.pairwise(starts)):
                out[row] = product(left[first:end].T, right[first:end])
        if self._vectors is not None:
            for axis in range(3):
                weighted = self._vectors[:, axis : axis + 1] * factors
                out[axis - 3] = product(weighted.T, flat)
        return out.reshape(-1, k, 3, m)


def _voigt(strain):
    """(6, n) of (9, n), the derivatives with respect to strain, which are symmetric in sum."""
    a = strain.reshape(3, 3, -1)
    symmetric = (a + a.transpose(1, 0, 2)) / 2
    return symmetric[VOIGT]
