"""Frames in their usual form: read as ASE reads them, and everything else left to ASE."""

import io

import numpy as np
import pytest
from ase.io import read
from hypothesis import given
from hypothesis import strategies as st
from quick import examples

import torchml_core as tm
from torchml_core.structure_files import frames
from torchml_core.structure_files.plain_frames import read_plain

LATTICE = 'Lattice="4 0 0 0.5 4.1 0 0 0 3.9"'
PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "Si 0 0.25 1e-3 1 2 3\nO -1 2 3 0.1 0.2 -0.3\n"


def plain(comment, atoms=ATOMS, n=2):
    return read_plain(f"{n}\n{comment}\n{atoms}".encode(), frames._periodic)


def require_same(found, expected):
    assert found == expected  # positions, numbers, cell, pbc
    assert found.positions.flags.c_contiguous
    assert found.arrays.keys() == expected.arrays.keys()
    results = [{} if a.calc is None else a.calc.results for a in (found, expected)]
    for one, other in ((found.arrays, expected.arrays), (found.info, expected.info), results):
        assert list(one) == list(other)
        for key in one:
            assert type(one[key]) is type(other[key]), key
            np.testing.assert_array_equal(one[key], other[key])
            assert getattr(one[key], "dtype", None) == getattr(other[key], "dtype", None)


@pytest.mark.parametrize(
    "comment",
    [
        f"{LATTICE} {PROPERTIES} energy=-3.5",
        f'  energy=-3 {LATTICE}   {PROPERTIES} pbc="T F T"  flag name=a:b-c_1',
        f'{PROPERTIES} stress="1 2 3 2 4 5 3 5 6" virial="1 2 3 4 5 6 7 8 9" n=7 list="1,2,3"',
        f"{PROPERTIES} T=300 x=1e5 yes=T no=F energy=1 energy=2 free_energy=3",
        "Properties=pos:R:3:species:S:1:charge:R:1:other:R:2",
        "Properties=species:S:1:pos:R:3:velo:R:3 pbc=F",
    ],
)
def test_usual_frames_are_read_as_by_ase(comment):
    atoms = ATOMS
    if "charge" in comment:
        atoms = "1 2 3 Si 0.5 6 7\n4 5 6 o 0 8 9\n"
    found = plain(comment, atoms)
    text = io.StringIO(f"2\n{comment}\n{atoms}")
    require_same(found, read(text, format="extxyz"))
    found.cell[:] = 0
    again = plain(comment, atoms)  # nothing is shared
    text.seek(0)
    require_same(again, read(text, format="extxyz"))


@pytest.mark.parametrize(
    ("comment", "atoms"),
    [
        (f"{LATTICE} {PROPERTIES} name='two words'", ATOMS),
        (f'{PROPERTIES} info="_JSON [1, [2]]"', ATOMS),
        (f"{PROPERTIES} key = value", ATOMS),
        (f'{PROPERTIES} a="b\\"c"', ATOMS),
        (f"{PROPERTIES} matrix=[1 2]", ATOMS),
        (f"{PROPERTIES} Lattice=5", ATOMS),
        ("Properties", "Si 0 0 0\nO 1 1 1\n"),
        (f"{PROPERTIES} name=Å", ATOMS),
        (f"{PROPERTIES}:move_mask:L:1", "Si 0 0 0 1 2 3 T\nO 1 1 1 1 2 3 F\n"),
        (PROPERTIES, "Si 0 0 0 1 2 3 4\nO 1 1 1 1 2 3\n"),
        (PROPERTIES, "Si 0 0 0 1 2\nO 1 1 1 1 2 3 4\n"),
        (PROPERTIES, "Si 0 0 0 1 2\n1 O 1 1 1 1 2 3\n"),
        (PROPERTIES, "Si 0 0 0 1 2 3\nQq 1 1 1 1 2 3\n"),
        (PROPERTIES, "Si 0 0 0 1 2 3\nO 1 1 one 1 2 3\n"),
        ("Properties=Z:I:1:pos:R:3", "14 0 0 0\n8 1 1 1\n"),
        ("pbc=7", "Si 0 0 0\nO 1 1 1\n"),
        (PROPERTIES, ATOMS.replace("\n", "\r\n")),
        ("VEC", "Si 0 0 0\nO 1 1 1\nVEC1 1 0 0\n"),
    ],
)
def test_unusual_frames_are_left_to_ase(comment, atoms):
    assert plain(comment, atoms) is None


WORDS = st.text(st.sampled_from("aT1.-=\"'{[ \\,_"), max_size=6)


@given(st.lists(WORDS, max_size=4), st.lists(st.sampled_from(["Si", "1", "T"]), max_size=4))
@examples(200)
def test_any_comment_is_read_as_by_ase(words, pairs):
    """If it is read at all, since most are not in the usual form."""
    comment = " ".join([*words, *(f"k{k}={pair}" for k, pair in enumerate(pairs))])
    text = f"1\n{comment}\nSi 0 0 0\n"
    found = read_plain(text.encode(), frames._periodic)
    if found is not None:
        require_same(found, read(io.StringIO(text), format="extxyz"))


@pytest.mark.parametrize("text", [b"0", b"0\n", b'0\nLattice="4 0 0'])
def test_a_file_that_ends_in_a_frame_without_atoms(text, tmp_path):
    path = tmp_path / "data.extxyz"
    path.write_bytes(text)
    with pytest.raises(tm.InputError, match=r"data.extxyz@0 \(line 2\): ASE cannot read it"):
        tm.dataset.Dataset.read(path)
