"""Drift of the energy in molecular dynamics at constant energy, with a model of every descriptor.

    PYTHONPATH=tests python -m reliability.drift [--steps N] [KIND ...]

The energy is linear in the descriptor, with random weights, plus harmonic springs to the sites of a
silicon crystal, which keep it a crystal while neighbors cross the cutoff. It is a velocity-Verlet
run with steps of 1 fs at 300 K; printed are the slope of the total energy, and the largest
deviation from a line.
"""

import argparse
import sys
import time

import numpy as np
from ase import units
from ase.build import bulk

import torchml_core as tm

CUTOFF = 3.9  # just beyond the second shell: pairs cross it all the time
SPRING = 4.0  # eV/Å²
LARGEST_FORCE = 0.5  # eV/Å, of the descriptor in the crystal after a first displacement
LARGEST_DRIFT = 1e-5  # eV/atom/ps


def descriptors():
    from torchml_core.descriptors.symmetry_functions import CompactFunction

    compact = [
        CompactFunction("c2", ("Si",), (0.5, CUTOFF), None, "poly2", False),
        CompactFunction("c5", ("Si", "Si"), (0.5, CUTOFF), (20.0, 160.0), "poly2", False),
    ]
    gaussians = [("g2", [[0.2, 0.0], [1.0, 2.0]]), ("g4", [[4, 1, 0.05], [2, -1, 0.01]])]
    return {
        "SymmetryFunctions": tm.SymmetryFunctions(["Si"], CUTOFF, gaussians),
        "compact functions": tm.ElementSymmetryFunctions({"Si": compact}),
        "SOAP": tm.SOAP(["Si"], CUTOFF, 4, 4),
        "SphericalExpansion": tm.SphericalExpansion(["Si"], CUTOFF, 3, 3),
        "Bispectrum": tm.Bispectrum(["Si"], CUTOFF, 4),
        "Xi": tm.Xi(4, CUTOFF),
        "ZBL": tm.ZBL(["Si"], 2.5, CUTOFF),
    }


class Energy:
    """Springs and a linear model; energy and forces of atoms."""

    def __init__(self, descriptor, atoms):
        self.descriptor, self.sites = descriptor, atoms.positions.copy()
        self.weights = np.random.default_rng(2).normal(size=descriptor.width)
        self.scale = 1.0
        displaced = atoms.copy()
        displaced.rattle(0.1, seed=4)
        largest = np.abs(self.of_descriptor(displaced)[1]).max()
        self.scale = LARGEST_FORCE / largest

    def of_descriptor(self, atoms):
        c = tm.Configuration.from_atoms(atoms, self.descriptor.cutoff, ["Si"])
        weights = np.tile(self.scale * self.weights, (len(atoms), 1))
        energy = (weights * self.descriptor.compute(c)).sum()
        return energy, -c.fold(self.descriptor.vjp(c, weights))

    def __call__(self, atoms):
        energy, forces = self.of_descriptor(atoms)
        away = atoms.positions - self.sites
        return energy + SPRING / 2 * (away**2).sum(), forces - SPRING * away


def drift(descriptor, steps):
    """Return the slope in eV/atom/ps, and the largest deviation from the line in eV/atom."""
    atoms = bulk("Si", cubic=True) * 2
    energy_of = Energy(descriptor, atoms)
    step, masses = 1.0 * units.fs, atoms.get_masses()[:, None]
    # at a crystal's sites half of what is kinetic energy now will be potential energy
    spread = np.sqrt(units.kB * 600 / masses)
    velocities = spread * np.random.default_rng(5).normal(size=(len(atoms), 3))
    velocities -= velocities.mean(axis=0)
    energy, forces = energy_of(atoms)
    totals = np.empty(steps)
    for k in range(steps):
        velocities += step / 2 * forces / masses
        atoms.positions += step * velocities
        energy, forces = energy_of(atoms)
        velocities += step / 2 * forces / masses
        totals[k] = (energy + (masses * velocities**2).sum() / 2) / len(atoms)
    times = np.arange(steps) * 1e-3  # ps
    slope, at_0 = np.polyfit(times, totals, 1)
    return slope, np.abs(totals - at_0 - slope * times).max()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--steps", type=int, default=100_000)
    told = parser.parse_args(arguments)
    good, made = True, descriptors()
    for kind in told.kinds or made:
        begin = time.perf_counter()
        slope, deviation = drift(made[kind], told.steps)
        good &= bool(abs(slope) < LARGEST_DRIFT)
        print(
            f"{kind}: {told.steps} steps of 1 fs, drift {slope:+.1e} eV/atom/ps, deviation"
            f" {deviation:.1e} eV/atom, {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
