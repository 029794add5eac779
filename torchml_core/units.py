"""Names of units that files of other programs use, and their sizes; CODATA 2018."""

from torchml_core import checks

AVOGADRO = 6.02214076e23
ELEMENTARY_CHARGE = 1.602176634e-19  # C; exact, as is the constant above
HARTREE = 27.211386245988

LENGTHS = {  # in Å
    "angstrom": 1.0,
    "bohr": 0.529177210903,
    "nm": 10.0,
    "pm": 0.01,
}
ENERGIES = {  # in eV
    "ev": 1.0,
    "mev": 1e-3,
    "hartree": HARTREE,
    "rydberg": HARTREE / 2,
    "kcal/mol": 4184.0 / (ELEMENTARY_CHARGE * AVOGADRO),
    "kj/mol": 1000.0 / (ELEMENTARY_CHARGE * AVOGADRO),
}


def length_unit(name, unit):
    """Return the size of a unit in Å: the unit's name in any case, or a positive number."""
    return _size(name, unit, LENGTHS, "Å")


def energy_unit(name, unit):
    """Return the size of a unit in eV: the unit's name in any case, or a positive number."""
    return _size(name, unit, ENERGIES, "eV")


def _size(name, unit, known, base):
    if isinstance(unit, str) and unit.lower() in known:
        return known[unit.lower()]
    requirement = f"{', '.join(known)}, or a positive number of {base},"
    size = checks.number(name, unit, requirement)
    if size <= 0:
        checks.refuse(name, unit, requirement)
    return size
