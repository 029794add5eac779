"""The contract between the loop over atoms and a kernel, on toys that are compiled here."""

from pathlib import Path

import numpy as np
import pytest
from compiled import compile_module
from descriptors.kit import cluster, silicon_carbide

import torchml_core as tm
from torchml_core import testing
from torchml_core.descriptors.base import Descriptor
from torchml_core.kernels import cutoff

pytestmark = pytest.mark.slow  # the toys are compiled
CUTOFF, GROUP = 4.3, 4


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return compile_module(Path(__file__).with_name("toys.pyx"), tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def toy(toys):
    """Makes a descriptor whose kernel wants four atoms at a time."""

    class Toy(Descriptor):
        species, cutoff, labels = ("Si", "C"), CUTOFF, ["a", "b", "c"]
        width = 3

        def __init__(self, **settings):
            self.settings = settings

        def _settings(self):
            return tuple(self.settings.items())

        def _make_kernel(self):
            return toys.ToyKernel(self.width, self.cutoff, **self.settings)

    return Toy


def configuration(atoms):
    return tm.Configuration.from_atoms(atoms, CUTOFF, ["C", "Si"])


@pytest.mark.parametrize("atoms", [cluster(), silicon_carbide(), silicon_carbide() * (2, 1, 1)])
@pytest.mark.parametrize("check", testing.DESCRIPTOR_CHECKS)
def test_groups_pass_the_kit(toy, atoms, check):
    check(toy(), configuration(atoms), np.random.default_rng(1))


def test_values_of_groups(toy):
    c = configuration(silicon_carbide() * (2, 2, 1))
    rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
    r = np.linalg.norm(c.positions[c.neighbors] - c.positions[c.centers[rows]], axis=1)
    expected = np.zeros((c.n_centers, 3))
    for k in range(3):
        np.add.at(expected[:, k], rows, np.where(r < CUTOFF, 1 - (r / CUTOFF) ** 2, 0) ** (k + 2))
    np.testing.assert_allclose(toy().compute(c), expected, rtol=1e-13)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 10])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_groups_are_full_but_the_last(toy, n, n_threads):
    c = configuration((silicon_carbide() * (2, 1, 1))[:n])
    expected = [min(GROUP, n - row // GROUP * GROUP) for row in range(n)]
    for dtype in (np.float64, np.float32):
        values = toy(counts=True).compute(c, dtype=dtype, n_threads=n_threads)
        np.testing.assert_array_equal(values, np.repeat(expected, 3).reshape(n, 3))


def test_a_lane_that_leaks_into_its_neighbor_is_found(toy):
    """By as little as a bit or two."""
    with pytest.raises(AssertionError, match="rows of 8: values: not the same bits"):
        testing.check_rows(
            toy(leak=1e-15), configuration(silicon_carbide()), np.random.default_rng(1)
        )


def test_coincident_particles_in_a_group_are_named(toy):
    atoms = silicon_carbide() * (2, 1, 1)
    atoms.positions[6] = atoms.positions[5]
    for n_threads in (1, 2):
        with pytest.raises(tm.InputError, match="particles 5 and 6"):
            toy().compute(configuration(atoms), n_threads=n_threads)


@pytest.mark.parametrize("verb", ["value", "vjp", "jvp", "jacobian", "scratch_size", "group"])
def test_an_incomplete_table_is_refused(toys, verb):
    with pytest.raises(
        NotImplementedError, match=f"ToyKernel: its table of float32 verbs lacks {verb}; all"
    ):
        toys.ToyKernel(3, CUTOFF, without=verb)


def test_other_vectors_are_refused(toys):
    """A kernel compiled for another processor would read arrays in other steps."""
    with pytest.raises(ValueError, match=r"compiled for vectors of 8 bytes.*-march"):
        toys.ToyKernel(3, CUTOFF, vector_bytes=8)


def test_what_else_set_up_refuses(toys):
    with pytest.raises(ValueError, match="a width of at least 1"):
        toys.ToyKernel(0, CUTOFF)
    for wrong in (np.nan, -1.0):
        with pytest.raises(ValueError, match="cutoffs of shape"):
            toys.ToyKernel(3, wrong)


def test_a_kernel_that_is_not_set_up_computes_nothing(toy):
    with pytest.raises(RuntimeError, match="did not call set_up"):
        toy(set_up=False).compute(configuration(silicon_carbide()))


def test_a_cutoff_function_without_a_branch_is_refused():
    numbers = list(cutoff.CUTOFF_FUNCTIONS.values())
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        cutoff.check_cutoff_function(number)
    with pytest.raises(NotImplementedError, match=f"cutoff function {max(numbers) + 1} has no"):
        cutoff.check_cutoff_function(max(numbers) + 1)
