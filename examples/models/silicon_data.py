"""The silicon training set: read it, split it, and compute the errors of a model on it.

The set is the public one of the KLIFF project (openkim/kliff, ``Si_training_set``): 750 periodic
cells of 64 and 8 atoms with energies (eV) and forces (eV/Å), frames of molecular dynamics at 300,
600 and 900 K and perturbed crystals at lattice constants from 4.9 to 6.0 Å. It is not part of this
repository; it is expected as one extended XYZ file::

    python silicon_data.py split si.extxyz.gz           # writes si_train.extxyz and others
    python silicon_data.py errors MODEL si.extxyz.gz    # writes MODEL/errors.json

The energies of the molecular dynamics frames are not functions of the positions. They are higher
than the forces and crystals of the same set imply, by 3/2 kT per atom and with the spread of a
kinetic energy, so they seem to include the kinetic energy (README.md has the figures). The forces
of these frames are fitted, the energies are not.
"""

import gzip
import io
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

import torchml_core as tm

TEST, VALIDATION = 0.2, 0.1  # fractions of the blocks; the rest is for training
STEPS_IN_BLOCK = 1000


@dataclass
class Example:
    """A structure and its reference values: energy in eV, forces (n_atoms, 3) in eV/Å."""

    atoms: ase.Atoms
    energy: float
    forces: np.ndarray
    temperature: int | None  # K, for molecular dynamics frames, whose energy is not used
    block: str  # examples in the same block are similar


def read(path):
    """Read an extended XYZ file, compressed with gzip or not, into a list of examples."""
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)  # ASE seeks, which is slow in a compressed file
    return [
        Example(
            atoms, atoms.get_potential_energy(), atoms.get_forces(), *_origin(atoms.info["name"])
        )
        for atoms in ase.io.read(io.StringIO(content.decode()), ":", format="extxyz")
    ]


def split(examples, seed=0):
    """Split examples into train, validation and test sets.

    Frames that are nearly the same stay together, because otherwise the test set would contain
    what the model has memorized: a block of successive frames of a trajectory, or all
    perturbations of one lattice constant, goes into one set as a whole. Each temperature, and
    the crystals, are split in the same proportions.

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
    """Return the errors of a PortableModel on a list of examples.

    Returns
    -------
    dict
        Root mean square (rmse) and mean absolute (mae) errors: for the energies of the crystals
        in meV/atom, with the same weight for each cell, and for the force components of all
        examples in meV/Å. Also the excess of the energies of the molecular dynamics frames over
        the model's: mean and standard deviation in meV/atom for each temperature.
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
    """Temperature and block of ``NVT_runs/T300_step4400`` or ``varying_alat/Si_alat5.4_...``."""
    frame = re.search(r"T(\d+)_step(\d+)", name)
    if frame:
        return int(frame[1]), f"{frame[1]} K, {int(frame[2]) // STEPS_IN_BLOCK}"
    return None, re.search(r"alat[\d.]+", name)[0]


def write_sets(sets, folder):
    """Write each set to a file of its own, ``si_train.extxyz`` and so on."""
    for name, examples in sets.items():
        ase.io.write(Path(folder) / f"si_{name}.extxyz", [example.atoms for example in examples])


def write_errors(folder, sets, model=None):
    """Write ``errors.json`` into a model's folder: its errors on each set; return them."""
    model = model or tm.PortableModel.load(folder)
    found = {name: errors(model, examples) for name, examples in sets.items()}
    (Path(folder) / "errors.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["split", data]:
            write_sets(split(read(data)), Path(__file__).parent)
        case ["errors", folder, data]:
            print(json.dumps(write_errors(folder, split(read(data))), indent=1))
        case _:
            sys.exit(__doc__)
