"""The JSON form of every descriptor: read back equal, and read strictly."""

import json
import math
import re

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from quick import examples

import torchml_core as tm
from torchml_core.descriptors import registry
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.symmetry_functions import CompactFunction, Function
from torchml_core.descriptors.symmetry_functions.functions import CUTOFF_FUNCTIONS

G2 = [("g2", [[0.1, 1 / 3], [1e-300, 0.0]])]
PAIRS = {("Si", "Si"): 4.0, ("Si", "C"): 0.1 + 4.1, ("C", "C"): math.nextafter(3, 4)}


def functions(mode, **more):
    rows = [("g1", []), *G2, ("g3", [[-0.5]]), ("g4", [[1.5, -1, 0]]), ("g5", [[64, 0.3, 0.01]])]
    return tm.SymmetryFunctions(["Si", "C"], PAIRS, rows, species_mode=mode, **more)


def elements(**more):
    one = [Function("g2", None, 4.0, 0.1, shift=-1 / 3), Function("g4", ("C", "Si"), 3.1, 0.0)]
    two = [CompactFunction("c4", ("Si", "C"), (-1.0, 3.7), (45.0, 135.0), "exp", False)]
    two += [CompactFunction("c2", None, (0.5, 4.2), core="poly3", asymmetric=True)]
    return tm.ElementSymmetryFunctions({"Si": one, "C": [*two, *one], "H": []}, **more)


DESCRIPTORS = {
    **{mode: functions(mode) for mode in ("pooled", "resolved", "weighted")},
    **{
        name: tm.SymmetryFunctions(["Si"], 4.0, G2, cutoff_function=name)
        for name in CUTOFF_FUNCTIONS
    },
    "mean and std": tm.SymmetryFunctions(["Si"], 4.0, G2, mean=[0.1, -1e200], std=7),
    "weights": functions("weighted", weights={"Si": -0.1, "C": 1e9}, std=math.pi),
    "names": tm.SymmetryFunctions(["a b", "12", "#", 'ü"\\'], 4.0, G2, species_mode="resolved"),
    "long name": tm.SymmetryFunctions(["x" * 50], 4.0, G2),  # the .dat reader takes up to 40
    "elements": elements(),
    "elements with inner": elements(cutoff_function="poly2", inner=0.3),
    "soap": tm.SOAP(["Si"], 5.0, 2, 1),
    "soap by eta": tm.SOAP(["Si"], 5.0, 2, 1, eta=1 / 3, smoothing=None, unit_norm=True),
    "soap of KLIFF": tm.SOAP(
        ["Si", "C"], 4.5, 6, 1, sigma=0.3, radial_basis="polynomial", basis_cutoff=5.1,
        smoothing_width=4, cross_blocks="upper", normalization="libdescriptor",
        species_density="cumulative",
    ),
    "soap with weights": tm.SOAP(["Si", "C"], 4, 2, 1, species_weights=[[1 / 3, -2], [0, 1]]),
    "bispectrum": tm.Bispectrum(["Si", "C"], PAIRS, 3, rfac0=1 / 3, weights=[0.1, -2]),
    "bispectrum of LAMMPS": tm.Bispectrum(
        ["Si", "C"], 4.0, 2, inner_switch={"Si": (1, 1 / 3), "C": (0.9, 0.2)}, normalize=True,
        chemical=True, self_in_all=True, switch=False, subtract_isolated=True,
    ),
    "xi": tm.Xi(2, 4.1, species=["Si", "C"]),
    "xi of any species": tm.Xi(2, 1 / 3 + 4),
    "zbl": tm.ZBL(["Si", "C"], 2, 4.1),
    "expansion": tm.SphericalExpansion(["Si"], 5.0, 2, 1, eta=2),
    "expansion with weights": tm.SphericalExpansion(["C"], 4, 2, 1, species_weights=[[0.1] * 3]),
}  # fmt: skip
DAT = {"pooled", "cos", "mean and std", "bispectrum", "xi"}
DAT |= {"soap", "soap by eta", "soap of KLIFF", "soap with weights"}
SOAP_JSON = {
    "format": "torchml_core descriptor",
    "version": 1,
    "kind": "SOAP",
    "length_unit": "Angstrom",
    "settings": {"species": ["Si"], "cutoff": 5.0, "n_max": 2, "l_max": 1},
}


@pytest.fixture
def read(tmp_path):
    """read_descriptor of a JSON document or text."""

    def read(document, *arguments):
        path = tmp_path / "descriptor.json"
        text = document if isinstance(document, str) else json.dumps(document, indent=0)
        path.write_text(text)
        return tm.read_descriptor(path, *arguments)

    return read


def same(a, b):
    return a == b and repr(a) == repr(b) and hash(a) == hash(b) and a.labels == b.labels


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.filterwarnings("ignore:.*the radial functions of libdescriptor")
def test_every_descriptor_is_read_back_equal(name, tmp_path):
    descriptor = DESCRIPTORS[name]
    descriptor.to_file(tmp_path / "d.json")
    kind = type(descriptor).__name__
    for arguments in ((), (kind,), (None, descriptor.species or None)):
        assert same(tm.read_descriptor(tmp_path / "d.json", *arguments), descriptor)
    assert same(type(descriptor).from_settings(descriptor.settings()), descriptor)
    suffix, text = descriptor.stored_form()
    assert (suffix == ".dat") == (name in DAT)
    (tmp_path / f"stored{suffix}").write_text(text)
    assert same(tm.read_descriptor(tmp_path / f"stored{suffix}", kind), descriptor)


def test_the_form_of_a_file(read, tmp_path):
    expected = {"Si": [Function("g2", ("Si",), 4.0, 0.1)]}
    tm.ElementSymmetryFunctions(expected).to_file(tmp_path / "d.json")
    text = (tmp_path / "d.json").read_text()
    one = {"type": "g2", "neighbors": ["Si"], "cutoff": 4.0, "eta": 0.1}
    assert json.loads(text) == {
        "format": "torchml_core descriptor",
        "version": 1,
        "kind": "ElementSymmetryFunctions",
        "length_unit": "Angstrom",
        "settings": {
            "functions": {"Si": [{**one, "shift": 0.0, "zeta": 1.0, "lam": 1.0}]},
            "cutoff_function": "cos",
            "inner": 0.0,
        },
    }
    assert max(map(len, text.splitlines())) < 130
    assert read(SOAP_JSON) == tm.SOAP(["Si"], 5.0, 2, 1)  # what is missing has its default
    assert read("\ufeff\n" + json.dumps(SOAP_JSON)) == tm.SOAP(["Si"], 5.0, 2, 1)
    short = {"kind": "elementsymmetryfunctions", "settings": {"functions": {"Si": [one]}}}
    assert read(SOAP_JSON | short) == tm.ElementSymmetryFunctions(expected)


def changed(**settings):
    return {"settings": {**SOAP_JSON["settings"], **settings}}


@pytest.mark.parametrize(
    ("changes", "line", "message"),
    [
        ({"format": "torchml_core model"}, 2, "format = 'torchml_core model': 'torchml_core desc"),
        ({"format": None}, 2, "format = None: "),
        ({"version": 2}, 3, "version = 2: 1, the only version known here, is needed; a newer"),
        ({"version": True}, 3, "version = True: 1,"),
        ({"version": 1.0}, 3, "version = 1.0: 1,"),
        ({"kind": "ACE"}, 4, "kind = 'ACE': one of SymmetryFunctions, "),
        ({"kind": ["SOAP"]}, 4, "kind = ['SOAP']: one of"),
        ({"length_unit": "Bohr"}, 5, "length_unit = 'Bohr': 'Angstrom' is needed"),
        ({"units": {}}, 14, "'units': one of format, version, kind, length_unit, settings is"),
        ({"settings": []}, 6, "settings = []: an object is needed"),
        (changed(sigam=0.4), 13, "'sigam': a setting of SOAP (species, cutoff, n_max,"),
        (changed(n_max="2"), 11, "n_max = '2': a whole number from 1 to 16 is needed"),
        (changed(unit_norm="False"), 13, "unit_norm = 'False': True or False is needed"),
        (changed(cutoff=True), 10, "cutoff = True: a positive finite number is needed"),
    ],
)
def test_each_fault_is_named_with_its_line(changes, line, message, read):
    with pytest.raises(tm.FileFormatError, match=re.escape(message)) as error:
        read(SOAP_JSON | changes)
    assert error.value.line == line


def test_missing_settings_and_other_kinds(read):
    for name in SOAP_JSON["settings"]:
        few = {k: x for k, x in SOAP_JSON["settings"].items() if k != name}
        with pytest.raises(tm.FileFormatError, match=f"{name}: SOAP needs this setting"):
            read(SOAP_JSON | {"settings": few})
    with pytest.raises(tm.FileFormatError, match=r"json:4: kind = 'SOAP': 'SymmetryFunctions' is"):
        read(SOAP_JSON, "symmetryfunctions")
    with pytest.raises(tm.InputError, match="kind = 'ACE'"):
        read(SOAP_JSON, "ACE")
    with pytest.raises(tm.InputError, match=r"descriptor\.json has only Si"):
        read(SOAP_JSON, None, ["Si", "C"])


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "1" * 100, '"a", "cutoff": 4'])
def test_what_python_would_read(value, read):
    text = json.dumps(SOAP_JSON, indent=0).replace("5.0", value)
    with pytest.raises(tm.FileFormatError, match=r"descriptor\.json:10: "):
        read(text)


def test_truncated_at_every_character(read, tmp_path):
    DESCRIPTORS["cos"].to_file(tmp_path / "whole.json")
    text = (tmp_path / "whole.json").read_text().strip()
    for n in range(len(text)):
        with pytest.raises(tm.FileFormatError, match=r"descriptor\.json:\d+: "):
            read(text[:n])


# what may be in the place of any value of a file
SCALARS = st.none() | st.booleans() | st.integers(-2, 70) | st.floats(-3, 6) | st.text(max_size=3)
SCALARS |= st.sampled_from(["Si", "C", "g2", "c4", "cos", "cosine", 1e300, -1e300, 10**60])
KEYS = st.sampled_from(["Si", "C", "type", "x"])
VALUES = st.recursive(
    SCALARS,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(KEYS, x, max_size=2),
    max_leaves=6,
)


def places(value, found):
    """Every (container, key) in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, x in items:
        found.append((value, key))
        if isinstance(x, (dict, list)):
            places(x, found)
    return found


@examples(150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_file_with_other_values_is_an_error_or_a_descriptor(data, tmp_path):
    name = data.draw(
        st.sampled_from(
            ["weights", "elements with inner", "soap with weights", "bispectrum of LAMMPS"]
        )
    )
    DESCRIPTORS[name].to_file(tmp_path / "d.json")
    document = json.loads((tmp_path / "d.json").read_text())
    container, key = data.draw(st.sampled_from(places(document["settings"], [])))
    container[key] = data.draw(VALUES)
    (tmp_path / "d.json").write_text(json.dumps(document))
    try:
        found = tm.read_descriptor(tmp_path / "d.json")
    except tm.FileFormatError:
        return  # any other exception fails
    found.to_file(tmp_path / "again.json")
    assert same(tm.read_descriptor(tmp_path / "again.json"), found)


@examples(150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes(data, tmp_path):
    DESCRIPTORS["elements"].to_file(tmp_path / "d.json")
    content = bytearray((tmp_path / "d.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 9))
    content[place : place + length] = data.draw(st.binary(max_size=6))
    (tmp_path / "d.json").write_bytes(content)
    try:
        found = tm.read_descriptor(tmp_path / "d.json")
    except tm.FileFormatError:
        return  # any other exception fails
    assert isinstance(found, tm.ElementSymmetryFunctions)


class Own(Descriptor):
    """A descriptor from outside, with a setting that JSON can or cannot contain."""

    width, labels = 1, ["n"]

    def __init__(self, species, cutoff, extra=None):
        self.species, self.cutoff, self.extra = tuple(species), cutoff, extra


def test_descriptors_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    own, path = Own(["Si"], 4.0, {"a": (1, 2.5)}), tmp_path / "own.json"
    for store in (lambda: own.to_file(path), own.stored_form):
        with pytest.raises(tm.UnsupportedError, match=r"only registered .* register_descriptor\(O"):
            store()
    tm.register_descriptor(Own)
    assert own.stored_form()[0] == ".json"
    own.to_file(path)
    assert tm.read_descriptor(path) == Own(["Si"], 4.0, {"a": [1, 2.5]})
    assert tm.read_descriptor(path) != Own(["Si"], 4.0)
    for extra, message in ((object(), "text, a finite number"), (math.nan, "finite number")):
        with pytest.raises(tm.UnsupportedError, match=rf"Own: .*extra.*{message}"):
            Own(["Si"], 4.0, extra).stored_form()
    del own.extra
    with pytest.raises(tm.UnsupportedError, match=r"Own: its constructor's argument extra is not"):
        own.stored_form()
    monkeypatch.setattr(Own, "settings", lambda self: {"species": ["C"], "cutoff": 1})
    monkeypatch.setattr(Own, "_settings", lambda self: self.species)
    with pytest.raises(tm.UnsupportedError, match="do not make an equal descriptor"):
        own.stored_form()
    assert not list(tmp_path.glob("*.dat"))


def test_what_a_dat_file_cannot_store(tmp_path):
    for name in sorted(DESCRIPTORS.keys() - DAT):
        with pytest.raises(tm.UnsupportedError, match=r"a path that ends in \.json is needed"):
            DESCRIPTORS[name].to_file(tmp_path / "d.dat")
    assert not list(tmp_path.iterdir())


def test_sigma_in_a_dat_file(tmp_path):
    path = tmp_path / "d.dat"
    tm.SOAP(["Si"], 5.0, 2, 1, sigma=0.3).to_file(path)
    text = path.read_text()
    assert "\nsigma 0.3\n" in text
    for wrong in ("0.31", "-0.3", "0", "x"):
        path.write_text(text.replace("sigma 0.3", f"sigma {wrong}"))
        with pytest.raises(tm.FileFormatError, match=r"d\.dat:\d+: sigma"):
            tm.read_descriptor(path, "SOAP")
    by_eta = tm.SOAP(["Si"], 5.0, 2, 1, eta=2.0)
    by_eta.to_file(path)
    assert "\nsigma " not in path.read_text()
    assert by_eta == tm.SOAP(["Si"], 5.0, 2, 1, sigma=0.5)  # though they are not written alike
