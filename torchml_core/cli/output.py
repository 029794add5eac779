"""Results of a model as extended XYZ, which ASE reads back as results of a calculator."""

import contextlib
import io
import os
import sys

from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import per_atom_properties, write_xyz

from torchml_core.errors import InputError

STDOUT = "-"
# Of a committee; ASE has no names for them.
DEVIATIONS = ("energy_std", "forces_std", "stress_std", "energies_std")


class Writer(contextlib.AbstractContextManager):
    """Writes structures with results, one frame after another, each completely or not at all.

    Parameters
    ----------
    path : str
        An extended XYZ file, emptied when there is something to write; ``-`` for standard output.
    earlier : EarlierResults, optional
        The frames of the file that are kept; the new ones follow.
    """

    def __init__(self, path, earlier=None):
        self._path, self._earlier, self._file = path, earlier, None

    def add(self, atoms, results):
        """Write a structure; it is in the file when this returns, whatever happens later."""
        if self._file is None:
            self._file = self._open()
        self._file.write(with_results(atoms, results).encode())
        self._file.flush()

    def _open(self):
        if self._path == STDOUT:
            return sys.stdout.buffer
        if self._earlier is None:
            return open(self._path, "wb")
        self._cut_off()
        return open(self._path, "ab")

    def _cut_off(self):
        """Remove what an interrupted run left of its last frame."""
        if self._earlier.used_up and os.path.exists(self._path):
            os.truncate(self._path, self._earlier.end)

    def __exit__(self, *error):
        if self._file is None and self._earlier is not None:
            self._cut_off()
        elif self._file is not None and self._path != STDOUT:
            self._file.close()


def with_results(atoms, results):
    """Return a structure with a model's results where ASE looks for them, as one frame of a file.

    Parameters
    ----------
    atoms : ase.Atoms
        As read: its info, arrays, cell and constraints are kept. Results in the file are kept
        separately from the model's: ``energy`` becomes ``reference_energy`` and so on, unless the
        file already has such a value, which is then the reference.
    results : dict
        ASE's names: energy in eV, forces in eV/Å, stress in eV/Å³ (Voigt, tension positive), and
        energies and stresses of atoms. DEVIATIONS become values of the structure and of its atoms.

    Returns
    -------
    str
        The lines of the frame.

    Raises
    ------
    InputError
        If the format cannot store the data of the structure.
    """
    written = atoms.copy()
    for name, value in reference_results(atoms).items():
        _place(written, name).setdefault(f"reference_{name}", value)
    of_ase = dict(results)
    for name in DEVIATIONS:
        _place(written, name).pop(name, None)
        if name in results:
            _place(written, name)[name] = of_ase.pop(name)
    written.calc = SinglePointCalculator(written, **of_ase)
    file = io.StringIO()
    try:
        write_xyz(file, written)
    except Exception as error:  # ASE's writer may raise anything, for any name or array
        raise InputError(
            f"cannot be written as extended XYZ: {type(error).__name__}: {error}"
        ) from error
    return file.getvalue()


def reference_results(atoms):
    """Return the results that were read with a structure, by ASE's names; may be empty.

    They include DEVIATIONS, as :func:`with_results` writes them.
    """
    results = {} if atoms.calc is None else dict(atoms.calc.results)
    results.update({name: _place(atoms, name).get(name) for name in DEVIATIONS})
    return {name: value for name, value in results.items() if value is not None}


def _place(atoms, name):
    """Where a frame has a quantity: the dict of its arrays, or of its other values."""
    return atoms.arrays if name.removesuffix("_std") in per_atom_properties else atoms.info
