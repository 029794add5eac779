"""Frames of XYZ files: a fault in one is told with its line, and touches no other."""

import io

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write

from torchml_core.structure_files.frames import BadFrameError, parse_frame, scan_frames

GOOD = b"""2
Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T F"
H 0 0 0
H 0 0 1
"""


def items(text):
    """Atoms, or (line, message), of each frame."""
    found = []
    for frame in scan_frames(io.BytesIO(text)):
        try:
            found.append(parse_frame(frame))
        except BadFrameError as error:
            found.append((error.line, str(error)))
    return found


def with_fault(bad):
    """What is found in a frame between three that are good."""
    first, fault, *rest = items(GOOD + bad + GOOD + GOOD)
    assert [len(atoms) for atoms in (first, *rest)] == [2, 2, 2]
    return fault


@pytest.mark.parametrize(
    ("bad", "line", "message"),
    [
        (b"2\n\nH 0 0 0\nH 0 x 1\n", 8, "could not convert string to float: 'x'"),
        (b"2\n\nH 0 0 0\nH 0 0\n", 8, "could not assign tuple"),
        (b"2\n\nXx 0 0 0\nH 0 0 1\n", 7, "KeyError: 'Xx'"),
        (b'2\nLattice="5 0"\nH 0 0 0\nH 0 0 1\n', 6, "Lattice"),
        (b'2\npbc="FFF"\nH 0 0 0\nH 0 0 1\n', 6, "pbc = 'FFF': True or False, or an array"),
        (
            b"1\nProperties=species:S:1:pos:R:3:q:R:99999999999999999999\nH 0 0 0\n",
            6,
            "Properties = '99999999999999999999': a number of columns up to 10000 is needed",
        ),
        (b"3\n\nH 0 0 0\nH 0 0 1\n", 8, "3 atoms are announced, the next frame begins after 2"),
        (b"2\nH 0 0 0\nH 0 0 1\n", 7, "2 atoms are announced, the next frame begins after 1"),
        (b"2\n\nH 0 0 0\nH 0 0 1\nH 0 0 2\n", 9, "2 atoms are announced, more lines follow"),
        (b"2x\n\nH 0 0 0\nH 0 0 1\n", 5, "'2x': a number of atoms is needed"),
        (b"-2\n\nH 0 0 0\nH 0 0 1\n", 5, "'-2': a number of atoms is needed"),
        (b"a=1 b=2 c=3 d=4\nH 0 0 0\nH 0 0 1\n", 5, "a number of atoms is needed"),
        (b"\0\0\0\n", 5, "a number of atoms is needed"),
        (b"\xff\xfe\n", 5, "a number of atoms is needed"),
        (b"99999999999999999999\n", 5, "a number of atoms is needed"),
    ],
)
def test_a_fault_and_its_line(bad, line, message):
    found_line, found = with_fault(bad)
    assert message in found
    assert found_line == line


def test_the_line_of_a_fault_among_many():
    lines = [b"200\n", b"\n", *[b"H 0 0 %d\n" % k for k in range(200)]]
    for place in (2, 3, 100, 201):
        bad = lines.copy()
        bad[place] = b"H 0 0 bad\n"
        ((line, _),) = items(b"".join(bad))
        assert line == place + 1


def test_an_end_in_the_middle():
    for end in range(len(GOOD) + 2, 2 * len(GOOD) - 1):
        first, last = items((GOOD + GOOD)[:end])
        assert len(first) == 2
        if isinstance(last, tuple):
            continue
        assert end == 2 * len(GOOD) - 1  # but for its line end


def test_every_byte_changed_touches_two_frames_at_most():
    """One fault may take the frame after it with it where it hides its beginning, never more."""
    text = GOOD * 5
    for place in range(len(GOOD), 2 * len(GOOD)):
        for byte in b"\n 7x\0":
            changed = bytearray(text)
            changed[place] = byte
            good = [item for item in items(bytes(changed)) if not isinstance(item, tuple)]
            assert len(good) >= 3


def test_what_else_frames_may_look_like(tmp_path):
    dos = GOOD.replace(b"\n", b"\r\n")
    latin = b"1\nname=caf\xe9\nHe 0 0 0\n"
    blank = b"\n \n"
    cells = b"1\n\nHe 0 0 0\nVEC1 3 0 0\nVEC2 0 3 0\nVEC3 0 0 3\n"
    empty = b"0\n\n"
    found = items(b"\xef\xbb\xbf" + dos + latin + blank + cells + empty + GOOD[:-1])
    assert [len(atoms) for atoms in found] == [2, 1, 1, 0, 2]
    (frame,) = scan_frames(io.BytesIO(b"\xef\xbb\xbf" + GOOD))
    assert (frame.text, frame.end) == (GOOD, len(GOOD) + 3)
    assert found[0] == found[-1]
    assert found[0].pbc.tolist() == [True, True, False]
    assert found[1].info == {"name": "café"}
    np.testing.assert_array_equal(found[2].cell, 3 * np.eye(3))
    path = tmp_path / "all.xyz"
    many = [molecule("CH4"), molecule("H2O", vacuum=2.0, pbc=True)]
    write(path, many, format="extxyz")
    assert items(path.read_bytes()) == read(path, ":")
