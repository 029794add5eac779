"""The file model.json: what it may say, and what it is checked against."""

import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from quick import examples
from small_models import CUTOFF, DescriptorNet, PairNet, save_model
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.portable.model_json import (
    TrainingRange,
    card_text,
    checksum,
    find_card_faults,
    read_card,
)

FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]])]
SUM = "sha256:" + "0" * 64
CARD = {
    "training_range": {"Si": {"min": [0.0, -1 / 3], "max": np.array([1e-300, 2.0])}},
    "reference_energies": {"Si": -1, "C": 0.1},
    "pair_terms": [{"kind": "zbl", "inner": 4.0, "outer": 4.8}],
    "license": "CC-BY-4.0",
    "citation": "A. Müller,\nPhys. Rev. B",
}


def create(folder, **changes):
    arguments = {
        "model": DescriptorNet(2),
        "species": ["Si"],
        "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS),
    }
    return tm.PortableModel.create(folder, **{**arguments, **changes})


def full_card():
    return tm.ModelCard(
        ["Si", "C"],
        **CARD,
        dtype="float32",
        made_by={"n2p2": "2.2"},
        checksums={"model.pt": SUM},
        other={"x": [1, {"y": None}]},
    )


def edit(path, **changes):
    """Change keys of a JSON file; None removes one."""
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: x for k, x in document.items() if x is not None}))


def test_a_card_is_read_back_equal(tmp_path):
    card = full_card()
    path = tmp_path / "model.json"
    path.write_text(card_text(card))
    assert read_card(path) == card
    assert read_card(path).training_range["Si"] == TrainingRange((0.0, -1 / 3), (1e-300, 2.0))
    assert pickle.loads(pickle.dumps(card)) == card
    few = tm.ModelCard(["Si"], training_range={}, reference_energies={})
    path.write_text(card_text(few))
    assert read_card(path) == few == tm.ModelCard(("Si",))
    assert set(json.loads(path.read_text())) == {"format", "version", "species", "units"}


def test_create_writes_it_and_load_reads_it(tmp_path):
    limits = {"Si": ([0.0, 0.0], [1.0, 2.0])}
    model = create(tmp_path / "m", training_range=limits, license="MIT", dtype="float64")
    again = tm.PortableModel.load(tmp_path / "m")
    for card in (model.card, again.card, pickle.loads(pickle.dumps(again)).card):
        assert card.species == ("Si",)
        assert card.training_range == {"Si": TrainingRange((0.0, 0.0), (1.0, 2.0))}
        assert (card.license, card.citation, card.dtype) == ("MIT", None, "float64")
        assert set(card.checksums) == {"model.param", "descriptor.dat", "model.pt"}
        assert card.made_by["torch"] == torch.__version__
        assert card.made_by["torchml_core"] == tm.__version__
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", card.made_by["date"])
    assert model.files == again.files
    assert model.files[-1] == "model.json"


def test_a_model_without_it(tmp_path):
    model = create(tmp_path / "m")
    (tmp_path / "m" / "model.json").unlink()
    (tmp_path / "m" / "errors.json").write_text("belongs to something else")
    bare = tm.PortableModel.load(tmp_path / "m")
    assert bare.card is None
    assert bare.files == ("model.param", "descriptor.dat", "model.pt")
    atoms = rattled_silicon(1)
    assert bare.evaluate(atoms).energy == model.evaluate(atoms).energy
    bare.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / "model.json").exists()


@pytest.mark.parametrize("name", ["model.param", "descriptor.dat", "model.pt"])
def test_a_file_that_was_changed(name, tmp_path):
    create(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
    with pytest.raises(tm.FileFormatError, match=rf"model\.json: {name} is not the file that was"):
        tm.PortableModel.load(tmp_path)


def test_files_that_are_not_there_or_have_no_checksum(tmp_path):
    create(tmp_path)
    edit(tmp_path / "model.json", checksums={"notes.md": SUM})
    with pytest.raises(tm.FileFormatError, match=r"notes\.md is not one of the model's files"):
        tm.PortableModel.load(tmp_path)
    edit(tmp_path / "model.json", checksums=None)
    assert tm.PortableModel.load(tmp_path).card.checksums == {}


def test_it_must_agree_with_the_other_files(tmp_path):
    create(tmp_path, dtype="float64")
    path = tmp_path / "model.json"
    text = path.read_text()
    for changes, message in (
        ({"species": ["C"]}, "species are C; those of the .param file, Si, in this order"),
        ({"dtype": "float32"}, "dtype = 'float32', but the .param file says float64"),
        (
            {"training_range": {"Si": {"min": [0], "max": [1]}}},
            "training_range['Si'] has 1 values; 2, as many as the descriptor has for it,",
        ),
    ):
        path.write_text(text)
        edit(path, **changes)
        with pytest.raises(tm.FileFormatError, match=re.escape(message)):
            tm.PortableModel.load(tmp_path)


def test_create_checks_what_it_stores(tmp_path):
    limits = {"Si": ([0.0, 2.0], [1.0, 1.0])}
    for changes, message in (
        ({"training_range": limits}, "training_range['Si']: component 1: min 2 is larger than max"),
        ({"training_range": {"C": ([0], [1])}}, "training_range: key = 'C': one of Si is needed"),
        ({"training_range": {"Si": ([0], [1])}}, "2, as many as the descriptor has"),
        ({"reference_energies": {"Si": np.nan}}, "reference_energies['Si'] = nan"),
        ({"pair_terms": [{"inner": 1}]}, "pair_terms[0] = {'inner': 1}: a dict like"),
        ({"license": ""}, "license = '': text that is not empty"),
    ):
        with pytest.raises(tm.InputError, match=re.escape(message)):
            create(tmp_path / "m", **changes)
    raw = {"model": PairNet(), "cutoff": CUTOFF, "convention": "raw", "descriptor": None}
    with pytest.raises(tm.InputError, match="only a model with a descriptor"):
        create(tmp_path / "m", training_range={"Si": ([0], [1])}, **raw)
    assert not (tmp_path / "m").exists()


def test_dtype_of_the_card_is_used_and_kept_by_save(tmp_path):
    create(tmp_path / "m", model=DescriptorNet(2, torch.float32))
    edit(tmp_path / "m" / "model.json", dtype="float32", mine={"a": 1})
    model = tm.PortableModel.load(tmp_path / "m")
    assert model.dtype == torch.float32
    assert model.card.other == {"mine": {"a": 1}}
    model.save(tmp_path / "copy")
    content = (tmp_path / "m" / "model.json").read_bytes()
    assert (tmp_path / "copy" / "model.json").read_bytes() == content
    told = tm.PortableModel.load(tmp_path / "m", dtype="float64")
    told.save(tmp_path / "told")
    again = tm.PortableModel.load(tmp_path / "told")  # its checksums are those of the new .param
    assert again.card == told.card
    assert (again.parameters.dtype, again.card.dtype) == ("float64", "float64")
    assert again.card.other == {"mine": {"a": 1}}


FAULTS = {
    "format": (
        "torchml",
        "model.json:3: format = 'torchml': 'torchml_core model' is needed; a file of another",
    ),
    "version": (2, "version = 2: 1, the only version known here, is needed; a newer torchml_core"),
    "species": (["Xx"], "species[0] = 'Xx': the symbol of an element"),
    "units": ({"length": "Bohr", "energy": "eV"}, "units['length'] = 'Bohr': 'Angstrom' is needed"),
    "dtype": ("float16", "dtype = 'float16': one of"),
    "training_range": ({"Si": [[0], [1]]}, "training_range['Si'] = [[0], [1]]: a dict"),
    "reference_energies": ({"Ge": 1}, "reference_energies: key = 'Ge': one of Si, C"),
    "pair_terms": ({"kind": "zbl"}, "pair_terms[0] = 'kind': a dict like"),
    "made_by": ({"n2p2": 2}, "made_by['n2p2'] = 2: text is needed"),
    "checksums": ({"a/b.pt": SUM}, "checksums: key = 'a/b.pt': the name of another file"),
    "license": (5, "license = 5: text is needed"),
    "citation": ("a\x07", "citation = 'a\\x07': text in Unicode without control characters"),
    "more": ("\x1b[31m", "more = '\\x1b[31m': text in Unicode without"),
}


@pytest.mark.parametrize("key", FAULTS)
def test_each_fault_is_named_with_its_line(key, tmp_path):
    value, message = FAULTS[key]
    path = tmp_path / "model.json"
    path.write_text(card_text(full_card()))
    document = json.loads(path.read_text())
    document[key] = value
    text = "{\n\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(x)}" for k, x in document.items())
    path.write_text(text + "}")
    line = 3 + list(document).index(key)
    with pytest.raises(tm.FileFormatError, match=re.escape(message)) as error:
        read_card(path)
    assert error.value.line == line
    assert str(find_card_faults(path)[0]) == str(error.value)


def test_all_faults_are_found(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(card_text(full_card()))
    edit(path, units=None, license=1, citation=2, dtype=3)
    assert [str(fault).partition(": ")[2] for fault in find_card_faults(path)] == [
        "units is missing",
        "dtype = 3: one of 'float64', 'float32' is needed",
        "license = 1: text is needed",
        "citation = 2: text is needed",
    ]


SCALARS = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3)
SCALARS |= st.sampled_from(["Si", "zbl", "eV", "float32", SUM, 10**60])
VALUES = st.recursive(
    SCALARS,
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from(["Si", "min", "max", "kind", "\0"]), x, max_size=3)
    ),
    max_leaves=6,
)


@examples(150, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from([*FAULTS, "\x1b", "other"]), value=VALUES)
def test_any_value_is_an_error_or_read_back(key, value, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(card_text(full_card())), key: value}))
    faults = find_card_faults(path)
    if faults:
        with pytest.raises(tm.FileFormatError):
            read_card(path)
        return
    card = read_card(path)
    path.write_text(card_text(card))
    assert read_card(path) == card


def test_truncated(tmp_path):
    path = tmp_path / "model.json"
    text = card_text(full_card()).strip()
    for n in range(0, len(text), 3):
        path.write_text(text[:n])
        with pytest.raises(tm.FileFormatError, match=r"model\.json:\d+: "):
            read_card(path)


def test_inspect_shows_it_and_what_is_wrong(tmp_path):
    from torchml_core.cli.inspect_path import look_into

    folder = tmp_path / "m"
    limits = {"Si": ([0.0, 0.0], [1.0, 2.0])}
    create(folder, training_range=limits, license="MIT", reference_energies={"Si": -0.5})
    edit(folder / "model.json", mine={"a": 1}, other=2)
    findings = look_into(folder)
    assert not findings.problems
    text = "\n".join(findings.lines())
    for part in ("torchml_core 0", "Si -0.5 eV", "Si (2 values)", "MIT", 'mine: {"a": 1}'):
        assert part in text
    save_model(DescriptorNet(2, torch.float32), folder)
    edit(folder / "model.json", species=["C"], reference_energies=None, training_range=None)
    problems = look_into(folder).problems
    assert len(problems) == 2
    assert "species are C" in problems[1]
    edit(folder / "model.json", license=1, citation=2)
    assert len(look_into(folder).problems) == 2


def test_only_text_of_a_reasonable_size_is_read(tmp_path):
    path = tmp_path / "model.json"
    path.write_text("[" * 100_000)
    with pytest.raises(tm.FileFormatError, match="nested deeper than"):
        read_card(path)
    path.write_text(" " * 10_000_001)
    with pytest.raises(tm.FileFormatError, match="at most"):
        read_card(path)


def test_a_card_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        full_card().license = "x"
    assert checksum(b"") == (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_a_folder_that_has_one_is_in_use(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(tm.InputError, match=r"it has model\.json; a folder without a model"):
        create(tmp_path)
