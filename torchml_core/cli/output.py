"""Results of a model as extended XYZ, which ASE reads back as results of a calculator."""

from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import per_atom_properties, write_xyz


def write_results(file, atoms, results):
    """Append a structure with a model's results to an extended XYZ file.

    Parameters
    ----------
    file : text file
    atoms : ase.Atoms
        As read: its info, arrays, cell and constraints are kept. Results that came with it are
        kept apart from the model's: ``energy`` becomes ``reference_energy`` and so on, unless
        the file has such a value already, which then is the reference.
    results : dict
        ASE's names: energy in eV, forces in eV/Å, stress in eV/Å³ (Voigt, tension positive).
    """
    written = atoms.copy()
    for name, value in reference_results(atoms).items():
        place = written.arrays if name in per_atom_properties else written.info
        place.setdefault(f"reference_{name}", value)
    written.calc = SinglePointCalculator(written, **results)
    write_xyz(file, written)


def reference_results(atoms):
    """The results that came with a structure: a dict of ASE's names, empty if there are none."""
    results = {} if atoms.calc is None else atoms.calc.results
    return {name: value for name, value in results.items() if value is not None}
