"""The silicon training set: read it, divide it, and say how far a model is from it.

The set is the public one of the KLIFF project (openkim/kliff, ``Si_training_set``): 750 periodic
cells of 64 and 8 atoms with energies (eV) and forces (eV/Å), frames of molecular dynamics at 300,
600 and 900 K and perturbed crystals at lattice constants from 4.9 to 6.0 Å. It is not part of this
repository; the training scripts take it as one extended XYZ file.

The energies of the molecular dynamics frames are not functions of the positions: they are higher
than what the same set's forces and crystals lead to by 3/2 kT an atom, with the spread of a kinetic
energy, so the kinetic energy seems to be in them (README.md has the figures). Their forces are
fitted, their energies are not.
"""

import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

TEST, VALIDATION = 0.2, 0.1  # shares of the blocks; the rest is for training
STEPS_IN_BLOCK = 1000


@dataclass
class Example:
    """A structure and the reference for it: energy in eV, forces (n_atoms, 3) in eV/Å."""

    atoms: ase.Atoms
    energy: float
    forces: np.ndarray
    temperature: int | None  # K, of a molecular dynamics frame; its energy is not to be used
    block: str  # examples of a block resemble each other


def read(path):
    """Read an extended XYZ file, compressed with gzip or not, into a list of examples."""
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)  # ASE seeks in the file, which is slow if compressed
    return [
        Example(
            atoms, atoms.get_potential_energy(), atoms.get_forces(), *_origin(atoms.info["name"])
        )
        for atoms in ase.io.read(io.StringIO(content.decode()), ":", format="extxyz")
    ]


def split(examples, seed=0):
    """Divide examples into train, validation and test sets.

    Frames that are nearly the same stay together, or the test would ask for what was learnt by
    heart: a block of successive frames of a trajectory, or all perturbations of one lattice
    constant, goes into one set as a whole. Each temperature, and the crystals, are divided alike.

    Returns
    -------
    dict of lists of Example
    """
    rng = np.random.default_rng(seed)
    sets = {"train": [], "validation": [], "test": []}
    for temperature in sorted({e.temperature for e in examples}, key=str):
        alike = [e for e in examples if e.temperature == temperature]
        blocks = sorted({e.block for e in alike})
        rng.shuffle(blocks)
        n_test, n_validation = round(TEST * len(blocks)), round(VALIDATION * len(blocks))
        parts = np.split(blocks, [n_test, n_test + n_validation])
        for name, part in zip(("test", "validation", "train"), parts, strict=True):
            sets[name] += [e for e in alike if e.block in part]
    return sets


def errors(model, examples):
    """Return how far a PortableModel is from the reference, over a list of examples.

    Returns
    -------
    dict
        Root mean square (rmse) and mean absolute (mae) errors: of energies of the crystals in
        meV/atom, each cell counting once, and of force components of all examples in meV/Å. And
        by how much the energies of the molecular dynamics frames lie above the model's, mean and
        standard deviation in meV/atom by temperature.
    """
    energy, forces, excess = [], [], {}
    for example in examples:
        prediction = model.evaluate(example.atoms, virial=False, n_threads=1).fold()
        energy_error = 1e3 * (prediction.energy - example.energy) / len(example.atoms)
        forces.append(1e3 * (prediction.forces - example.forces).ravel())
        if example.temperature is None:
            energy.append(energy_error)
        else:
            excess.setdefault(example.temperature, []).append(-energy_error)
    return {
        "configurations": len(examples),
        "crystals": len(energy),
        "energy_meV_per_atom": _rmse_and_mae(np.array(energy)),
        "forces_meV_per_A": _rmse_and_mae(np.concatenate(forces)),
        "excess_of_dynamics_meV_per_atom": {
            f"{temperature} K": {"mean": float(np.mean(values)), "std": float(np.std(values))}
            for temperature, values in sorted(excess.items())
        },
    }


def _rmse_and_mae(errors):
    return {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}


def _origin(name):
    """Temperature and block: of ``NVT_runs/T300_step4400`` or ``varying_alat/Si_alat5.4_...``."""
    frame = re.search(r"T(\d+)_step(\d+)", name)
    if frame:
        return int(frame[1]), f"{frame[1]} K, {int(frame[2]) // STEPS_IN_BLOCK}"
    return None, re.search(r"alat[\d.]+", name)[0]
