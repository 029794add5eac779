"""The .dat files of SOAP: every way of writing them, every way of getting them wrong."""

import numpy as np
import pytest
from descriptors.soap_cases import SOAPS, environment, make

import torchml_core as tm

PLAIN = """\
# n_max
4

# l_max
3   # and a comment

# cutoff
4.5

# eta
1.25

# radial_basis
polynomial

# species
2
Si C
"""
FROM_FILES = {
    "radial_basis": "polynomial",
    "smoothing": None,
    "cross_blocks": "upper",
    "normalization": "libdescriptor",
}
EXPECTED = ["Si", "C"], 4.5, 4, 3


@pytest.fixture
def read(tmp_path):
    """Read a text as a file of SOAP."""

    def read(text, species=None, kind="SOAP"):
        path = tmp_path / "descriptor.dat"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return tm.read_descriptor(path, kind, species)

    return read


def expected():
    return tm.SOAP(*EXPECTED, eta=1.25, **FROM_FILES)


@pytest.mark.parametrize("kind", ["SOAP", "soap"])
def test_plain_file(read, kind):
    d = read(PLAIN, kind=kind)
    assert d == expected()
    assert (d.n_max, d.l_max, d.cutoff, d.eta) == (4, 3, 4.5, 1.25)
    assert d.species == ("Si", "C")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\n  \t \n"),
        PLAIN.rstrip("\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace("# n_max\n4", "n_max 4"),
        PLAIN.replace("# n_max\n4", "4.0 # functions"),
        PLAIN.replace("3   # and a comment", "l_max = 3 or so"),
        PLAIN.replace("4.5", "+4.50e0"),
        PLAIN.replace("polynomial", "polynomial  # the only one"),
        PLAIN.replace("polynomial", "Polynomial"),
        PLAIN.replace("Si C", "\tSi   C   # names"),
        "4\n3\n4.5\n1.25\npolynomial\n2\nSi C",
    ],
)
def test_ways_of_writing_the_same(read, text):
    assert text != PLAIN
    assert read(text) == expected()


WRONG = [  # what to replace, by what, the line to be named, what the message says
    ("# n_max\n4", "# n_max\n0", 2, r"n_max = 0\b"),
    ("# n_max\n4", "# n_max\n17", 2, r"n_max = 17\b"),
    ("# n_max\n4", "# n_max\n4.5", 2, r"n_max = 4\.5"),
    ("# n_max\n4", "# n_max\nmany", 2, r"cutoff type 'many'"),
    ("3   # and", "-1   # and", 5, r"l_max = -1\b"),
    ("3   # and", "13   # and", 5, r"l_max = 13\b"),
    ("3   # and", "nan   # and", 5, r"l_max"),
    ("4.5", "0", 8, r"cutoff = 0\b|cutoff is 0\b"),
    ("4.5", "-4.5", 8, r"cutoff (=|is) -4\.5"),
    ("4.5", "inf", 8, r"cutoff"),
    ("4.5", "4.5 5.5", 8, r"cutoff"),
    ("1.25", "0.0", 11, r"eta (=|is) 0\b"),
    ("1.25", "-1.25", 11, r"eta (=|is) -1\.25"),
    ("1.25", "sharp", 11, r"eta"),
    ("polynomial", "bessel", 14, r"'bessel'.*polynomial"),
    ("polynomial", "1.0", 14, r"polynomial"),
    ("polynomial", "basis polynomial", 14, r"one word is needed, found 'basis polynomial'"),
    ("2\nSi", "0\nSi", 17, r"species = 0\b|species is 0\b"),
    ("2\nSi", "2.5\nSi", 17, r"species"),
    ("Si C", "Si", 18, r"2 (species|names)"),
    ("Si C", "Si C O", 18, r"2 (species|names)"),
    ("Si C", "Si Si", 18, r"Si"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), WRONG)
def test_wrong_files_are_named_with_their_line(read, old, new, line, message):
    assert PLAIN.count(old) == 1
    with pytest.raises(tm.FileFormatError, match=rf"descriptor\.dat:{line}: .*({message})"):
        read(PLAIN.replace(old, new))


@pytest.mark.parametrize(
    ("n_lines", "what"),
    [
        (0, "n_max"),
        (3, "l_max"),
        (6, "cutoff"),
        (9, "eta"),
        (12, "radial_basis|basis"),
        (15, "species"),
        (17, "species|names"),
    ],
)
def test_short_files(read, n_lines, what):
    """libdescriptor loops forever."""
    text = "".join(line + "\n" for line in PLAIN.split("\n")[:n_lines])
    with pytest.raises(tm.FileFormatError, match=rf"descriptor\.dat:\d+: .*({what})"):
        read(text)


def test_what_follows_the_names_is_refused(read):
    """Nothing is read and dropped in silence."""
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat:19: .*nonsense"):
        read(PLAIN + "nonsense 3\n")


MORE = """\
smoothing cosine
smoothing_width 0.75
cross_blocks full
normalization dscribe
unit_norm True
species_weights 2 3
1.0 0.5 0.0
0.0 0.5 -1.5
"""  # lines 19 to 26


def test_settings_that_libdescriptor_has_not(read):
    d = read(PLAIN.replace("polynomial", "gto") + MORE)
    weights = [[1.0, 0.5, 0.0], [0.0, 0.5, -1.5]]
    assert d == tm.SOAP(
        *EXPECTED, eta=1.25, smoothing_width=0.75, unit_norm=True, species_weights=weights
    )


def test_settings_may_come_in_any_order(read):
    lines = MORE.splitlines(keepends=True)
    assert read(PLAIN + "".join(lines[5:] + lines[:5][::-1])) == read(PLAIN + MORE)
    only = tm.SOAP(*EXPECTED, eta=1.25, **(FROM_FILES | {"normalization": "dscribe"}))
    assert read(PLAIN + "\n# more\nnormalization   dscribe # in other units\n") == only


WRONG_MORE = [
    ("smoothing cosine", "smoothing tanh", 19, "smoothing = 'tanh'"),
    ("smoothing cosine", "smoothing", 19, "smoothing"),
    ("smoothing cosine", "smoothness cosine", 19, "smoothness"),
    ("smoothing_width 0.75", "smoothing_width 0", 20, "smoothing_width = 0"),
    ("smoothing_width 0.75", "smoothing_width 4.6", 20, r"smoothing_width = 4\.6"),
    ("smoothing_width 0.75", "smoothing_width narrow", 20, "smoothing_width"),
    ("cross_blocks full", "cross_blocks lower", 21, "cross_blocks = 'lower'"),
    ("cross_blocks full", "unit_norm True", 23, "unit_norm"),
    ("normalization dscribe", "normalization unit", 22, "normalization = 'unit'"),
    ("unit_norm True", "unit_norm maybe", 23, "unit_norm"),
    ("species_weights 2 3", "species_weights 3 3", 24, "species_weights"),
    ("species_weights 2 3", "species_weights 2", 24, "species_weights"),
    ("1.0 0.5 0.0", "1.0 0.5", 25, "species_weights"),
    ("0.0 0.5 -1.5", "", 26, "species_weights"),
    ("0.0 0.5 -1.5", "0.0 0.5 nan", 26, "nan"),
    ("0.0 0.5 -1.5", "0.0 0.5 -1.5\n1 2 3", 27, "1"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), WRONG_MORE)
def test_wrong_settings_are_named_with_their_line(read, old, new, line, message):
    assert MORE.count(old) == 1
    with pytest.raises(tm.FileFormatError, match=rf"descriptor\.dat:{line}: .*({message})"):
        read(PLAIN + MORE.replace(old, new))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", bytes(range(256)) * 4])
def test_no_descriptor_at_all(read, content):
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.dat:\d+: "):
        read(content)


def test_species_must_be_the_same_ones(read):
    assert read(PLAIN, ["C", "Si"]).species == ("Si", "C")
    with pytest.raises(tm.InputError, match=r"descriptor\.dat has only Si, C"):
        read(PLAIN, ["C", "Si", "O"])
    with pytest.raises(tm.InputError, match=r"descriptor\.dat also has C"):
        read(PLAIN, "Si")


def test_blocks_keep_the_order_of_the_file(read):
    one, other = read(PLAIN), read(PLAIN.replace("Si C", "C Si"))
    assert one != other
    c = environment([[0, 0.3, 1.9], [1.5, 0, 0.4]], ["Si", "C", "Si"])
    n = one.width // 3
    a, b = one.compute(c)[0], other.compute(c)[0]
    np.testing.assert_allclose(a[:n], b[-n:], rtol=1e-12)
    np.testing.assert_allclose(a[-n:], b[:n], rtol=1e-12)


# ---- KLIFF's layout

KLIFF = """\
#================================================================================
# Descriptor parameters file generated by KLIFF.
#================================================================================

cos  # cutoff type

2  # number of species

# species 1    species 2    cutoff
Si  Si  5.0
Si  C  5.0
C  Si  5.0
C  C  5.0

# n_max
4

# l_max
3

# cutoff
4.5

# radial_basis
polynomial

# eta
1.25

"""


def test_kliffs_layout_means_kliffs_densities(read):
    """Neighbors count as far as KLIFF's lists reach; the other cutoff is that of the basis."""
    settings = FROM_FILES | {"eta": 1.25, "species_density": "cumulative"}
    d = tm.SOAP(["Si", "C"], 5.0, 4, 3, basis_cutoff=4.5, **settings)
    assert read(KLIFF) == d
    assert (d.cutoff, d.basis_cutoff, d.channels) == (5.0, 4.5, ("Si", "Si+C"))
    one = tm.SOAP(["Si", "C"], 5.0, 4, 3, **settings)
    assert read(KLIFF.replace("4.5", "5.0")) == one
    assert read(KLIFF.replace("C  Si  5.0\n", "")) == d
    assert read(KLIFF + "smoothing cosine\nunit_norm True\n") == tm.SOAP(
        ["Si", "C"],
        5.0,
        4,
        3,
        basis_cutoff=4.5,
        unit_norm=True,
        **settings | {"smoothing": "cosine"},
    )


@pytest.mark.parametrize(("n_max", "error"), [(6, "3e-5"), (7, "3e-2")])
def test_kliff_trains_on_wrong_functions(read, n_max, error):
    """Which cannot be had again, since rounding alone makes them."""
    with pytest.warns(UserWarning, match=rf"descriptor\.dat: n_max = {n_max}: .* by {error}"):
        read(KLIFF.replace("# n_max\n4", f"# n_max\n{n_max}"))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("cos", "exp", 5, "cutoff type 'exp'"),
        ("2  # number", "two  # number", 7, "number of species"),
        ("C  C  5.0", "C  C  4.0", 13, r"one cutoff .* Si Si has 5 and C C has 4"),
        ("C  C  5.0\n", "", 15, "for the pair C C"),
        ("4\n\n# l", "0\n\n# l", 16, "n_max = 0"),
        ("4.5", "-4.5", 22, r"basis_cutoff = -4\.5"),
        ("4.5", "0.4", 22, r"basis_cutoff = 0\.4"),
        ("polynomial", "bessel", 25, "radial_basis = 'bessel'"),
        ("1.25\n", "0\n", 28, "eta = 0"),
        ("1.25\n", "", 28, "file ends where eta"),
        ("1.25\n", "1.25\nbasis_cutoff 4\n", 29, "'basis_cutoff' is none of the settings"),
        ("1.25\n", "1.25\nspecies_weights 2 1\n1\n1\n", 31, "species_density = 'cumulative'"),
    ],
)
def test_wrong_files_of_kliffs_layout(read, old, new, line, message):
    assert KLIFF.count(old) == 1
    with pytest.raises(tm.FileFormatError, match=rf"descriptor\.dat:{line}: .*{message}"):
        read(KLIFF.replace(old, new))


# ---- written


def test_a_plain_file_stays_plain(tmp_path):
    """What KLIFF's format can hold is written as KLIFF reads it: seven data lines, no more."""
    path = tmp_path / "d.dat"
    expected().to_file(path)
    lines = [line.split("#")[0].split() for line in path.read_text().split("\n")]
    assert [words for words in lines if words] == [
        ["4"],
        ["3"],
        ["4.5"],
        ["1.25"],
        ["polynomial"],
        ["2"],
        ["Si", "C"],
    ]


@pytest.mark.parametrize("name", SOAPS)
def test_written_and_read_back(name, tmp_path):
    d = make(tm.SOAP, name)[0]
    d.to_file(tmp_path / "a.dat")
    again = tm.read_descriptor(tmp_path / "a.dat", "SOAP", d.species)
    assert again == d
    again.to_file(tmp_path / "b.dat")
    assert (tmp_path / "a.dat").read_text() == (tmp_path / "b.dat").read_text()
    c = environment([[0, 0.3, 1.9], [1.5, 0, 0.4]], ["Si", "C", "Si"])
    np.testing.assert_array_equal(again.compute(c), d.compute(c))


def test_every_bit_of_a_number_is_written(tmp_path):
    weights = np.random.default_rng(0).standard_normal((2, 3))
    d = tm.SOAP(
        ["H", "C"],
        np.pi,
        3,
        2,
        sigma=1 / 3,
        smoothing_width=np.e / 7,
        species_weights=weights,
    )
    d.to_file(tmp_path / "d.dat")
    again = tm.read_descriptor(tmp_path / "d.dat", "SOAP")
    assert again == d
    assert again.eta == d.eta
    np.testing.assert_array_equal(again.species_weights, weights)


@pytest.mark.parametrize("sigma", ["1e-320", "1e200"])  # a float cannot hold their squares
def test_a_sigma_that_is_not_that_of_eta(sigma, tmp_path):
    tm.SOAP(["Si"], 4.0, 2, 2, sigma=0.5).to_file(tmp_path / "d.dat")
    text = (tmp_path / "d.dat").read_text()
    assert "sigma 0.5" in text
    (tmp_path / "d.dat").write_text(text.replace("sigma 0.5", f"sigma {sigma}"))
    with pytest.raises(tm.FileFormatError, match=r"sigma = 1e.*: 1/\(2 sigma²\) = 2\.0, eta"):
        tm.read_descriptor(tmp_path / "d.dat", "SOAP")


@pytest.mark.parametrize("species", [["Si 1"], ["#1"], ["1"]])
def test_names_that_the_format_cannot_hold(species, tmp_path):
    d = tm.SOAP(species, 4.0, 2, 2, eta=1.0, **FROM_FILES)
    with pytest.raises(tm.UnsupportedError, match=f"species = '{species[0]}'"):
        d.to_file(tmp_path / "d.dat")
    assert not (tmp_path / "d.dat").exists()


def test_expansions_have_no_file(tmp_path):
    """The format is of SOAP: no driver knows another word."""
    d = tm.SphericalExpansion(["Si"], 4.0, 2, 2)
    with pytest.raises(tm.UnsupportedError, match="SphericalExpansion"):
        d.to_file(tmp_path / "d.dat")
    assert not (tmp_path / "d.dat").exists()
