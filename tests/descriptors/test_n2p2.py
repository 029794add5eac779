"""n2p2's input.nn: read, converted, written; values equal to n2p2's own."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import CompactFunction, Function

BOHR = 0.529177210903
LINES = [
    "O 2 H 0.15 0.9 6.0",
    "O 2 H 0.03 0.0 6.0   # a comment",
    "O 3 H H 0.07 1.0 1.0 6.0",
    "O 3 H O 0.01 -1 4 5.5 0.3",
    "O 9 O H 0.02 1 2.5 6.0",
    "O 12 0.05 0.5 6.0",
    "O 13 0.03 0.2 -1.0 2.0 6.0",
    "H 2 O 0.1 0.0 6.0",
]
POSITIONS = [[0, 0, 0], [1.8, 0.1, 0.2], [-0.4, 1.7, -0.3], [2.0, 2.1, 3.3]]  # O H H O

# What the classes SymFncExp... of n2p2 (master of 2024) give for the first O, the first H and the
# last O, for these lines and positions.
N2P2 = {
    "0": (
        [
            1.816115195491214,
            1.7744691487358213,
            0.034514956875484337,
            0.30238373359448684,
            1.062718903029519,
            5.5890146083378909,
            1.5693803162941657,
        ],
        0.97502369273515321,
        1.2315471575166814,
    ),
    "3": (
        [
            0.91097616311003082,
            0.89011890077459954,
            7.1252149174266172e-06,
            0.020539644665468867,
            0.021529649579524066,
            1.0746770767842646,
            0.035245295282280466,
        ],
        0.38544734955949078,
        0.098939802973840529,
    ),
    "4 0.3": (
        [
            1.8161053634858288,
            1.7744595744728007,
            0.0050592669574840571,
            0.28595886465186399,
            0.57393651589586858,
            3.8645279879436845,
            0.82923086174304472,
        ],
        0.91744111654456673,
        0.8319713634476924,
    ),
    "8 0.2": (
        [
            1.8118037786974177,
            1.7702588462796611,
            0.00014099150899726291,
            0.26057580550464771,
            0.15587308867409869,
            2.3865417293873303,
            0.46785607187426664,
        ],
        0.832993086068883,
        0.39237738563833713,
    ),
    "1": (
        [
            1.4445059740239778,
            1.4114077268158907,
            0.00030182268258158938,
            0.10733959140786539,
            0.14073234518309832,
            2.0884563065747406,
            0.20779593979353628,
        ],
        0.65147294332294914,
        0.31392781948019788,
    ),
    "2": (
        [
            0.40241839242034078,
            0.3932048187625416,
            6.1420082322391316e-07,
            0.0017705384059929414,
            0.0042012505117099358,
            0.47473231366897972,
            0.0030381805500633218,
        ],
        0.17026911246817833,
        0.043706079337126565,
    ),
    "6 0.25": (
        [
            1.8115223355080718,
            1.7699846854597114,
            0.00068664831101512445,
            0.25896404239953413,
            0.26099422795591121,
            2.75824306960918,
            0.51511443597321127,
        ],
        0.85103414328404459,
        0.49678742322653369,
    ),
}


@pytest.fixture
def write(tmp_path):
    def write(cutoff_type="1", lines=LINES, head="elements O H\n"):
        path = tmp_path / "input.nn"
        text = "".join(f"symfunction_short {line}\n" for line in lines)
        path.write_text(f"# settings\n\n{head}cutoff_type {cutoff_type}  # c\n{text}")
        return path

    return write


@pytest.mark.parametrize("cutoff_type", N2P2)
@pytest.mark.parametrize("unit", ["Bohr", "Angstrom", 2.5])
def test_values_are_those_of_n2p2(write, cutoff_type, unit):
    """Also their order; and in whatever unit, since they have none themselves."""
    size = {"Bohr": BOHR, "Angstrom": 1.0}.get(unit, unit)
    d = tm.read_n2p2(write(cutoff_type), length_unit=unit)
    np.testing.assert_allclose(d.cutoff, 6 * size)
    atoms = Atoms("OHHO", positions=np.array(POSITIONS) * size)
    values = d.compute(tm.Configuration.from_atoms(atoms, d.cutoff))
    oxygen, hydrogen, last = N2P2[cutoff_type]
    rtol = 1e-12 if cutoff_type == "8 0.2" else 1e-13  # terms of n2p2's polynomial reach 540
    np.testing.assert_allclose(values[0], oxygen, rtol=rtol)
    np.testing.assert_allclose(values[1], [hydrogen] + [0] * 6, rtol=rtol)
    np.testing.assert_allclose(values[3, 0], last, rtol=rtol)


def test_what_is_read(write):
    d = tm.read_n2p2(write("6 0.25"), length_unit="Angstrom")
    assert d.species == ("H", "O")
    assert d.widths == {"H": 1, "O": 7}
    assert (d.cutoff_function, d.inner) == ("poly2", 0.25)
    assert d.functions["O"] == (
        Function("g2", ("H",), 6.0, 0.03),
        Function("g2", ("H",), 6.0, 0.15, 0.9),
        Function("g4", ("H", "O"), 5.5, 0.01, 0.3, 4.0, -1.0),
        Function("g4", ("H", "H"), 6.0, 0.07, 0.0, 1.0, 1.0),
        Function("g5", ("H", "O"), 6.0, 0.02, 0.0, 2.5, 1.0),
        Function("g2", None, 6.0, 0.05, 0.5),
        Function("g4", None, 6.0, 0.03, 0.2, 2.0, -1.0),
    )


@pytest.mark.parametrize("cutoff_type", ["1", "2", "5 0.1", "6", "7 0.3000000001"])
def test_written_and_read_back(write, tmp_path, cutoff_type):
    d = tm.read_n2p2(write(cutoff_type), length_unit="Bohr")
    d.to_file(tmp_path / "again.nn")
    assert tm.read_n2p2(tmp_path / "again.nn", length_unit="Angstrom") == d


def test_functions_come_in_the_order_of_n2p2(write):
    """By type first, then by cutoff, then eta, Rs, zeta, lambda, neighbors; data/n2p2 has one."""
    lines = ["O 2 H 0.1 0 6", "O 2 H 0.2 0 5", "O 2 O 0.3 0 5", "O 2 H 0.3 0 5", "O 2 O 0.01 9 5"]
    angular = ["O 3 H H 0.2 1 2 4", "O 3 H H 0.1 -1 2 6", "O 3 O H 0.1 1 1 6", "O 3 H H 0.1 -1 1 6"]
    d = tm.read_n2p2(write(lines=angular[::-1] + lines), length_unit="Angstrom")
    assert [(f.cutoff, f.eta, f.shift, f.neighbors) for f in d.functions["O"][:5]] == [
        (5, 0.01, 9, ("O",)),
        (5, 0.2, 0, ("H",)),
        (5, 0.3, 0, ("H",)),
        (5, 0.3, 0, ("O",)),
        (6, 0.1, 0, ("H",)),
    ]
    assert [(f.cutoff, f.eta, f.zeta, f.lam) for f in d.functions["O"][5:]] == [
        (4, 0.2, 2, 1),
        (6, 0.1, 1, -1),
        (6, 0.1, 1, 1),
        (6, 0.1, 2, -1),
    ]


def test_compact_functions(write):
    lines = [
        "O 25 0 6 60 180 p3",
        "O 22 H O -6 6 0 120 p2a",
        "O 20 H -2 6 p2",
        "O 24 0 6 60 180 p3",
        "O 20 H -3 5 e",
        "O 21 O H 0 6 -90 90 p1  words behind",
        "O 23 0 4 p4",
        "O 22 H H -6 6 0 120 p2a",
        "O 20 H -5 6 p2a",
        "O 20 O -6 6 p2",
        "O 20 H -3 6 p2",
    ]
    d = tm.read_n2p2(write(lines=lines), length_unit="Angstrom")
    assert d.functions["O"] == (
        CompactFunction("c2", ("H",), (-3.0, 5.0), None, "exp"),
        CompactFunction("c2", ("H",), (-3.0, 6.0), None, "poly2"),
        CompactFunction("c2", ("H",), (-2.0, 6.0), None, "poly2"),
        CompactFunction("c2", ("O",), (-6.0, 6.0), None, "poly2"),
        CompactFunction("c2", ("H",), (-5.0, 6.0), None, "poly2", True),
        CompactFunction("c4", ("H", "O"), (0.0, 6.0), (-90.0, 90.0), "poly1"),
        CompactFunction("c5", ("H", "H"), (-6.0, 6.0), (0.0, 120.0), "poly2", True),
        CompactFunction("c5", ("H", "O"), (-6.0, 6.0), (0.0, 120.0), "poly2", True),
        CompactFunction("c2", None, (0.0, 4.0), None, "poly4"),
        CompactFunction("c4", None, (0.0, 6.0), (60.0, 180.0), "poly3"),
        CompactFunction("c5", None, (0.0, 6.0), (60.0, 180.0), "poly3"),
    )
    in_bohr = tm.read_n2p2(write(lines=lines), length_unit="bohr").functions["O"][0]
    assert in_bohr.radial == (-3 * BOHR, 5 * BOHR)


def test_compact_functions_are_written(write, tmp_path):
    lines = ["O 20 H -3 5 e", "O 22 H O -6.1 6.1 0 120 p2a", "O 24 0 6 60 180 p3", "O 2 H 1 0 6"]
    d = tm.read_n2p2(write(lines=lines), length_unit="Bohr")
    d.to_file(tmp_path / "again.nn")
    assert tm.read_n2p2(tmp_path / "again.nn", length_unit="Angstrom") == d


def test_lines_for_all_elements(write):
    """As RuNNer: one function for each element, or each pair of elements, of the neighbors."""
    short = ["global_symfunction_short 2 0.1 0.5 6", "element_symfunction_short O 3 0.2 1 2 5"]
    short.append("element_symfunction_short H 9 0.2 -1 2 5  eta lambda zeta")
    long = [f"{e} 2 {n} 0.1 0.5 6" for e in "HO" for n in "HO"]
    pairs = ("H H", "H O", "O O")
    long += [f"O 3 {pair} 0.2 1 2 5" for pair in pairs]
    long += [f"H 9 {pair} 0.2 -1 2 5" for pair in pairs]
    head = "elements O H\n" + "\n".join(short) + "\n"
    d = tm.read_n2p2(write(lines=[], head=head), length_unit="Bohr")
    assert d == tm.read_n2p2(write(lines=long), length_unit="Bohr")
    assert d.widths == {"H": 5, "O": 5}


def test_functions_that_are_listed_twice_count_twice(write):
    """As in n2p2: the networks have an input for each."""
    d = tm.read_n2p2(write(lines=["O 2 H 0.1 0 6"] * 2), length_unit="Bohr")
    assert d.widths["O"] == 2


@pytest.mark.parametrize(
    ("cutoff_type", "also", "expected"),
    [
        ("1", "cutoff_alpha 0.3", ("cos", 0.3)),
        ("6 0.3", "cutoff_alpha 0.3", ("poly2", 0.3)),
        ("3 0.3", "", ("tanh3_normalized", 0.0)),
        ("0", "", ("hard", 0.0)),
        ("4 0.25 alpha", "", ("exp", 0.25)),
        ("8", "", ("poly4", 0.0)),
    ],
)
def test_cutoff_types(write, cutoff_type, also, expected):
    d = tm.read_n2p2(write(cutoff_type, head=f"elements O H\n{also}\n"), length_unit="Bohr")
    assert (d.cutoff_function, d.inner) == expected


def test_cutoff_alpha_that_contradicts(write):
    path = write("6 0.2", head="elements O H\ncutoff_alpha 0.3\n")
    with pytest.raises(tm.FileFormatError, match=r"input\.nn:4: cutoff_alpha = 0\.3: .*0\.2"):
        tm.read_n2p2(path, length_unit="Bohr")


def test_neighbors_come_by_atomic_number(write):
    """Hydrogen before carbon, which comes first in the alphabet."""
    lines = ["C 2 C 0.1 0 6", "C 2 H 0.1 0 6"]
    d = tm.read_n2p2(write(lines=lines, head="elements C H\n"), length_unit="Angstrom")
    assert [f.neighbors for f in d.functions["C"]] == [("H",), ("C",)]


def test_tanh_has_no_inner_part(write):
    """n2p2 reads alpha for any cutoff function, but tanh³ does not use it."""
    d, same = (tm.read_n2p2(write(kind), length_unit="Bohr") for kind in ("2 0.3", "2"))
    assert d == same


@pytest.mark.parametrize(
    ("name", "structure"),
    [("H2O_RPBE-D3", "own_cluster_10_molecules"), ("mlearn_Si", "own_cluster_20")],
)
def test_published_potentials(shared_data, name, structure):
    """The order of their functions, and values, by n2p2 itself."""
    path = shared_data / "n2p2" / name / "input.nn"
    lines = path.read_text().splitlines()
    with np.load(shared_data / "n2p2" / name / "values.npz") as arrays:
        n2p2 = {key: arrays[key] for key in arrays.files if key.startswith((structure, "order"))}
    d = tm.read_n2p2(path, length_unit="Bohr")
    assert {element: len(n2p2[f"order/{element}"]) for element in d.species} == d.widths
    for element, own in d.functions.items():
        for f, number in zip(own, n2p2[f"order/{element}"], strict=True):
            words = lines[number - 1].split("#")[0].split()
            cutoff, eta = float(words[-1]), float(words[4 if f.type == "g2" else 5])
            assert f.cutoff == pytest.approx(cutoff * BOHR, rel=1e-14)
            assert f.eta == pytest.approx(eta / BOHR**2, rel=1e-14)
    atoms = Atoms(
        n2p2[f"{structure}/symbols"].tolist(), positions=n2p2[f"{structure}/positions"] * BOHR
    )
    values = d.compute(tm.Configuration.from_atoms(atoms, d.cutoff, d.species))
    expected = n2p2[f"{structure}/G"]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("   # a comment", "!2024"),  # else a part of the number
        lambda text: text.replace("# a comment", "without any mark"),
        lambda text: text.replace("symfunction_short", "symfunction"),
        lambda text: text.replace("cutoff_type 1  # c\n", ""),
        lambda text: text.replace(" 6.0\n", " 0.6d1\n").replace("0.15", "1.5D-01"),
        lambda text: text.replace(
            "elements O H", "number_of_elements 2 of them\nelements O H of water"
        ),
        lambda text: text.replace(" 1  # c", " 1 tanh 3"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace("# settings", "# r\udce9glages\n"),
        lambda text: text + "title r\udce9glages\n",
    ],
)
def test_ways_of_writing_the_same(write, change):
    path = write()
    expected = tm.read_n2p2(path, length_unit="Bohr")
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_bytes(changed.encode(errors="surrogateescape"))
    assert tm.read_n2p2(path, length_unit="Bohr") == expected


def test_a_value_that_is_no_utf_8(write):
    path = write()
    path.write_bytes(path.read_bytes().replace(b" H 0.15", b" H\xe9 0.15"))
    with pytest.raises(tm.FileFormatError, match=r"input\.nn:5: .*text in UTF-8 is needed"):
        tm.read_n2p2(path, length_unit="Bohr")


def test_weighted_g5_cannot_be_written(tmp_path):
    d = tm.ElementSymmetryFunctions({"H": [Function("g5", None, 4.0, 0.1)]})
    with pytest.raises(tm.UnsupportedError, match="no weighted g5"):
        d.to_file(tmp_path / "never.nn")


def test_no_such_file(tmp_path):
    with pytest.raises(tm.MissingFileError, match=r"never\.nn: there is no such file"):
        tm.read_n2p2(tmp_path / "never.nn", length_unit="Bohr")


@pytest.mark.parametrize("unit", ["bohr radius", 0, -1.0, np.nan, np.inf, None, True])
def test_wrong_unit(write, unit):
    with pytest.raises(tm.InputError, match="length_unit"):
        tm.read_n2p2(write(), length_unit=unit)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lines": []}, r"input\.nn:4: there is no symfunction_short"),
        ({"head": ""}, r"input\.nn:11: a line 'elements"),
        ({"head": "elements O H\nelements O\n"}, r"input\.nn:4: elements is given twice"),
        ({"head": "elements O O\n"}, r"input\.nn:3: elements = .*: different elements"),
        ({"head": "elements O Q\n"}, r"input\.nn:3: .*'Q' is not a chemical element"),
        ({"cutoff_type": "one"}, r"input\.nn:4: cutoff_type = 'one': a finite decimal number"),
        (
            {"cutoff_type": "1 2 3"},
            r"input\.nn:4: cutoff_type = '1 2 3': 1 to 2 words are needed",
        ),
        ({"cutoff_type": "1 1.0"}, r"input\.nn:4: alpha = 1: 0 <= alpha < 1"),
        ({"lines": ["Si 2 H 0.1 0 6"]}, r"input\.nn:5: symfunction_short 'Si 2': one of"),
        ({"lines": ["O"]}, r"input\.nn:5: symfunction_short: a type is needed"),
        ({"lines": [""]}, r"input\.nn:5: symfunction_short '': one of"),
        ({"lines": ["O 20 H 5 1 p2"]}, r"input\.nn:5: symfunction_short: radial = .*greater"),
        ({"lines": ["O 22 H H -1 1 0 200 p2"]}, r"input\.nn:5: symfunction_short: angular = "),
        ({"lines": ["O 22 H H -1 1 0 90"]}, r"input\.nn:5: .*of type 22: 7 more words"),
        ({"head": "number_of_elements 3\nelements O H\n"}, r"input\.nn:4: elements = .*3, are"),
        ({"head": "number_of_elements 1\nelements O H\n"}, r"input\.nn:4: elements = .*just"),
        ({"head": "elements O H\nelement_symfunction_short C 2 1 0 6\n"}, r"input\.nn:4: .*one of"),
        (
            {"head": "elements O H\nglobal_symfunction_short 2 H 1 0 6\n"},
            r"input\.nn:4: .*3 more words",
        ),
        ({"head": "elements O H\ncutoff_alpha 1\n"}, r"input\.nn:4: alpha = 1: 0 <= alpha < 1"),
        ({"lines": ["O 2 C 0.1 0 6"]}, r"input\.nn:5: .*'C': one of the elements"),
        ({"lines": ["O 2 H 0.1 0"]}, r"input\.nn:5: .*of type 2: 4 more words"),
        ({"lines": ["O 2 H 0.1 0 6 1"]}, r"input\.nn:5: .*of type 2: 4 more words"),
        ({"lines": ["O 3 H H 0.1 1 1 6 0 0"]}, r"input\.nn:5: .*of type 3"),
        ({"lines": ["O 2 H x 0 6"]}, r"input\.nn:5: eta = 'x': a finite decimal number"),
        ({"lines": ["O 2 H nan 0 6"]}, r"input\.nn:5: eta = 'nan': a finite"),
        ({"lines": ["O 2 H 1_0.5 0 6"]}, r"input\.nn:5: eta = '1_0\.5': a finite"),
        ({"cutoff_type": "1 ٠"}, r"input\.nn:4: alpha = '٠': a finite"),
        ({"cutoff_type": "nan"}, r"input\.nn:4: cutoff_type = 'nan'"),
        ({"lines": ["O 2 H 0.1 0 -6"]}, r"input\.nn:5: .*cutoff = -6"),
    ],
)
def test_wrong_files_are_named(write, changed, message):
    with pytest.raises(tm.FileFormatError, match=message):
        tm.read_n2p2(write(**changed), length_unit="Angstrom")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cutoff_type": "9"}, r"input\.nn:4: cutoff_type = 9: one of"),
        (
            {"head": "elements O H\nsymfunction_electrostatic O 2 H 1 0 6\n"},
            r"input\.nn:4: 'symfunction_electrostatic' defines symmetry functions",
        ),
        ({"head": "elements O H\ncutoff_typ 1\n"}, r"input\.nn:4: 'cutoff_typ' defines"),
        ({"lines": ["O 4 H 1 6"]}, r"input\.nn:5: symfunction_short: type = 4: one of"),
        ({"lines": ["O 20 H -1 1 p5"]}, r"input\.nn:5: .*'p5': a core function p1"),
        (
            {"head": "elements O H\nglobal_symfunction_short 12 1 0 6\n"},
            r"input\.nn:4: global_symfunction_short: type = 12: one of the types \[2, 3, 9\]",
        ),
    ],
)
def test_what_is_not_supported(write, changed, message):
    with pytest.raises(tm.UnsupportedError, match=message):
        tm.read_n2p2(write(**changed), length_unit="Angstrom")
