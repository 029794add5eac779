"""Structures: cells that are fine, though oddly shaped, and atoms that are none."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm
from torchml_core.structure import as_structure, check_cell

POSITIONS = np.zeros((1, 3))


def test_cells_that_are_nearly_flat():
    """Volumes of 1e-8 are fine, of 1e-10 are not; two vectors count by the sine between them."""
    for small, fine in ((1e-8, True), (1e-10, False)):
        oblique = [[1, -1, 0], [0, 0, 1], [1, -1 + small, 3]]
        for pbc in (True, [True, False, True]):
            cell = oblique if pbc is True else [oblique[0], [7, 7, 7], [1, -1 + small, 0]]
            if fine:
                check_cell(cell, pbc)
            else:
                with pytest.raises(tm.InputError, match="is singular"):
                    check_cell(cell, pbc)


@pytest.mark.parametrize("cell", [[[0, 0, 1], [1, 1, 0], [0, 0, 0]], -np.eye(3)])
def test_cells_in_any_orientation(cell):
    """A plane across the axes, whose normal (1, -1, 0) adds up to 0; left-handed vectors."""
    pbc = np.any(cell, axis=1)
    assert np.array_equal(check_cell(cell, pbc)[0], cell)


def test_arrays_are_copied():
    cell, pbc = np.eye(3), np.ones(3, dtype=bool)
    structure = as_structure(positions=POSITIONS, cell=cell, pbc=pbc)
    cell *= 2
    pbc[:] = False
    assert np.array_equal(structure.cell, np.eye(3))
    assert structure.pbc.all()


@pytest.mark.parametrize("number", [-1, 119, 2**31])
def test_numbers_that_are_no_element(number):
    atoms = Atoms("Si")
    atoms.numbers[:] = number
    with pytest.raises(tm.InputError, match=rf"numbers\[0\] = {number}: at (least 0|most 118)"):
        as_structure(atoms)


def test_kinds_are_alphabetical():
    structure = as_structure(Atoms("SiCHSi"))
    assert structure.kind_names == ("C", "H", "Si")
    assert structure.kinds.tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "structure: ASE Atoms, or positions="),
        ({"structure": Atoms("H"), "positions": POSITIONS}, "not both"),
        ({"structure": Atoms("H"), "cell": np.eye(3), "pbc": True}, "not both"),
        ({"structure": Atoms("H"), "symbols": ["H"]}, "not both"),
        ({"structure": "H"}, "structure is a str; ASE Atoms are needed"),
        ({"positions": POSITIONS, "symbols": ["H", "H"]}, "one for each of the 1 positions"),
        ({"positions": POSITIONS, "symbols": [1]}, "symbols = .*: a sequence of chemical"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        as_structure(**arguments)
