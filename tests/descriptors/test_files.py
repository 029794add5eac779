"""The .dat files: every way of writing them that occurs, every way of getting them wrong."""

import numpy as np
import pytest

import torchml_core as tm

HEAD = """\
# made by hand
cos  # cutoff type

2  # number of species
Si Si 5.0
Si C  4.5
C C 3.25
"""
FUNCTIONS = """\

3  # number of symmetry functions types
g1 1 1
0.0

# a comment   8 2
g2    2    2
0.0035710676725828126    0.0    # eta  Rs
   1.5\t2

g4 1 3
1    -1   1e-2 # zeta  lambda  eta
"""
TAIL = "center_and_normalize False\n"
EXPECTED = tm.SymmetryFunctions(
    ["Si", "C"],
    {("Si", "Si"): 5.0, ("Si", "C"): 4.5, ("C", "C"): 3.25},
    [("g1", []), ("g2", [[0.0035710676725828126, 0], [1.5, 2]]), ("g4", [[1, -1, 0.01]])],
)
NORMALIZED = tm.SymmetryFunctions(
    ["Si", "C"],
    EXPECTED.cutoffs,
    EXPECTED.functions,
    mean=[0.1, -2, 3, 4],
    std=[1, 2, 3, 0.5],
)
BY_COLUMN = """\
center_and_normalize True

4   # descriptor size
# mean
0.1
-2
3
4

# standard deviation
1.0
2.0
3.0
0.5
"""


@pytest.fixture
def read(tmp_path):
    """Read a text as a file of symmetry functions."""

    def read(text, species=None, kind="SymmetryFunctions"):
        path = tmp_path / "descriptor.dat"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return tm.read_descriptor(path, kind, species)

    return read


def test_plain_file(read):
    assert read(HEAD + FUNCTIONS + TAIL) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        (HEAD + FUNCTIONS + TAIL).replace("\n", "\r\n"),
        (HEAD + FUNCTIONS + TAIL).replace("\n", "\n  \t \n"),
        (HEAD + FUNCTIONS + TAIL).rstrip("\n"),
        (HEAD + FUNCTIONS + TAIL).replace("\n", "\r"),
        (HEAD + FUNCTIONS + TAIL).replace("0.0035710676725828126", "35.710676725828126D-04"),
        (HEAD + FUNCTIONS + TAIL).encode("utf-16"),
        (HEAD + FUNCTIONS + TAIL).encode().replace(b"by hand", b"\xe0 la main \x85"),
        "\ufeff" + HEAD + FUNCTIONS + TAIL,
        (HEAD + FUNCTIONS + TAIL).replace("g1 1 1\n0.0\n", "g1\n"),
        (HEAD + FUNCTIONS + TAIL).replace("g1 1 1\n0.0\n", "g1 1 0\n"),
        (HEAD + FUNCTIONS + TAIL).replace("g4 1 3", "G4 1.0 3.0"),
        (HEAD + FUNCTIONS + TAIL).replace("2  # number", "number 2.0 of species # "),
        (HEAD + FUNCTIONS + TAIL).replace("1.5\t2", "eta, Rs: 1.5 2 or so"),
        (HEAD + FUNCTIONS + TAIL).replace("cos  #", "COS #"),
        HEAD + FUNCTIONS + "center_and_normalize false # no more",
        HEAD + FUNCTIONS + "FALSE\n",
        HEAD + FUNCTIONS + "center_and_normalize FALSE\n4\n# mean\n1\n\n# std\n2\n",
        HEAD + FUNCTIONS + "center_and_normalize True\n4\n# mean\n0.0 \n\n# std\n1.0 \n",
        HEAD + FUNCTIONS + "center_and_normalize TRUE\n4\n0 0 0 0\n1 1 1 1\n",
    ],
)
def test_ways_of_writing_the_same(read, text):
    assert read(text) == EXPECTED


@pytest.mark.parametrize(
    "pairs",
    [
        "Si Si 5.0\nC Si 4.5\nC C 3.25\n",
        "Si Si 5.0\nSi C 4.5\nC Si 4.5\nC C 3.25\n",
        "Si C 4.50\nC C 3.25\nSi Si 5\n",
        "Si Si 5.0\n# C and others\n\nC C 3.25\nC Si 4.5 # last\n",
    ],
)
def test_pair_lines(read, pairs):
    """n(n+1)/2 or n² lines, in any order; species in the order in which they appear."""
    text = HEAD[: HEAD.index("Si Si")] + pairs + FUNCTIONS + TAIL
    assert read(text) == EXPECTED


def test_one_line_for_one_species(read):
    d = read("cos\n1\nSi Si 3.0\n1\ng3 1 1\n0.5\ncenter_and_normalize False")
    assert d == tm.SymmetryFunctions(["Si"], 3.0, [("g3", [[0.5]])])


@pytest.mark.parametrize(
    "tail",
    [
        BY_COLUMN,
        "center_and_normalize True\n4\n0.1 -2 3 4\n1 2 3 .5\n",
        "center_and_normalize True\n4\n0.1 -2\n3 4\n1 2\n3 5e-1 # last\n",
    ],
)
def test_means_and_deviations_are_applied(read, tail):
    assert read(HEAD + FUNCTIONS + tail) == NORMALIZED


@pytest.mark.parametrize(
    ("tail", "mean", "std"),
    [
        ("4\n# mean\n0.5\n# deviation\n2\n", 0.5, 2),
        ("4\n0.5\n\n2\n", 0.5, 2),
    ],
)
def test_one_number_for_all(read, tail, mean, std):
    d = read(HEAD + FUNCTIONS + "center_and_normalize True\n" + tail)
    np.testing.assert_array_equal(d.mean, np.broadcast_to(mean, 4))
    np.testing.assert_array_equal(d.std, np.broadcast_to(std, 4))


def test_real_file(shared_data):
    """Of a model that others made: one mean and one deviation for 51 values."""
    path = shared_data / "portable_models" / "TorchMLModel2_Desc" / "kim_descriptor.dat"
    d = tm.read_descriptor(path, "SymmetryFunctions", ["Si"])
    assert (d.width, d.cutoff, d.species, d.mean) == (51, 3.0, ("Si",), None)
    assert [(type, len(rows)) for type, rows in d.functions] == [("g2", 8), ("g4", 43)]
    assert d.labels[-1] == "g4(zeta=16, lambda=1, eta=0.285685)"


@pytest.mark.parametrize("descriptor", [EXPECTED, NORMALIZED])
def test_every_truncation_is_an_error(read, tmp_path, descriptor):
    descriptor.to_file(tmp_path / "whole.dat")
    for text in ((tmp_path / "whole.dat").read_text(), HEAD + FUNCTIONS + BY_COLUMN):
        lines = text.split("\n")[:-1]
        last = max(k for k, line in enumerate(lines) if line and not line.startswith("#"))
        for n in range(last):
            with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat:\d+: "):
                read("\n".join(lines[:n]))


# What is replaced in the good file, by what, the line of the error and what it must say.
WRONG = [
    ("cos ", "tanh ", 2, "cutoff type 'tanh': the format knows cos only"),
    ("2  # number of species", "two", 4, "the number of species: 1 numbers are needed"),
    ("2  # number of species", "0", 4, "the number of species = 0: a whole number from 1"),
    ("2  # number of species", "1.5", 4, "the number of species = 1.5"),
    ("2  # number of species", "2 8", 4, "the number of species: 1 numbers .* found '2 8'"),
    ("2  # number of species", "1", 6, "C is one more than the 1 species announced"),
    ("2  # number of species", "3", 9, "'A B cutoff' for the other of the 3 species is needed"),
    ("Si C  4.5\n", "", 8, "'A B cutoff' for the pair Si C is needed, found '3'"),
    ("C C 3.25\n", "", 8, "'A B cutoff' for the pair C C is needed"),
    ("C C 3.25", "C 3.25", 7, "'A B cutoff' for the pair C C is needed, found 'C 3.25'"),
    ("C C 3.25", "C C", 7, "'A B cutoff' for the pair C C is needed, found 'C C'"),
    ("C C 3.25", "C C x", 7, "'A B cutoff'"),
    ("C C 3.25", "C C 0", 7, "the cutoff of C C = 0.0: a positive finite number"),
    ("C C 3.25", "C C -3.25", 7, "the cutoff of C C = -3.25"),
    ("C C 3.25", "C C 1e200", 7, r"the cutoff of C C = 1e\+200: a length from"),
    ("C C 3.25", "C C 0x10", 7, "'A B cutoff' for the pair C C is needed, found 'C C 0x10'"),
    ("C C 3.25", "C C " + 50 * "C" + " 3", 7, "'A B cutoff' for the pair C C is needed"),
    ("C C 3.25", "C " + 50 * "C" + " 3", 7, "the name of a species, up to 40 characters"),
    ("1.5\t2", "1.5 2_0", 16, "g2 row 2 of 2 .* = '2_0': a finite decimal number"),
    ("1.5\t2", "1_0.5 2 3", 16, "g2 row 2 of 2 .* = '1_0.5': a finite decimal number"),
    ("1.5\t2", "1.5 ٢", 16, "g2 row 2 of 2 .* = '٢': a finite decimal number"),
    ("1.5\t2", "1,5 2 3", 16, "g2 row 2 of 2 .* = '1,5': a finite decimal number"),
    ("1.5\t2", "1.5 " + "9" * 32_000, 16, "a number of at most 64 characters"),
    ("1.5\t2", "1.5 1e999", 16, "'1e999': a number below 1.8e308"),
    ("C C 3.25", "C C nan", 7, "the cutoff of C C = 'nan': a finite decimal number"),
    ("C C 3.25", "C C 3.25 7", 7, "the cutoff of C C: 1 numbers"),
    ("C C 3.25", "C C 3.25\nC Si 4.4", 8, "C Si has cutoff 4.4, but Si C had 4.5"),
    ("C C 3.25", "C C 3.25\nSi C 4.5", 8, "the pair Si C is given twice"),
    ("C C 3.25", "C C 3.25\nO C 3", 8, "O is one more than the 2 species announced"),
    ("3  # number of sym", "6 # number of sym", 20, "type 4 of 6: 'center_and_normalize' is none"),
    ("3  # number of sym", "2 # number of sym", 18, "center_and_normalize True or False is needed"),
    ("3  # number of sym", "# number of sym", 10, "the number of symmetry function types"),
    ("g1 1 1", "g7 1 1", 10, "type 1 of 3: 'g7' is none of g1, g2"),
    ("g1 1 1\n0.0", "g1 1 1", 13, "the row of g1: 1 numbers are needed, found 'g2 2 2'"),
    ("g1 1 1", "g1 2 1", 10, "g1 has one row of one number, not 2 of 1"),
    ("g4 1 3", "g2 1 2", 18, "type 3 of 3: g2 was there before"),
    (
        "g2    2    2",
        "g2 3 2",
        18,
        r"g2 row 3 of 3 \(eta Rs\) is missing: g4 begins",
    ),
    ("g2    2    2", "g2 1 2", 16, "type 3 of 3: '1.5' is none of"),
    ("g2    2    2", "g2 2 3", 14, "g2: 3 columns, but there are 2: eta Rs"),
    ("g2    2    2", "g2 2", 14, "g2: rows and columns: 2 numbers"),
    ("g2    2    2", "g2", 14, "g2: rows and columns: 2 numbers"),
    ("g2    2    2", "g2 0 2", 14, "g2: rows and columns = 0: a whole number from 1"),
    ("1.5\t2", "1.5", 16, "g2 row 2 of 2 .*: 2 numbers are needed, found '1.5'"),
    ("1.5\t2", "1.5 2 3", 16, "g2 row 2 of 2 .*: 2 numbers are needed"),
    ("1.5\t2", "1.5 O", 16, "g2 row 2 of 2 .*: 2 numbers are needed"),
    ("1.5\t2", "1.5 inf", 16, "g2 row 2 of 2 .* = 'inf': a finite decimal number"),
    ("1.5\t2", "-1.5 2", 16, "eta = -1.5: at least 0"),
    ("1    -1", "0 -1", 19, "zeta = 0: more than 0"),
    (TAIL, "center_and_normalize", 20, "center_and_normalize True or False is needed"),
    (TAIL, "center_and_normalize maybe", 20, "found 'center_and_normalize maybe'"),
    (TAIL, "normalize True", 20, "center_and_normalize True or False is needed"),
    (TAIL, BY_COLUMN.replace("4   #", "5   #"), 22, "size 5, but the functions above make 4"),
    (TAIL, BY_COLUMN.replace("-2\n", ""), 32, "found 7 numbers"),
    (TAIL, BY_COLUMN + "1.0\n", 34, "found 9 numbers"),
    (TAIL, BY_COLUMN + "the end\n", 34, "means and standard deviations: some numbers"),
    (TAIL, BY_COLUMN.replace("3.0\n", "0.0\n"), 32, "standard deviation 0: more than 0"),
    (TAIL, BY_COLUMN.replace("3.0\n", "-3.0\n"), 32, "standard deviation -3: more than 0"),
    (TAIL, BY_COLUMN.replace("-2\n", "nan\n"), 25, "= 'nan': a finite decimal number"),
    (TAIL, "center_and_normalize True\n4\n0.0\n1.0\n", 23, "a blank or comment line between them"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), WRONG)
def test_wrong_files_are_named_with_their_line(read, old, new, line, message):
    good = HEAD + FUNCTIONS + TAIL
    assert good.count(old) == 1
    with pytest.raises(tm.FileFormatError, match=rf"descriptor\.dat:{line}: .*{message}"):
        read(good.replace(old, new))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", bytes(range(256)) * 4])
def test_no_descriptor_at_all(read, content):
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat:\d+: "):
        read(content)


def test_a_name_that_is_no_utf_8(read):
    text = (HEAD + FUNCTIONS + TAIL).encode().replace(b"C C 3", b"C \xc7 3")
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat:7: .*text in UTF-8 is needed"):
        read(text)


def test_many_species(read):
    """100 of them took minutes: every line looked for the pairs that were missing."""
    species = [f"X{k}" for k in range(100)]
    pairs = "".join(f"{a} {b} 3.0\n" for a in species for b in species)
    text = f"cos\n100\n{pairs}1\ng1\ncenter_and_normalize False\n"
    assert read(text).species == tuple(species)
    with pytest.raises(tm.FileFormatError, match=r":10002: .*for the pair X99 X99 is needed"):
        read(text.replace("X99 X99 3.0\n", ""))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(tm.MissingFileError, match=r"nowhere\.dat"):
        tm.read_descriptor(tmp_path / "nowhere.dat", "SymmetryFunctions")
    with pytest.raises(tm.MissingFileError, match="a folder; a .dat file is needed"):
        tm.read_descriptor(tmp_path, "SymmetryFunctions")


def test_kind(read):
    for kind in ("symmetryfunctions", "SYMMETRYFUNCTIONS"):
        assert read(HEAD + FUNCTIONS + TAIL, kind=kind) == EXPECTED
    for kind in ("ACE", "", None, 3):
        with pytest.raises(tm.InputError, match="kind = .*SymmetryFunctions, Bispectrum"):
            read(HEAD + FUNCTIONS + TAIL, kind=kind)


@pytest.mark.parametrize("kind", ["bispectrum", "Xi"])
def test_kinds_to_come(read, kind):
    with pytest.raises(tm.UnsupportedError, match="cannot be read yet"):
        read(HEAD + FUNCTIONS + TAIL, kind=kind)


def test_species_must_be_the_same_ones(read):
    text = HEAD + FUNCTIONS + TAIL
    assert read(text, ["C", "Si"]).species == ("Si", "C")
    with pytest.raises(tm.InputError, match=r"descriptor\.dat has no O, only \['Si', 'C'\]"):
        read(text, ["C", "Si", "O"])
    with pytest.raises(tm.InputError, match=r"species = \['Si'\]: .*descriptor\.dat has C too"):
        read(text, "Si")


@pytest.mark.parametrize("descriptor", [EXPECTED, NORMALIZED])
def test_written_and_read_back(descriptor, tmp_path):
    descriptor.to_file(tmp_path / "a.dat")
    again = tm.read_descriptor(tmp_path / "a.dat", "SymmetryFunctions", descriptor.species)
    assert again == descriptor
    again.to_file(tmp_path / "b.dat")
    assert (tmp_path / "a.dat").read_text() == (tmp_path / "b.dat").read_text()


def test_every_bit_of_a_number_is_written(tmp_path):
    rng = np.random.default_rng(0)
    rows = (rng.random((50, 3)) * 10.0 ** rng.integers(-9, 2, (50, 3))).tolist()
    d = tm.SymmetryFunctions(["H"], np.pi, [("g5", rows)], mean=rng.random(50), std=np.e)
    d.to_file(tmp_path / "d.dat")
    assert tm.read_descriptor(tmp_path / "d.dat", "SymmetryFunctions") == d


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"species_mode": "resolved"}, "species_mode = 'resolved'"),
        ({"cutoff_function": "poly2"}, "cutoff_function = 'poly2'"),
        ({"species": ["Si 1"]}, "species 'Si 1'"),
        ({"species": ["#1"]}, "species '#1'"),
        ({"species": ["1"]}, "species '1'"),
    ],
)
def test_what_the_format_cannot_say(settings, message, tmp_path):
    settings = {"species": ["Si"], "cutoff": 4.0, "functions": [("g1", [])]} | settings
    with pytest.raises(tm.UnsupportedError, match=message):
        tm.SymmetryFunctions(**settings).to_file(tmp_path / "d.dat")
    assert not (tmp_path / "d.dat").exists()
