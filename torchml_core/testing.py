"""Public checks: of models by finite differences, of descriptors by their invariances.

The checks of descriptors are AssertionErrors with figures. Each takes a descriptor, a
configuration and a random generator, and :func:`check_descriptor` runs them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.descriptors.base import Descriptor
from torchml_core.finite_differences import (
    POINTS,
    WEIGHTS,
    finite_difference_forces,
    finite_difference_stress,
)

if TYPE_CHECKING:
    from typing import Any

    from ase import Atoms

    from torchml_core.descriptors.base import Descriptor


__all__ = ["check_descriptor", "finite_difference_forces", "finite_difference_stress"]

STEP = 2e-4  # of finite differences, in Å or of strain: small, to cross no cutoff
RATTLE = 0.02  # Å, which breaks any symmetry


def check_descriptor(
    descriptor: Descriptor, atoms: Atoms | Configuration, *, seed: int = 0
) -> None:
    """Check that a descriptor's values and derivatives are what they should be.

    Values do not change under rotation, translation, a new order of particles, rows or list
    entries, with entries beyond the cutoff, with the number of threads, or with what other rows
    there are; float32 is near float64; jvp and vjp are derivatives of compute (finite differences
    of positions, and of strain), are each other's adjoint, and agree with the Jacobian; the input
    stays untouched; the values tell centers apart if the descriptor says so.

    Parameters
    ----------
    descriptor : Descriptor
    atoms : ase.Atoms or Configuration
        Any structure, except with a pair on the cutoff of a descriptor whose values jump there.
        Most is found in one without symmetry (rattled), where no derivative is zero, and with two
        species if the descriptor has them.
    seed : int
        Of the random rotation, directions and weights.

    Raises
    ------
    AssertionError
        Something does not hold; the message says what, and by how much.
    """
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    seed = checks.whole("seed", seed, 0)
    configuration: Configuration
    if isinstance(atoms, Configuration):
        configuration = atoms
    else:
        configuration = Configuration.from_atoms(atoms, descriptor.cutoff, descriptor.species)
    for check in DESCRIPTOR_CHECKS:
        check(descriptor, configuration, np.random.default_rng(seed))


def check_rotation(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Under rotation, values stay and gradients rotate (for rotation-invariant descriptors)."""
    if not descriptor.rotation_invariant:
        return
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    turned = with_arrays(c, positions=c.positions @ rotation.T)
    weights, sizes = _weights(descriptor, c, rng)
    values = descriptor.compute(c)
    _check_close("rotation: values", descriptor.compute(turned), values, 1e-10, sizes)
    expected = descriptor.vjp(c, weights) @ rotation.T
    _check_close("rotation: vjp", descriptor.vjp(turned, weights), expected, 1e-10)


def check_translation(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Under translation, values and gradients stay."""
    moved = with_arrays(c, positions=c.positions + rng.uniform(-10, 10, 3))
    weights, sizes = _weights(descriptor, c, rng)
    values = descriptor.compute(c)
    _check_close("translation: values", descriptor.compute(moved), values, 1e-10, sizes)
    expected = descriptor.vjp(c, weights)
    _check_close("translation: vjp", descriptor.vjp(moved, weights), expected, 1e-10)


def check_permutation(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Results follow the order of particles, rows and entries."""
    particles, rows = rng.permutation(c.n_particles), rng.permutation(c.n_centers)
    entries = np.concatenate(
        [np.empty(0, dtype=int)]
        + [rng.permutation(np.arange(c.offsets[row], c.offsets[row + 1])) for row in rows]
    )
    new_index = np.argsort(particles)
    shuffled = with_arrays(
        c,
        positions=c.positions[particles],
        species=c.species[particles],
        contributing=c.contributing[particles],
        centers=new_index[c.centers[rows]],
        offsets=np.concatenate([[0], np.cumsum(np.diff(c.offsets)[rows])]),
        neighbors=new_index[c.neighbors[entries]],
    )
    weights, sizes = _weights(descriptor, c, rng)
    values = descriptor.compute(c)
    _check_close("permutation: values", descriptor.compute(shuffled), values[rows], 1e-10, sizes)
    pairs = descriptor.pair_gradients(c, weights)
    _check_close(
        "permutation: pair_gradients",
        descriptor.pair_gradients(shuffled, weights[rows]),
        pairs[entries],
        1e-10,
    )
    gradient = descriptor.vjp(c, weights)
    _check_close(
        "permutation: vjp", descriptor.vjp(shuffled, weights[rows]), gradient[particles], 1e-10
    )


def check_skin(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Entries beyond the cutoff change nothing, to the last bit, and have no gradient."""
    neighbors, in_list = [], []
    for row, center in enumerate(c.centers):
        own = c.neighbors[c.offsets[row] : c.offsets[row + 1]]
        distances = np.linalg.norm(c.positions - c.positions[center], axis=1)
        far = np.setdiff1d(np.flatnonzero(distances > descriptor.cutoff), own)
        far = rng.permutation(far)[: len(own) + 1]
        neighbors.append(np.concatenate([far[:1], own, far[1:]]))
        in_list.append(np.isin(neighbors[-1], own))
    skinned = with_arrays(
        c,
        neighbors=np.concatenate([np.empty(0, dtype=int), *neighbors]).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in neighbors])]).astype(np.int64),
    )
    kept = np.concatenate([np.empty(0, dtype=bool), *in_list])
    weights, _ = _weights(descriptor, c, rng)
    pairs = np.zeros((len(kept), 3))
    pairs[kept] = descriptor.pair_gradients(c, weights)
    _check_same("skin: values", descriptor.compute(skinned), descriptor.compute(c))
    _check_same("skin: pair_gradients", descriptor.pair_gradients(skinned, weights), pairs)
    _check_same("skin: vjp", descriptor.vjp(skinned, weights), descriptor.vjp(c, weights))


def check_float32(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """float32 input gives float32 output, close to the float64 result."""
    weights, sizes = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    single = (
        descriptor.compute(c, dtype=np.float32),
        descriptor.vjp(c, weights.astype(np.float32)),
        descriptor.jvp(c, direction.astype(np.float32)),
        descriptor.jacobian(c, dtype=np.float32).values,
    )
    double = (
        descriptor.compute(c),
        descriptor.vjp(c, weights),
        descriptor.jvp(c, direction),
        descriptor.jacobian(c).values,
    )
    for name, low, high in zip(("values", "vjp", "jvp", "jacobian"), single, double, strict=True):
        dtypes = (low.dtype, high.dtype)
        if dtypes != (np.float32, np.float64):
            raise AssertionError(f"float32: {name} have dtypes {dtypes[0]}, {dtypes[1]}")
        size = 1 if name == "vjp" else sizes.max(initial=1e-300)
        _check_close(f"float32: {name}", low, high, 1e-4, size)


def check_threads(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """All verbs give the same bits with any number of threads."""
    weights, _ = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    for n_threads in (2, 3):
        for name, verb in (
            ("values", lambda n: descriptor.compute(c, n_threads=n)),
            ("pair_gradients", lambda n: descriptor.pair_gradients(c, weights, n_threads=n)),
            ("vjp", lambda n: descriptor.vjp(c, weights, n_threads=n)),
            ("virial", lambda n: descriptor.vjp(c, weights, virial=True, n_threads=n)[1]),
            ("jvp", lambda n: descriptor.jvp(c, direction, n_threads=n)),
            ("jacobian", lambda n: descriptor.jacobian(c, n_threads=n).values),
        ):
            _check_same(f"{n_threads} threads: {name}", verb(n_threads), verb(1))


def check_rows(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Each row has the same bits whatever other rows there are, and in whatever order."""
    weights, _ = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    whole = _rowwise(descriptor, c, weights, direction)
    shuffled = rng.permutation(c.n_centers)
    for rows in (shuffled, shuffled[: c.n_centers // 2], shuffled[:1]):
        entries = np.concatenate(
            [np.empty(0, dtype=int)]
            + [np.arange(c.offsets[row], c.offsets[row + 1]) for row in rows]
        )
        some = with_arrays(
            c,
            contributing=np.isin(np.arange(c.n_particles), c.centers[rows]),
            centers=c.centers[rows],
            offsets=np.concatenate([[0], np.cumsum(np.diff(c.offsets)[rows])]),
            neighbors=c.neighbors[entries],
        )
        found = _rowwise(descriptor, some, weights[rows], direction)
        for name, of_rows in (("values", True), ("jvp", True), ("vjp", False), ("jacobian", False)):
            expected = whole[name][rows if of_rows else entries]
            _check_same(f"{len(rows)} rows of {c.n_centers}: {name}", found[name], expected)


def _rowwise(descriptor, c, weights, direction):
    """The results of each verb for single rows, or for their entries."""
    return {
        "values": descriptor.compute(c),
        "jvp": descriptor.jvp(c, direction),
        "vjp": descriptor.pair_gradients(c, weights),
        "jacobian": descriptor.jacobian(c).values,
    }


def check_centers(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """Lone atoms of different species have different values, if ``tells_centers_apart``."""
    if not descriptor.tells_centers_apart:
        return
    n = len(descriptor.species)
    atoms, offsets = np.arange(n), np.zeros(n + 1, dtype=np.int64)
    names = descriptor.species
    lone = Configuration(
        np.zeros((n, 3)), atoms, np.ones(n, dtype=bool), atoms, offsets, [], species_names=names
    )
    rows = descriptor.compute(lone)
    for i, j in zip(*np.triu_indices(n, 1), strict=True):
        if np.array_equal(rows[i], rows[j]):
            raise AssertionError(
                f"tells_centers_apart: {names[i]} and {names[j]} without neighbors have equal"
                " values"
            )


def check_input_untouched(
    descriptor: Descriptor, c: Configuration, rng: np.random.Generator
) -> None:
    """No verb writes to what it is given."""
    weights, _ = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    given = {name: getattr(c, name) for name in _ARRAYS}
    given |= {"dE_dD": weights, "dr": direction}
    before = {name: np.array(array) for name, array in given.items()}
    descriptor.compute(c)
    descriptor.vjp(c, weights)
    descriptor.jvp(c, direction)
    descriptor.jacobian(c)
    for name, array in given.items():
        _check_same(f"input untouched: {name}", array, before[name])


def check_jvp(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """jvp is the derivative of compute along random directions of all particles."""
    sizes = _sizes(descriptor, c)
    for _ in range(3):
        direction = rng.standard_normal(c.positions.shape)

        def values(shift, direction=direction):
            return descriptor.compute(_moved(c, shift * direction), n_threads=1)

        tangent = descriptor.jvp(c, direction)
        _check_derivative("finite differences: jvp", tangent, values, sizes)


def check_vjp(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """vjp is the derivative of Σ dE_dD · D with respect to single coordinates, of ghosts too."""
    weights, _ = _weights(descriptor, c, rng)
    particles = rng.permutation(c.n_particles)[:12]
    directions = np.zeros((len(particles), 3, c.n_particles, 3))
    for k, particle in enumerate(particles):
        directions[k, :, particle] = np.eye(3)
    gradient = descriptor.vjp(c, weights)[particles]
    energies = _energies_along(directions, descriptor, c, weights)
    _check_derivative("finite differences: vjp", gradient, energies)


def check_strain(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """The derivative of Σ dE_dD · D with respect to strain is Σ pair_gradients ⊗ r_ij, and -W."""
    weights, _ = _weights(descriptor, c, rng)
    directions = np.zeros((3, 3, c.n_particles, 3))
    for a in range(3):
        directions[a, :, :, a] = c.positions.T
    r = c.positions[c.neighbors] - c.positions[c.pair_centers()]
    strained = descriptor.pair_gradients(c, weights).T @ r
    gradient, W = descriptor.vjp(c, weights, virial=True)
    _check_same("vjp with the virial", gradient, descriptor.vjp(c, weights))
    energies = _energies_along(directions, descriptor, c, weights)
    _check_derivative("finite differences: strain", strained, energies)
    _check_close("virial", -W.T, strained, 1e-12)


def check_adjoint(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """dE_dD · jvp(dr) = vjp(dE_dD) · dr."""
    weights, _ = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    forward = weights * descriptor.jvp(c, direction)
    backward = descriptor.vjp(c, weights) * direction
    size = np.abs(forward).sum() + np.abs(backward).sum() + weights.size
    _check_close("adjoint: jvp and vjp", forward.sum() / size, backward.sum() / size, 1e-13)


def check_jacobian(descriptor: Descriptor, c: Configuration, rng: np.random.Generator) -> None:
    """The Jacobian times a vector, from either side, is pair_gradients, jvp and vjp."""
    weights, sizes = _weights(descriptor, c, rng)
    direction = rng.standard_normal(c.positions.shape)
    jacobian = descriptor.jacobian(c)
    if jacobian.nbytes != descriptor.jacobian_nbytes(c):
        raise AssertionError(
            f"jacobian: {jacobian.nbytes} bytes, but jacobian_nbytes says"
            f" {descriptor.jacobian_nbytes(c)}"
        )
    rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
    contracted = np.einsum("pac,pc->pa", jacobian.values, weights[rows])
    pairs = descriptor.pair_gradients(c, weights)
    _check_close("jacobian: pair_gradients", contracted, pairs, 1e-10)
    sparse, dense = jacobian.to_scipy(), jacobian.to_dense()
    _check_close("jacobian: to_dense", dense.reshape(sparse.shape), sparse.toarray(), 1e-13)
    tangent = descriptor.jvp(c, direction)
    product = (sparse @ direction.ravel()).reshape(tangent.shape)
    _check_close("jacobian: jvp", product, tangent, 1e-10, sizes)
    gradient = descriptor.vjp(c, weights)
    _check_close(
        "jacobian: vjp", (weights.ravel() @ sparse).reshape(gradient.shape), gradient, 1e-10
    )


DESCRIPTOR_CHECKS = (
    check_input_untouched,
    check_rotation,
    check_translation,
    check_permutation,
    check_skin,
    check_float32,
    check_threads,
    check_jvp,
    check_vjp,
    check_strain,
    check_adjoint,
    check_jacobian,
    check_rows,
    check_centers,
)

_ARRAYS = ("positions", "species", "contributing", "centers", "offsets", "neighbors")


def with_arrays(c: Configuration, **changed: Any) -> Configuration:
    """Return a configuration with some of its arrays changed; it knows no parents or cell."""
    arrays = {name: getattr(c, name) for name in _ARRAYS} | changed
    return Configuration(**arrays, species_names=c.species_names, cutoff=c.cutoff)


def _weights(descriptor, c, rng):
    """Random dE/dD in which all components' derivatives weigh alike, and rows do not; sizes."""
    sizes = _sizes(descriptor, c)
    return rng.standard_normal((c.n_centers, descriptor.width)) / sizes, sizes


def _sizes(descriptor, c):
    """How large each component's derivatives are, in 1/Å: its errors are measured by that.

    Those of a perfect crystal may be zero by symmetry, and of some components (a norm) in any
    structure: rounding errors are not what others should be measured by. Therefore positions
    without symmetry count too, and a hundredth of the values. Components that are nothing beside
    the largest (1e-20: float32 has no such numbers) are not made to weigh.
    """
    rattle = np.random.default_rng(0).uniform(-RATTLE, RATTLE, c.positions.shape)
    sizes = np.zeros(descriptor.width)
    for configuration in (c, with_arrays(c, positions=c.positions + rattle)):
        derivatives = np.abs(descriptor.jacobian(configuration).values).max((0, 1), initial=0)
        values = np.abs(descriptor.compute(configuration)).max(0, initial=0)
        sizes = np.maximum.reduce([sizes, derivatives, values / 100])
    if not np.isfinite(sizes).all():
        component = int(np.argmin(np.isfinite(sizes)))
        raise AssertionError(f"values or jacobian: component {component} is not finite")
    largest = sizes.max(initial=0)
    return np.where(sizes > 1e-20 * largest, sizes, largest or 1)


def _moved(c, displacements):
    return with_arrays(c, positions=c.positions + displacements)


def _energies_along(directions, descriptor, c, weights):
    """The function of a step that returns Σ dE_dD · D after a step in each direction."""

    def energies(step):
        found = [
            np.sum(weights * descriptor.compute(_moved(c, step * direction), n_threads=1))
            for direction in directions.reshape(-1, *c.positions.shape)
        ]
        return np.reshape(found, directions.shape[:-2])

    return energies


def _check_derivative(what, found, function, sizes=1):
    """Compare with the finite differences of a function of a step.

    Where they do not agree, half the step tells how far the differences are off themselves, which
    strong curvature or a pair on its cutoff (a second derivative that jumps) may bring about. Twice
    that is allowed for: too little for a value that jumps, whose differences grow.
    """
    coarse = _derivative(function, STEP)
    try:
        _check_close(what, found, coarse, 1e-7, sizes)
    except AssertionError:
        fine = _derivative(function, STEP / 2)
        uncertainty = 2 * np.abs(fine - coarse)
        _check_close(what, found, 2 * fine - coarse, 1e-7, sizes, uncertainty)


def _derivative(function, step):
    return sum(w * function(step * p) for w, p in zip(WEIGHTS, POINTS, strict=True)) / step


def _check_close(what, found, expected, tolerance, sizes=1, uncertainty=0):
    """Within a tolerance relative to the largest expected number, or to 1.

    All numbers are divided by ``sizes`` first, those of components: what is compared is of order
    1. The uncertainty of what is expected is allowed for.
    """
    if np.shape(found) != np.shape(expected):
        raise AssertionError(f"{what}: shape {np.shape(found)}, {np.shape(expected)} expected")
    scale = max(1, np.abs(expected / sizes).max(initial=0))
    error = np.abs((found - expected) / sizes) / scale
    allowed = tolerance + uncertainty / sizes / scale
    if not np.all(error <= allowed):
        excess = np.nan_to_num(error - allowed, nan=np.inf)
        worst = np.unravel_index(np.argmax(excess), np.shape(excess))
        raise AssertionError(
            f"{what}: {np.asarray(found)[worst]:.12g} at {tuple(map(int, worst))} where"
            f" {np.asarray(expected)[worst]:.12g} is expected: off by {error[worst]:.1e}"
            f" of the largest, {tolerance:.0e} allowed"
        )


def _check_same(what, found, expected):
    """Equal to the last bit."""
    if not np.array_equal(found, expected):
        error = np.abs(np.subtract(found, expected, dtype=float)).max(initial=0)
        raise AssertionError(f"{what}: not the same bits, off by {error:.1e}")
