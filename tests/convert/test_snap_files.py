"""Reading .snapcoeff, .snapparam and .snap files: what they say, and every error with its line."""

import tracemalloc

import numpy as np
import pytest

from torchml_core.convert.snap_files import read_snapcoeff, read_snapparam
from torchml_core.convert.snap_include import read_snap_include
from torchml_core.errors import FileFormatError, MissingFileError, UnsupportedError

COEFF = """\
# DATE: 2014-09-05 UNITS: metal CONTRIBUTOR: A. B. CITATION: Csányi, "Title", 1 (2014)

# second comment
2 3
W 0.5 1
 -0.000000000000 # B[0]
 -1.5d-3
 .25
'Be' 0.417932 "0.959049"
1
-2e5
3
"""
PARAM = """\
# UNITS: metal
rcutfac 4.8123   # required
twojmax 8
rfac0 0.98
rmin0 0.1
switchflag 0
bzeroflag 0
quadraticflag 1
chemflag 1
bnormflag 1
wselfallflag 1
switchinnerflag 1
sinner 1.35 1.6
dinner 0.25 0.3
chunksize 4096
parallelthresh 100
diagonalstyle 3
"""
SNAP = """\
# DATE: 2019-09-18 UNITS: metal CITATION: none
variable inner equal 4
variable outer index 4.8 5.0
variable outer index 6
variable z string 74
pair_style hybrid/overlay &
zbl ${inner} ${outer} &
snap
pair_coeff 1 1 zbl $z ${z}
pair_coeff 1 2 zbl ${z} 4
pair_coeff 2 2 zbl 4 4
pair_coeff * * snap WBe.snapcoeff 'WBe.snapparam' W Be
# pair_style snap &
  pair_coeff * * none
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def changed(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


def message(read, path, kind=FileFormatError):
    with pytest.raises(kind) as caught:
        read(path)
    return str(caught.value).removeprefix(f"{path}:")


def test_coefficients(write):
    found = read_snapcoeff(write("x.snapcoeff", COEFF))
    assert (found.line, found.n_coefficients) == (4, 3)
    assert found.citation == 'Csányi, "Title", 1 (2014)'
    assert {name: (e.radius, e.weight, e.line) for name, e in found.elements.items()} == {
        "W": (0.5, 1.0, 5),
        "Be": (0.417932, 0.959049, 9),
    }
    np.testing.assert_array_equal(found.elements["W"].coefficients, [0, -1.5e-3, 0.25])
    np.testing.assert_array_equal(found.elements["Be"].coefficients, [1, -2e5, 3])


def test_memory_is_for_coefficients_that_are_there(write):
    path = write("x.snapcoeff", changed(COEFF, "2 3\n", "2 999999999\n"))
    tracemalloc.start()
    try:
        assert "coefficient 4 of 999999999 of W" in message(read_snapcoeff, path)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_citation_with_bytes_that_are_no_utf_8(tmp_path):
    path = tmp_path / "x.snapcoeff"
    path.write_bytes(COEFF.encode("latin-1"))
    assert read_snapcoeff(path).citation == 'Cs\ufffdnyi, "Title", 1 (2014)'


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("2 3\n", "2\n", 4, "'2': the number of elements and the number of coefficients"),
        ("2 3\n", "2 3 1\n", 4, "'2 3 1': the number"),
        ("2 3\n", "0 3\n", 4, "number of elements = 0"),
        ("2 3\n", "2 x\n", 4, "number of coefficients = 'x': a finite decimal number is needed"),
        ("2 3\n", "1 3\n", 9, "'Be  0.417932  0.959049': nothing is needed after the 1 x 3"),
        ("2 3\n", "3 3\n", 12, "the file ends where an element"),
        ("2 3\n", "2 4\n", 9, "'Be 0.417932 0.959049': coefficient 4 of 4 of W, a number, is"),
        ("2 3\n", "2 2\n", 8, "'.25': an element, its symbol, radius and weight, is needed"),
        ("W 0.5 1\n", "W 0.5\n", 5, "'W 0.5': an element"),
        ("W 0.5 1\n", "W 0 1\n", 5, "radius = 0.0: a positive"),
        ("W 0.5 1\n", "W 0.5 nan\n", 5, "weight = 'nan': a finite decimal number is needed"),
        (".25\n", "\n", 8, "'': coefficient 3 of 3 of W"),
        (".25\n", ".25 1\n", 8, "'.25 1': coefficient 3"),
        (".25\n", "1,5\n", 8, "coefficient = '1,5': a finite decimal number is needed"),
        ("'Be'", "W", 9, "W is also in line 5; each element once is needed"),
        ("3\n", "3\n4\n", 13, "'4': nothing is needed after the 2 x 3 coefficients that line 4"),
    ],
)
def test_faults_of_coefficients(write, old, new, line, said):
    text = (
        COEFF[::-1].replace(old[::-1], new[::-1], 1)[::-1]
        if old == "3\n"
        else changed(COEFF, old, new)
    )
    found = message(read_snapcoeff, write("x.snapcoeff", text))
    assert found.startswith(f"{line}: {said}")


def test_empty_and_missing_files(write, tmp_path):
    assert message(read_snapcoeff, write("x.snapcoeff", "")).startswith("1: '': the number of")
    assert message(read_snapparam, write("x.snapparam", "#\n")).startswith("1: a line 'rcutfac")
    with pytest.raises(MissingFileError, match=r"a \.snapcoeff file is needed"):
        read_snapcoeff(tmp_path / "none")


@pytest.mark.parametrize("read", [read_snapcoeff, read_snapparam, read_snap_include])
def test_other_units(write, read):
    found = message(read, write("x", "# UNITS: real\n"), UnsupportedError)
    assert found == "1: UNITS: 'real': only metal, Å and eV, is supported"


def test_parameters(write):
    assert read_snapparam(write("x", PARAM)).values == {
        "rcutfac": 4.8123,
        "twojmax": 8,
        "rfac0": 0.98,
        "rmin0": 0.1,
        "switchflag": False,
        "bzeroflag": False,
        "quadraticflag": True,
        "chemflag": True,
        "bnormflag": True,
        "wselfallflag": True,
        "switchinnerflag": True,
        "sinner": (1.35, 1.6),
        "dinner": (0.25, 0.3),
        "chunksize": 4096,
        "parallelthresh": 100,
        "diagonalstyle": 3,
    }


def test_defaults_of_parameters(write):
    """Those of LAMMPS; bzeroflag is 1."""
    assert read_snapparam(write("x", "rcutfac 4\ntwojmax 6")).values == {
        "rcutfac": 4.0,
        "twojmax": 6,
        "rfac0": 0.99363,
        "rmin0": 0.0,
        "switchflag": True,
        "bzeroflag": True,
        "quadraticflag": False,
        "chemflag": False,
        "bnormflag": False,
        "wselfallflag": False,
        "switchinnerflag": False,
        "sinner": (),
        "dinner": (),
        "chunksize": None,
        "parallelthresh": None,
        "diagonalstyle": 3,
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("rcutfac 4.8123", "", 17, "a line 'rcutfac ...' is needed"),
        ("twojmax 8", "", 17, "a line 'twojmax ...' is needed"),
        ("rcutfac 4.8123", "rcutfac -1", 2, "rcutfac = -1.0: a positive"),
        ("twojmax 8", "twojmax 8.5", 3, "twojmax = 8.5: a whole number"),
        ("twojmax 8", "twojmax", 3, "twojmax = '': one number is needed"),
        ("twojmax 8", "twojmax 8 6", 3, "twojmax = '8 6': one number is needed"),
        ("twojmax 8", "rcutfac 5", 3, "rcutfac is also in line 2; each keyword once is needed"),
        ("rfac0 0.98", "rfac0 yes", 4, "rfac0 = 'yes': a finite decimal number is needed"),
        ("switchflag 0", "switchflag 2", 6, "switchflag = 2: a whole number from 0 to 1"),
        ("switchflag 0", "switch_flag 0", 6, "'switch_flag': one of rcutfac, twojmax, rfac0"),
        ("sinner 1.35 1.6", "", 12, "with switchinnerflag 1, sinner is needed"),
        ("dinner 0.25 0.3", "", 12, "with switchinnerflag 1, dinner is needed"),
        ("dinner 0.25 0.3", "dinner 0.25 0", 14, "dinner = 0.0: a positive"),
        ("sinner 1.35 1.6", "sinner", 13, "sinner = '': one number is needed"),
        ("switchinnerflag 1", "", 13, "with sinner, switchinnerflag 1 is needed"),
        ("chunksize 4096", "chunksize 0", 15, "chunksize = 0: a whole number"),
    ],
)
def test_faults_of_parameters(write, old, new, line, said):
    found = message(read_snapparam, write("x", changed(PARAM, old, new)))
    assert found.startswith(f"{line}: {said}")


def test_removed_keyword(write):
    path = write("x", changed(PARAM, "diagonalstyle 3", "diagonalstyle 1"))
    assert message(read_snapparam, path, UnsupportedError).startswith(
        "17: diagonalstyle '1': only 3"
    )


def test_commands(write, tmp_path):
    found = read_snap_include(write("x.snap", SNAP))
    assert found.coeff == tmp_path / "WBe.snapcoeff"
    assert found.param == tmp_path / "WBe.snapparam"
    assert found.elements == ("W", "Be")
    assert found.zbl == (4.0, 4.8)
    assert found.citation is None


@pytest.mark.parametrize("types", ["W W Be Be", "Be W"])
def test_elements_are_in_the_order_of_types(write, types):
    text = f"pair_style snap/kk\npair_coeff * * a b {types}\n"
    found = read_snap_include(write("x.snap", text))
    assert found.elements == tuple(dict.fromkeys(types.split()))
    assert found.zbl is None


@pytest.mark.parametrize(
    "lines",
    [
        "pair_coeff * * zbl 74 74",
        "pair_coeff *2 * zbl 74 74",
        "pair_coeff 1*2 1* zbl 74 74",
        "pair_coeff 1 1*2 zbl 74 74.0\npair_coeff 2 2 zbl 74 74",
        "pair_coeff * * zbl 13 13\npair_coeff * * zbl 74 74",  # the last one counts
    ],
)
def test_ranges_of_types(write, lines):
    text = f"pair_style hybrid/overlay snap zbl 4 5\n{lines}\npair_coeff * * snap a b W W\n"
    assert read_snap_include(write("x.snap", text)).zbl == (4.0, 5.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("variable inner equal 4", "", 6, "variable 'inner' is not defined above this line"),
        ("variable inner equal 4", "variable inner", 2, "variable: a name, a style and a value"),
        ("${inner} ", "", 6, "pair_style zbl: an inner and an outer distance are needed"),
        ("zbl 4 4\n", "zbl 4\n", 11, "zbl 4: the atomic numbers of both types are needed"),
        ("zbl 4 4\n", "zbl 4 x\n", 11, "zbl = 'x': a finite decimal number is needed"),
        ("pair_coeff 2 2 zbl", "pair_coeff 3 3 zbl", 11, "type = 3: a whole number from 1 to 2"),
        ("pair_coeff 2 2 zbl", "pair_coeff 2 a zbl", 11, "type 'a': a number or a range"),
        ("pair_coeff 1 2 zbl", "pair_coeff 2 1 zbl", 10, "pair_coeff 2 1: types of which the"),
        ("pair_coeff 2 2 zbl", "pair_coeff 2 2 eam", 11, "pair_coeff 2 2 'eam': zbl or snap is"),
        ("pair_coeff * *", "pair_coeff 1 *", 12, "pair_coeff 1 *: * * is needed for snap"),
        (" W Be\n", "\n", 12, "pair_coeff of snap: two files and the element of each type"),
        ("# pair_style snap &\n", "", 13, "pair_coeff * * 'none': zbl or snap is needed"),
        ("# pair_style snap &\n", "pair_style snap\n", 13, "pair_style is also in line 6"),
        ("# pair_style snap &\n", "pair_coeff * * snap a b W #", 13, "pair_coeff of snap is also"),
        ("pair_coeff * * snap", "# pair_coeff * * snap", 14, "a line 'pair_coeff * * snap"),
        ("pair_style hybrid", "# pair_style hybrid", 9, "pair_coeff: a pair_style above this"),
        ("&\nsnap", "snap 8", 6, "snap 8: no arguments are needed"),
        (
            "inner equal 4",
            "inner equal 5",
            6,
            "inner = 5.0: a distance below outer, 4.8, is needed",
        ),
        (" W Be\n", " W Xy\n", 12, "species: 'Xy' is not a chemical element"),
    ],
)
def test_faults_of_commands(write, old, new, line, said):
    found = message(read_snap_include, write("x.snap", changed(SNAP, old, new)))
    assert found.startswith(f"{line}: {said}"), found


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("variable z string 74", "mass 1 183.8", 5, "command 'mass': only variable, units"),
        ("variable z string 74", "units real", 5, "units real: only metal"),
        ("variable z string 74", "variable z equal 70+4", 5, "variable z equal '70+4': only a"),
        ("variable z string 74", "variable z atom 74", 5, "variable z atom: only equal, string"),
        ("$z", "$(v_z)", 9, "'$(v_z) 74': only ${name} is supported"),
        ("pair_style hybrid/overlay", "pair_style hybrid", 6, "pair_style 'hybrid': snap alone"),
        ("&\nsnap", "snap table spline 100", 6, "pair_style 'table': snap alone, or hybrid"),
        ("&\nsnap", "", 6, "pair_style hybrid/overlay zbl 4 4.8: snap alone"),
        (" W Be\n", " W NULL\n", 12, "element NULL of type 2: only potentials in which snap acts"),
        ("pair_coeff 1 2", "# ", 6, "zbl between types 1 and 2, W and Be, is missing"),
        ("zbl 4 4\n", "zbl 4.1 4\n", 11, "zbl 4.1 4 between types 2 and 2: only the atomic"),
        ("zbl 4 4\n", "zbl 4 4\npair_modify shift yes\n", 12, "command 'pair_modify'"),
    ],
)
def test_commands_that_are_not_supported(write, old, new, line, said):
    found = message(read_snap_include, write("x.snap", changed(SNAP, old, new)), UnsupportedError)
    assert found.startswith(f"{line}: {said}"), found
