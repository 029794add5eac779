"""What every descriptor must pass: the public checks, and the edges of what may be asked.

In a descriptor's own test module::

    class TestKit(DescriptorKit):
        @pytest.fixture
        def descriptor(self): ...

A descriptor with many settings passes ``SettingsKit`` with each of them, and ``ArgumentsKit``,
which does not depend on settings, with one::

    class TestSettings(SettingsKit):
        @pytest.fixture(params=[...])
        def descriptor(self, request): ...

    class TestArguments(ArgumentsKit):
        @pytest.fixture
        def descriptor(self): ...

The descriptor's species must be Si and C, its cutoff at most 4.5 Å.
"""

import contextlib
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import torchml_core as tm
from torchml_core.descriptors import registry
from torchml_core.testing import DESCRIPTOR_CHECKS, check_threads, with_arrays


def silicon_carbide():
    """Two species, periodic along two vectors of a tilted cell: ghosts, and a free surface."""
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.set_cell(atoms.cell.array + np.diag([0.3, 0.2], k=1), scale_atoms=True)
    atoms.pbc = (True, True, False)
    atoms.rattle(0.15, seed=3)
    return atoms


def cluster():
    """No cell at all; some atoms have no neighbor of one kind, one has none."""
    rng = np.random.default_rng(5)
    positions = np.vstack([rng.uniform(0, 4.5, (7, 3)), [[30.0, 0.0, 0.0]]])
    for k in range(7):  # no two nearer than 1.2 Å
        while np.any(np.linalg.norm(positions[:k] - positions[k], axis=1) < 1.2):
            positions[k] = rng.uniform(0, 4.5, 3)
    return Atoms("SiCSiCCSiSiC", positions=positions)


STRUCTURES = {"silicon carbide": silicon_carbide, "cluster": cluster}


class _Structures:
    """The two structures, and their configurations."""

    @pytest.fixture(params=STRUCTURES)
    def structure(self, request):
        return STRUCTURES[request.param]()

    @pytest.fixture
    def configuration(self, descriptor, structure):
        return tm.Configuration.from_atoms(structure, descriptor.cutoff, ["C", "Si"])


class SettingsKit(_Structures):
    """What depends on a descriptor's settings."""

    @pytest.mark.parametrize("check", DESCRIPTOR_CHECKS)
    def test_check(self, descriptor, configuration, check):
        check(descriptor, configuration, np.random.default_rng(1))

    def test_threads_with_many_rows(self, descriptor):
        """Enough rows that each thread gets some, and not the same ones every time."""
        atoms = silicon_carbide() * (2, 3, 1)
        check_threads(
            descriptor,
            tm.Configuration.from_atoms(atoms, descriptor.cutoff),
            np.random.default_rng(0),
        )

    def test_shape_dtype_and_labels(self, descriptor, configuration):
        values = descriptor.compute(configuration)
        assert values.shape == (configuration.n_centers, descriptor.width)
        assert values.dtype == np.float64
        assert len(descriptor.labels) == descriptor.width
        assert len(set(descriptor.labels)) == descriptor.width

    def test_single_atom(self, descriptor):
        c = tm.Configuration.from_atoms(Atoms("Si"), descriptor.cutoff)
        assert np.isfinite(descriptor.compute(c)).all()
        weights = np.ones((1, descriptor.width))
        np.testing.assert_array_equal(descriptor.vjp(c, weights), np.zeros((1, 3)))
        assert descriptor.pair_gradients(c, weights).shape == (0, 3)
        np.testing.assert_array_equal(
            descriptor.jvp(c, np.ones((1, 3))), np.zeros((1, descriptor.width))
        )
        assert descriptor.jacobian(c).to_scipy().shape == (descriptor.width, 3)
        np.testing.assert_array_equal(descriptor.jacobian(c).to_scipy().toarray(), 0)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_energy_and_gradient(self, descriptor, configuration, dtype):
        """The same as compute and vjp, with weights of all centers and of each species."""
        shape = max(len(descriptor.species), 2), descriptor.width
        weights = np.random.default_rng(2).standard_normal(shape).astype(dtype)
        values = descriptor.compute(configuration, dtype=dtype)
        tolerance = 1e-12 if dtype == np.float64 else 1e-4
        cases = [(weights[1], np.tile(weights[1], (len(values), 1)))]
        if descriptor.species:
            codes = configuration.codes(descriptor.species)[configuration.centers]
            cases.append((weights, weights[codes]))
        for given, rows in cases:
            energies, gradient, virial = descriptor.energy_and_gradient(
                configuration, given, virial=True
            )
            assert energies.dtype == gradient.dtype == dtype
            error = np.abs(energies - np.sum(rows * values, axis=1)).max()
            assert error <= tolerance * np.sum(np.abs(rows * values), axis=1).max()
            expected, expected_virial = descriptor.vjp(configuration, rows, virial=True)
            np.testing.assert_array_equal(gradient, expected)
            np.testing.assert_array_equal(virial, expected_virial)
        assert len(descriptor.energy_and_gradient(configuration, given)) == 2

    def test_pickle_equality_and_hash(self, descriptor, configuration):
        values = descriptor.compute(configuration)
        copy = pickle.loads(pickle.dumps(descriptor))
        assert copy == descriptor
        assert hash(copy) == hash(descriptor)
        np.testing.assert_array_equal(copy.compute(configuration), values)
        assert descriptor != "another thing"

    def test_stored_and_read_back(self, descriptor, configuration, tmp_path, monkeypatch):
        kind = type(descriptor)
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))
        if registry.kind_named(kind.__name__) is None:
            tm.register_descriptor(kind)
        suffix, text = descriptor.stored_form()
        paths = [tmp_path / "own.json", tmp_path / f"stored{suffix}"]
        descriptor.to_file(paths[0])
        paths[1].write_text(text)
        values = descriptor.compute(configuration)
        for path in paths:
            again = tm.read_descriptor(path, kind.__name__)
            assert again == descriptor
            assert repr(again) == repr(descriptor)
            np.testing.assert_array_equal(again.compute(configuration), values)

    def test_repr_is_short(self, descriptor):
        assert type(descriptor).__name__ in repr(descriptor)
        assert len(repr(descriptor)) < 400


class ArgumentsKit(_Structures):
    """What the base class and the loop over atoms do, the same for all settings."""

    def test_species_are_matched_by_name(self, descriptor, structure):
        one = tm.Configuration.from_atoms(structure, descriptor.cutoff, ["C", "Si"])
        other = tm.Configuration.from_atoms(structure, descriptor.cutoff, ["Si", "H", "C"])
        np.testing.assert_array_equal(descriptor.compute(one), descriptor.compute(other))

    def test_unknown_species(self, descriptor):
        c = tm.Configuration.from_atoms(Atoms("SiH", positions=[[0, 0, 0], [0, 0, 1.5]]), 4.5)
        with pytest.raises(tm.InputError, match="is H, not one of"):
            descriptor.compute(c)

    def test_no_particles(self, descriptor):
        c = tm.Configuration(np.empty((0, 3)), [], [], [], [0], [], species_names=["Si"])
        assert descriptor.compute(c).shape == (0, descriptor.width)
        assert descriptor.vjp(c, np.empty((0, descriptor.width))).shape == (0, 3)
        assert descriptor.jvp(c, np.empty((0, 3))).shape == (0, descriptor.width)
        assert descriptor.jacobian(c).values.shape == (0, 3, descriptor.width)

    def test_ghosts_alone(self, descriptor):
        c = tm.Configuration(
            np.eye(3), [0, 0, 0], np.zeros(3, dtype=bool), [], [0], [], species_names=["Si"]
        )
        assert descriptor.compute(c).shape == (0, descriptor.width)
        np.testing.assert_array_equal(
            descriptor.vjp(c, np.empty((0, descriptor.width))), np.zeros((3, 3))
        )

    def test_takes_configurations_only(self, descriptor):
        with pytest.raises(tm.InputError, match=r"Atoms; a Configuration .*from_atoms"):
            descriptor.compute(Atoms("Si"))

    def test_lists_that_end_before_the_cutoff(self, descriptor):
        c = tm.Configuration.from_atoms(silicon_carbide(), 0.9 * descriptor.cutoff)
        with pytest.raises(tm.InputError, match="lists end at cutoff"):
            descriptor.compute(c)

    def test_wrong_arguments(self, descriptor, configuration):
        c = configuration
        good = np.ones((c.n_centers, descriptor.width))
        with pytest.raises(tm.InputError, match=r"dE_dD has shape .*\(n_centers, width\)"):
            descriptor.vjp(c, good[:, 1:])
        with pytest.raises(tm.InputError, match=r"weights has shape .*\(width,\)"):
            descriptor.energy_and_gradient(c, np.ones(descriptor.width + 1))
        with pytest.raises(tm.InputError, match=r"weights has shape .*\(n_species, width\)"):
            descriptor.energy_and_gradient(
                c, np.ones((len(descriptor.species) + 2, descriptor.width))
            )
        with pytest.raises(tm.InputError, match=r"dr has shape .*\(n_particles, 3\)"):
            descriptor.jvp(c, np.ones((c.n_particles + 1, 3)))
        for bad in (np.nan, np.inf):
            weights = good.copy()
            weights[1, 0] = bad
            with pytest.raises(tm.InputError, match=r"dE_dD\[1, 0\] = (nan|inf)"):
                descriptor.pair_gradients(c, weights)
        with pytest.raises(tm.InputError, match="dE_dD is of dtype complex128"):
            descriptor.vjp(c, good + 1j)
        for dtype in (np.int64, "nonsense", np.float16):
            with pytest.raises(tm.InputError, match="float64 or float32"):
                descriptor.compute(c, dtype=dtype)
        with pytest.raises(tm.InputError, match="n_threads"):
            descriptor.compute(c, n_threads=0)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_gradients_too_large(self, descriptor, dtype):
        """An error where infinite forces would be wrong: the values are finite."""
        c = tm.Configuration.from_atoms(silicon_carbide(), descriptor.cutoff)
        row = c.neighbors[c.offsets[-2] :]
        distances = np.linalg.norm(c.positions[row] - c.positions[c.centers[-1]], axis=1)
        along = np.zeros((c.n_particles, 3))
        along[row[distances.argmin()], 0] = 1
        weights = np.zeros((c.n_centers, descriptor.width), dtype=dtype)
        weights[-1] = np.copysign(np.finfo(dtype).max, descriptor.jvp(c, along)[-1])
        for verb in (descriptor.pair_gradients, descriptor.vjp):
            scaled = verb(c, weights * dtype(2**-30))
            if np.abs(scaled).max() > np.finfo(dtype).max * 2.0**-30:
                with pytest.raises(tm.InputError, match="too large for float"):
                    verb(c, weights)
            else:
                with contextlib.suppress(tm.InputError):  # where steps in between are too large
                    np.testing.assert_allclose(verb(c, weights), scaled * dtype(2**30), rtol=1e-4)

    def test_arrays_in_any_layout(self, descriptor, configuration):
        weights = np.random.default_rng(0).standard_normal(
            (configuration.n_centers, descriptor.width)
        )
        direction = np.random.default_rng(1).standard_normal(configuration.positions.shape)
        for given in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
            np.testing.assert_array_equal(
                descriptor.vjp(configuration, given(weights)),
                descriptor.vjp(configuration, weights),
            )
            np.testing.assert_array_equal(
                descriptor.jvp(configuration, given(direction)),
                descriptor.jvp(configuration, direction),
            )

    def test_two_particles_at_one_place(self, descriptor):
        atoms = Atoms("SiCSi", positions=[[0, 0, 0], [1.8, 0, 0], [1.8, 0, 0]])
        c = tm.Configuration.from_atoms(atoms, descriptor.cutoff)
        weights = np.ones((3, descriptor.width))
        for verb in (
            lambda: descriptor.compute(c),
            lambda: descriptor.vjp(c, weights),
            lambda: descriptor.jvp(c, np.ones((3, 3))),
            lambda: descriptor.jacobian(c),
        ):
            with pytest.raises(tm.InputError, match=r"particles 1 and 2 are both at \(1.8, 0, 0\)"):
                verb()

    def test_an_atom_on_the_image_of_another(self, descriptor):
        atoms = Atoms("SiC", positions=[[0, 0, 0], [5, 0, 0]], cell=[5, 6, 7], pbc=True)
        c = tm.Configuration.from_atoms(atoms, descriptor.cutoff)
        with pytest.raises(tm.InputError, match=r"particles 0 and \d+ \(an image of particle 1\)"):
            descriptor.compute(c)

    def test_moving_a_far_particle_changes_nothing(self, descriptor):
        c = tm.Configuration.from_atoms(cluster(), descriptor.cutoff)
        positions = c.positions.copy()
        positions[-1] += 5
        np.testing.assert_array_equal(
            descriptor.compute(with_arrays(c, positions=positions)), descriptor.compute(c)
        )


class DescriptorKit(SettingsKit, ArgumentsKit):
    """All of it."""
