"""check_descriptor finds what is wrong, and says by how much."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from descriptors.kit import cluster, silicon_carbide

import torchml_core as tm

FUNCTIONS = [("g2", [[0.5, 1.0]]), ("g4", [[2, 1, 0.05]])]


class Right(tm.SymmetryFunctions):
    def __init__(self):
        super().__init__(["Si", "C"], 3.5, FUNCTIONS)


class WrongGradient(Right):
    def vjp(self, *args, virial=False, **kwargs):
        gradient, W = super().vjp(*args, virial=True, **kwargs)
        return (gradient * (1 + 1e-6), W) if virial else gradient * (1 + 1e-6)


class WrongVirial(Right):
    def vjp(self, *args, virial=False, **kwargs):
        gradient, W = super().vjp(*args, virial=True, **kwargs)
        return (gradient, W * (1 + 1e-6)) if virial else gradient


class WrongPairGradients(Right):
    def pair_gradients(self, *args, **kwargs):
        return super().pair_gradients(*args, **kwargs) * (1 + 1e-6)


class WrongTangent(Right):
    def jvp(self, *args, **kwargs):
        return super().jvp(*args, **kwargs) * (1 + 1e-6)


class TangentIsNoNumber(Right):
    def jvp(self, *args, **kwargs):
        tangent = super().jvp(*args, **kwargs)
        tangent[1, 0] = np.nan
        return tangent


class WrongJacobian(Right):
    def jacobian(self, *args, **kwargs):
        jacobian = super().jacobian(*args, **kwargs)
        jacobian.values *= 1 + 1e-6
        return jacobian


class SeesTheAxes(Right):
    def compute(self, configuration, **kwargs):
        return super().compute(configuration, **kwargs) + 1e-6 * np.ptp(
            configuration.positions[:, 0]
        )


class SeesThePlace(Right):
    def compute(self, configuration, **kwargs):
        return super().compute(configuration, **kwargs) + 1e-6 * configuration.positions.mean()


class SeesTheOrder(Right):
    def compute(self, configuration, **kwargs):
        values = super().compute(configuration, **kwargs)
        values[0] += 1e-6
        return values


class SeesTheSkin(Right):
    def compute(self, configuration, **kwargs):
        return super().compute(configuration, **kwargs) + 1e-12 * configuration.n_pairs


class SeesTheThreads(Right):
    def compute(self, configuration, *, n_threads=1, **kwargs):
        values = super().compute(configuration, n_threads=n_threads, **kwargs)
        return values * (1 + 2.3e-16 * ((n_threads or 1) - 1))


class SeesOtherRows(Right):
    def compute(self, configuration, **kwargs):
        values = super().compute(configuration, **kwargs)
        return values * (1 + 2.3e-16 * (configuration.n_centers == 1))


class GradientScaled(Right):
    """Gradients that are wrong by less than finite differences can tell."""

    def factor(self, positions):
        return 1 + 1e-11

    def vjp(self, configuration, *args, virial=False, **kwargs):
        gradient, W = super().vjp(configuration, *args, virial=True, **kwargs)
        gradient *= self.factor(configuration.positions)
        return (gradient, W) if virial else gradient


class GradientSeesTheAxes(GradientScaled):
    def factor(self, positions):
        return 1 + 1e-9 * np.ptp(positions[:, 0])


class GradientSeesThePlace(GradientScaled):
    def factor(self, positions):
        return 1 + 1e-9 * np.linalg.norm(positions.mean(axis=0))


class PairGradientsSeeTheSkin(Right):
    def pair_gradients(self, configuration, *args, **kwargs):
        factor = 1 + 1e-12 * configuration.n_pairs
        return super().pair_gradients(configuration, *args, **kwargs) * factor


class ClaimsToTellCentersApart(Right):
    tells_centers_apart = True


class WritesToTheInput(Right):
    def jvp(self, configuration, dr, **kwargs):
        tangent = super().jvp(configuration, dr, **kwargs)
        dr[0, 0] += 1e-9
        return tangent


class AlwaysDouble(Right):
    def compute(self, configuration, *, dtype=None, n_threads=None):
        return super().compute(configuration, n_threads=n_threads)


@pytest.mark.parametrize("atoms", [silicon_carbide(), cluster()], ids=["periodic", "cluster"])
def test_right_passes(atoms):
    tm.testing.check_descriptor(Right(), atoms)


def test_rotations_are_no_reflections():
    """A descriptor may tell right from left."""

    class Handed(Right):
        def compute(self, configuration, **kwargs):
            x = configuration.positions
            return super().compute(configuration, **kwargs) + 1e-3 * np.linalg.det(x[1:4] - x[0])

    c = tm.Configuration.from_atoms(silicon_carbide(), 3.5, ["Si", "C"])
    for seed in range(4):
        tm.testing.check_rotation(Handed(), c, np.random.default_rng(seed))


def test_takes_a_configuration():
    tm.testing.check_descriptor(Right(), tm.Configuration.from_atoms(cluster(), 4.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (WrongGradient, r"finite differences: vjp: .* off by .* of the largest, 1e-07 allowed"),
        (WrongPairGradients, r"finite differences: strain: .* off by 1.0e-06 of the largest"),
        (WrongVirial, r"virial: .* off by 1.0e-06 of the largest, 1e-12 allowed"),
        (WrongTangent, r"jvp: .* off by 1.0e-06 of the largest, 1e-07 allowed"),
        (TangentIsNoNumber, r"jvp: nan at \(1, 0\)"),
        (WrongJacobian, r"jacobian: pair_gradients: .* off by"),
        (GradientScaled, r"adjoint: jvp and vjp: .* off by"),
        (GradientSeesTheAxes, r"rotation: vjp: .* off by"),
        (GradientSeesThePlace, r"translation: vjp: .* off by"),
        (PairGradientsSeeTheSkin, r"skin: pair_gradients: not the same bits"),
        (SeesTheAxes, r"rotation: values: .* off by"),
        (SeesThePlace, r"(rotation|translation): values: .* off by"),
        (SeesTheOrder, r"permutation: values: .* off by"),
        (SeesTheSkin, r"skin: values: not the same bits"),
        (SeesTheThreads, r"threads: values: not the same bits"),
        (SeesOtherRows, r"1 rows of 8: values: not the same bits"),
        (WritesToTheInput, r"input untouched: dr: not the same bits"),
        (ClaimsToTellCentersApart, r"tells_centers_apart: Si and C without neighbors"),
        (AlwaysDouble, r"float32: values have dtypes float64"),
    ],
)
def test_wrong_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        tm.testing.check_descriptor(wrong(), silicon_carbide())


# ---- structures whose derivatives vanish by symmetry

# Derivatives of a single nearest neighbor's distance, of a shell on the cutoff, of a norm, of parts
# that inversion makes zero.
SYMMETRIC = {
    "diamond": bulk("Si"),
    "fcc": bulk("Cu"),
    "fcc, a shell on the cutoff": bulk("Cu", a=4.0 / np.sqrt(2)),
    "H2": Atoms("H2", positions=np.diag([0, 0, 0.74])[1:]),
    "a lone atom": Atoms("H"),
    "slab": fcc111("Cu", (1, 1, 2), vacuum=5),
}
SETTINGS = {
    "SOAP": (tm.SOAP, (4.0, 2, 3), {}),
    "SOAP of one norm": (tm.SOAP, (4.0, 1, 2), {"unit_norm": True, "radial_basis": "polynomial"}),
    "SphericalExpansion": (tm.SphericalExpansion, (4.0, 2, 2), {}),
    "SymmetryFunctions": (
        tm.SymmetryFunctions,
        (4.0, [("g2", [[0.5, 1.0], [30.0, 0.0]]), ("g4", [[2, 1, 0.05]])]),
        {},
    ),
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("structure", SYMMETRIC)
def test_right_passes_on_symmetric_structures(settings, structure):
    kind, arguments, options = SETTINGS[settings]
    atoms = SYMMETRIC[structure]
    tm.testing.check_descriptor(kind([atoms.symbols[0]], *arguments, **options), atoms)


def missing_largest(array):
    array[np.unravel_index(np.argmax(np.abs(array)), array.shape)] = 0


def other_sign(array):
    array *= -1


def another_factor(array):
    array *= 1 + 1e-6


@pytest.mark.parametrize("verb", ["compute", "vjp", "pair_gradients", "jvp", "jacobian"])
@pytest.mark.parametrize("fault", [missing_largest, other_sign, another_factor])
@pytest.mark.parametrize("structure", ["diamond", "fcc", "H2", "slab"])
def test_wrong_is_found_in_symmetric_structures(structure, fault, verb):
    class Wrong(tm.SOAP):
        pass

    def wrong(self, *arguments, **options):
        result = getattr(tm.SOAP, verb)(self, *arguments, **options)
        array = result[0] if isinstance(result, tuple) else result  # vjp with the virial
        fault(array.values if verb == "jacobian" else array)
        return result

    setattr(Wrong, verb, wrong)
    atoms = SYMMETRIC[structure]
    with pytest.raises(AssertionError, match="is expected: off by"):
        tm.testing.check_descriptor(Wrong([atoms.symbols[0]], 4.0, 2, 3), atoms)


def test_a_wrong_factor_is_found_where_differences_are_rough():
    """Second derivatives jump on the cutoff, which must not excuse an error of a thousandth."""

    class Wrong(tm.SOAP):
        def jvp(self, *arguments, **options):
            return 1.001 * super().jvp(*arguments, **options)

    with pytest.raises(AssertionError, match="finite differences: jvp: .* off by"):
        tm.testing.check_descriptor(
            Wrong(["Cu"], 4.0, 2, 3), SYMMETRIC["fcc, a shell on the cutoff"]
        )


def test_a_jump_on_the_cutoff_is_found():
    atoms = SYMMETRIC["fcc, a shell on the cutoff"]
    jumps = tm.SOAP(["Cu"], 4.0, 2, 3, smoothing=None)
    with pytest.raises(AssertionError, match="of the largest"):
        tm.testing.check_descriptor(jumps, atoms)
