"""Settings of SOAP and SphericalExpansion: what is refused and how, equality, labels, repr."""

import itertools
import pickle

import numpy as np
import pytest
from descriptors.soap_cases import EXPANSIONS, SOAPS, environment, make

import torchml_core as tm

KINDS = [tm.SOAP, tm.SphericalExpansion]
GOOD = {"species": ["Si", "C"], "cutoff": 5.0, "n_max": 4, "l_max": 3}

# (arguments, what the message must say: the argument, the value, what would be right)
WRONG = [
    ({"n_max": 0}, r"n_max = 0\b.*1.*16"),
    ({"n_max": 17}, r"n_max = 17\b.*1.*16"),
    ({"n_max": 2.5}, r"n_max = 2\.5\b.*1.*16"),
    ({"n_max": "four"}, r"n_max = 'four'.*1.*16"),
    ({"n_max": None}, r"n_max = None.*1.*16"),
    ({"n_max": True}, r"n_max = True.*1.*16"),
    ({"l_max": -1}, r"l_max = -1\b.*0.*12"),
    ({"l_max": 13}, r"l_max = 13\b.*0.*12"),
    ({"l_max": 1.5}, r"l_max = 1\.5\b.*0.*12"),
    ({"l_max": np.nan}, r"l_max = nan\b.*0.*12"),
    ({"cutoff": 0.0}, r"cutoff = 0"),
    ({"cutoff": -5.0}, r"cutoff = -5"),
    ({"cutoff": np.nan}, r"cutoff = nan"),
    ({"cutoff": np.inf}, r"cutoff = inf"),
    ({"cutoff": "far"}, r"cutoff = 'far'"),
    ({"cutoff": {("Si", "C"): 4.0}}, r"cutoff = \{"),
    ({"sigma": 0.0}, r"sigma = 0"),
    ({"sigma": -0.5}, r"sigma = -0\.5"),
    ({"sigma": np.nan}, r"sigma = nan"),
    ({"sigma": "wide"}, r"sigma = 'wide'"),
    ({"eta": 0.0}, r"eta = 0"),
    ({"eta": -2.0}, r"eta = -2"),
    ({"eta": np.inf}, r"eta = inf"),
    ({"eta": 2.0, "sigma": 0.5}, r"(eta.*sigma|sigma.*eta)"),
    ({"radial_basis": "bessel"}, r"radial_basis = 'bessel'.*gto.*polynomial"),
    ({"radial_basis": None}, r"radial_basis = None.*gto.*polynomial"),
    ({"radial_basis": "gto", "cutoff": 1.0}, r"cutoff = 1\b.*gto"),
    ({"smoothing": "tanh"}, r"smoothing = 'tanh'.*cosine"),
    ({"smoothing": True}, r"smoothing = True.*cosine"),
    ({"smoothing_width": 0.0}, r"smoothing_width = 0"),
    ({"smoothing_width": -0.1}, r"smoothing_width = -0\.1"),
    ({"smoothing_width": 5.01}, r"smoothing_width = 5\.01.*5"),
    ({"smoothing_width": np.nan}, r"smoothing_width = nan"),
    ({"species_weights": [[1.0, 2.0]]}, r"species_weights.*\(1, 2\).*2"),
    ({"species_weights": [1.0, 2.0]}, r"species_weights.*\(2,\).*2"),
    ({"species_weights": np.ones((2, 0))}, r"species_weights.*\(2, 0\)"),
    ({"species_weights": [[1.0], [np.nan]]}, r"species_weights\[1, 0\] = nan"),
    ({"species_weights": [[1.0], ["a"]]}, r"species_weights"),
    ({"species_weights": [[1.0], [2.0, 3.0]]}, r"species_weights"),
    ({"species": []}, r"species"),
    ({"species": ["Si", "Si"]}, r"species.*Si"),
    ({"species": [14, 6]}, r"species"),
]
WRONG_SOAP = [
    ({"cross_blocks": "lower"}, r"cross_blocks = 'lower'.*full.*upper"),
    ({"cross_blocks": None}, r"cross_blocks = None.*full.*upper"),
    ({"normalization": "unit"}, r"normalization = 'unit'.*dscribe.*libdescriptor"),
    ({"unit_norm": "yes"}, r"unit_norm = 'yes'.*True.*False"),
    ({"unit_norm": 2}, r"unit_norm = 2.*True.*False"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_settings(kind, wrong, message):
    with pytest.raises(tm.InputError, match=message):
        kind(**(GOOD | wrong))


@pytest.mark.parametrize(("wrong", "message"), WRONG_SOAP)
def test_wrong_settings_of_soap(wrong, message):
    with pytest.raises(tm.InputError, match=message):
        tm.SOAP(**(GOOD | wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_keywords(kind):
    with pytest.raises(TypeError):
        kind(["Si"], 5.0, 4, 3, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_may_be_numpys(kind):
    one = kind(["Si"], np.float64(5), np.int64(4), np.int32(3), sigma=np.float32(0.5))
    assert one == kind(["Si"], 5, 4, 3, sigma=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_sigma_and_eta_say_the_same(kind):
    default, sigma, eta = (kind(**GOOD, **x) for x in ({}, {"sigma": 0.5}, {"eta": 2.0}))
    assert default == sigma == eta
    assert hash(default) == hash(sigma) == hash(eta)
    assert eta.sigma == pytest.approx(0.5, rel=1e-15)
    assert kind(**GOOD, sigma=0.3).eta == pytest.approx(1 / (2 * 0.09), rel=1e-15)


def test_settings_can_be_read():
    d = tm.SOAP(**GOOD)
    assert d.species == ("Si", "C")
    assert (d.cutoff, d.n_max, d.l_max) == (5.0, 4, 3)
    assert (d.radial_basis, d.smoothing, d.smoothing_width) == ("gto", "cosine", 0.5)
    assert (d.cross_blocks, d.normalization, d.unit_norm) == ("full", "dscribe", False)
    assert d.species_weights is None
    weighted = tm.SOAP(**GOOD, species_weights=[[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(weighted.species_weights, [[1, 2, 3], [4, 5, 6]])


def test_settings_cannot_be_changed_behind_its_back():
    given = np.array([[1.0, 2.0], [3.0, 4.0]])
    d = tm.SOAP(**GOOD, species_weights=given)
    same = tm.SOAP(**GOOD, species_weights=given.copy())
    given[0, 0] = 7
    assert d == same
    with pytest.raises((ValueError, TypeError)):
        d.species_weights[0, 0] = 7


@pytest.mark.parametrize(("kind", "names"), [(tm.SOAP, SOAPS), (tm.SphericalExpansion, EXPANSIONS)])
def test_equality_sees_every_setting(kind, names):
    different = [make(kind, name)[0] for name in names]
    different += [
        make(kind, "gto", species=("C", "Si"))[0],
        make(kind, "gto", species=("Si",))[0],
        make(kind, "gto", cutoff=4.0)[0],
        make(kind, "gto", n_max=5)[0],
        make(kind, "gto", l_max=4)[0],
        make(kind, "gto", smoothing_width=0.4)[0],
    ]
    for a, b in itertools.combinations(different, 2):
        assert a != b
    for name in names:
        assert make(kind, name)[0] == make(kind, name)[0]
    assert make(tm.SOAP, "gto")[0] != make(tm.SphericalExpansion, "gto")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_width_that_smooths_nothing_makes_no_difference(kind):
    one, other = (kind(**GOOD, smoothing=None, smoothing_width=w) for w in (0.5, 1.0))
    assert one == other


@pytest.mark.parametrize(("kind", "names"), [(tm.SOAP, SOAPS), (tm.SphericalExpansion, EXPANSIONS)])
def test_repr_can_be_evaluated(kind, names):
    for name in names:
        d = make(kind, name)[0]
        again = eval(repr(d), {kind.__name__: kind})
        assert again == d, repr(d)


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_are_small(kind):
    """Settings only: tables are made again, or found."""
    d = kind(["Si"], 5.0, 8, 6)
    d.compute(environment([[0, 0, 2.0]], species=("Si",)))
    assert len(pickle.dumps(d)) < 2000


def test_labels_name_species_functions_and_order():
    d = tm.SOAP(["Si", "C"], 5.0, 2, 1)
    order = [
        (a, b, n, m, l)
        for a, b in (("Si", "Si"), ("Si", "C"), ("C", "C"))
        for n in (1, 2)
        for m in ((1, 2) if a != b else range(n, 3))
        for l in (0, 1)
    ]
    assert len(order) == d.width
    assert len(set(d.labels)) == d.width
    for label, (a, b, *_) in zip(d.labels, order, strict=True):
        assert f"{a}-{b}" in label, label


def test_labels_tell_the_truth():
    """A lone neighbor lights up its own species' components only."""
    d = tm.SOAP(["Si", "C"], 4.0, 2, 1)
    for symbol in ("Si", "C"):
        values = d.compute(environment([[0.3, 1.0, 1.4]], ["Si", symbol]))[0]
        lit = {label for label, x in zip(d.labels, values, strict=True) if x}
        expected = {label for label in d.labels if f"{symbol}-{symbol}" in label}
        assert lit == expected
    expansion = tm.SphericalExpansion(["Si", "C"], 4.0, 2, 1)
    values = expansion.compute(environment([[0.3, 1.0, 1.4]], ["Si", "C"]))[0]
    assert (values != 0).tolist() == [False] * 8 + [True] * 8
    assert all("C" in label for label in expansion.labels[8:])
    assert all("Si" in label for label in expansion.labels[:8])
