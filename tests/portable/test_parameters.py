"""The .param file: real ones, every value missing or wrong, what is written is read back."""

import re
from dataclasses import replace

import pytest

import torchml_core as tm
from torchml_core.portable.parameters import (
    ModelParameters,
    find_faults,
    read_parameters,
    write_parameters,
)

GRAPH = "# elements\n2\nSi C\n\nGraph\n3.5\n2\nmodel.pt\nFalse\n5\nNone\n"
DESCRIPTOR = "1\nSi\nDescriptor\n3.5\nmodel.pt\nfalse\n1\nsymmetryfunctions\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "file.param"
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return read_parameters(path)

    return read_text


def test_those_of_the_examples(examples):
    expected = {
        "StillingerWeber_Si": ModelParameters(("Si",), "raw", 3.77118, "model.pt"),
        "SymmetryFunctions_Si": ModelParameters(
            ("Si",), "descriptor", 5.0, "model.pt", descriptor="SymmetryFunctions"
        ),
        "Graph_Si": ModelParameters(("Si",), "graph", 4.0, "model.pt", n_layers=2),
    }
    for name, parameters in expected.items():
        assert read_parameters(examples / "models" / name / "model.param") == parameters


def test_the_real_ones(shared_data):
    expected = {
        "TorchMLModel1_SW/file.param": ModelParameters(
            ("Si",), "raw", 3.77118, "SW_energy_and_forces.pt", returns_forces=True
        ),
        "TorchMLModel2_Desc/kim_model.param": ModelParameters(
            ("Si",), "descriptor", 3.0, "model.pt", descriptor="SymmetryFunctions"
        ),
        "TorchMLModel3_Graph/file.param": ModelParameters(
            ("Si",), "graph", 3.0, "model_exp.pt", n_layers=3
        ),
    }
    for name, parameters in expected.items():
        found = read_parameters(shared_data / "portable_models" / name)
        assert found == parameters
        assert found.n_inputs == found.expected_n_inputs
    assert found.influence_distance == 9.0


@pytest.mark.parametrize(
    "parameters",
    [
        ModelParameters(["Si"], "raw", 3.77118, "a b.pt", returns_forces=True, n_inputs=4),
        ModelParameters(["C", "Si", "Ar", "Tl", "Og"], "graph", 0.1 + 0.2, "m.pt2", n_layers=4),
        ModelParameters(["H"], "descriptor", 5, "m.pt", descriptor="Xi"),
        ModelParameters(["H"], "descriptor", 5, "m.pt", descriptor="SOAP"),
    ],
)
def test_what_is_written_is_read_back(parameters, tmp_path):
    path = tmp_path / "m.param"
    write_parameters(parameters, path)
    assert read_parameters(path) == parameters


def test_the_layout_that_is_written(tmp_path):
    path = tmp_path / "m.param"
    write_parameters(ModelParameters(["Si", "C"], "graph", 3.5, "m.pt", n_layers=2), path)
    lines = path.read_text().splitlines()
    values = [line for line in lines if line and not line.startswith("#")]
    assert values == ["2", "Si C", "Graph", "3.5", "2", "m.pt", "False", "5", "None"]


@pytest.mark.parametrize(
    "text",
    [
        GRAPH,
        GRAPH.replace("\n", "\r\n"),
        "\n\n# one\n#two\n" + GRAPH.replace("\n", "\n# comment\n"),
        GRAPH.replace("Graph", "  gRAPH  # words in any case").replace("False", "FALSE"),
        GRAPH.replace("Graph", "Graph\t# after a tab"),
        "\ufeff" + GRAPH,
        GRAPH.rstrip("\n"),
        GRAPH.replace("Si C", "Si\t C"),
        GRAPH.replace("\n", "\r"),
        GRAPH.replace("2\n", "2.0\n", 1).replace("3.5", "0.35D+1"),
        GRAPH.replace("# elements", "# \udce9l\udce9ments"),
    ],
)
def test_untidy_files_say_the_same(text, read):
    assert read(text.encode(errors="surrogateescape")) == ModelParameters(
        ["Si", "C"], "graph", 3.5, "model.pt", 2
    )


def test_number_of_inputs_is_kept_as_it_is(read):
    found = read(GRAPH.replace("\n5\n", "\n6\n"))
    assert (found.n_inputs, found.expected_n_inputs) == (6, 5)


WHAT = [
    "number of elements",
    "symbols of 2 element",
    "preprocessing",
    "cutoff",
    "number of convolution layers",
    "name of the model",
    "whether the model returns forces",
    "number of inputs",
    "name of the descriptor",
]


@pytest.mark.parametrize("kept", range(9))
def test_truncated_at_every_line(kept, read):
    lines = GRAPH.splitlines()
    ends = [k for k, line in enumerate(lines) if line and line[0] != "#"]
    with pytest.raises(tm.FileFormatError, match=rf"file\.param:\d+: .*{WHAT[kept]}"):
        read("\n".join(lines[: ends[kept]]))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("2\n", "two\n", 2, "'two'"),
        ("2\n", "0\n", 2, "number of elements = 0"),
        ("2\n", "3\n", 3, "element symbols = 'Si C': 3 symbols, as many as the number"),
        ("2\n", "2_0\n", 2, "elements = '2_0': a finite decimal"),
        ("2\n", "9" * 4000 + "\n", 2, "a number of at most 64 characters"),
        ("Si C", "Si", 3, "'Si'"),
        ("Si C", "Si Xx", 3, "species[1] = 'Xx': the symbol"),
        ("Si C", "Si X", 3, "species[1] = 'X': the symbol"),
        ("Si C", "Si Si", 3, "Si is listed twice"),
        ("Si C", "si C", 3, "species[0] = 'si': the symbol"),
        ("Graph", "Graphs", 5, "'Graphs': None, Descriptor or Graph"),
        ("3.5", "0.0", 6, "cutoff = 0.0"),
        ("3.5", "-1", 6, "cutoff = -1.0"),
        ("3.5", "inf", 6, "cutoff = 'inf'"),
        ("3.5", "nan", 6, "cutoff = 'nan'"),
        ("3.5", "3.5 A", 6, "'3.5 A'"),
        ("3.5", "1_0.5", 6, "cutoff = '1_0.5'"),
        ("3.5", "0x10", 6, "cutoff = '0x10'"),
        ("3.5", "٣.٥", 6, "cutoff = '٣.٥'"),
        ("3.5", "10001", 6, "cutoff = 10001.0: at most 10000 Å"),
        ("3.5", "1e999", 6, "cutoff = '1e999'"),
        ("3.5", "5001", 7, "cutoff = 5001, n_layers = 2: an influence distance"),
        ("\n2\nm", "\n101\nm", 7, "n_layers = 101: a whole number from 1 to 100"),
        ("\n2\nm", "\n100000000\nm", 7, "n_layers = 100000000"),
        ("\n2\nm", "\n0\nm", 7, "layers = 0"),
        ("\n2\nm", "\n1.5\nm", 7, "n_layers = 1.5"),
        ("model.pt", "model.txt", 8, "'model.txt'"),
        ("model.pt", "../model.pt", 8, "without a folder"),
        ("False", "no", 9, "returns forces = 'no': True or False"),
        ("\n5\n", "\nfive\n", 10, "'five'"),
        ("\n5\n", "\n1001\n", 10, "number of inputs = 1001: a whole number from 1 to 1000"),
        ("None", "SOAP", 11, "descriptor = 'SOAP': None for a graph model"),
        ("None\n", "None\n7\n", 12, "'7' after the last value"),
    ],
)
def test_wrong_values_are_named_with_their_line(old, new, line, message, read):
    assert old in GRAPH
    with pytest.raises(tm.FileFormatError, match=re.escape(message)) as caught:
        read(GRAPH.replace(old, new, 1))
    assert caught.value.line == line
    assert f"file.param:{line}: " in str(caught.value)


def test_descriptor_kinds(read):
    assert read(DESCRIPTOR).descriptor == "SymmetryFunctions"
    for name in ("Bispectrum", "SOAP", "Xi"):
        assert read(DESCRIPTOR.replace("symmetryfunctions", name.upper())).descriptor == name
    for name in ("None", "ACSF"):
        with pytest.raises(tm.FileFormatError, match=r":8: descriptor = .*: SymmetryFunctions or "):
            read(DESCRIPTOR.replace("symmetryfunctions", name))


def test_files_that_are_none(tmp_path, read):
    with pytest.raises(tm.MissingFileError, match="absent"):
        read_parameters(tmp_path / "absent.param")
    with pytest.raises(tm.MissingFileError):
        read_parameters(tmp_path)
    with pytest.raises(tm.FileFormatError, match="not a text file"):
        read(b"\x80\x02\xff\xfe")
    with pytest.raises(tm.FileFormatError, match="number of elements"):
        read("")
    with pytest.raises(tm.FileFormatError, match="1000001 bytes; a .param file of at most"):
        read(GRAPH + "#" * (1_000_001 - len(GRAPH)))
    with pytest.raises(tm.FileFormatError, match=r"file\.param:8: .*text in UTF-8 is needed"):
        read(GRAPH.encode().replace(b"model.pt", b"mod\xe8le.pt"))
    assert read(GRAPH.encode("utf-16")) == read(GRAPH)


@pytest.mark.parametrize(
    "change",
    [
        {"species": "Si"},
        {"species": []},
        {"species": ["Qq"]},
        {"species": [14]},
        {"convention": "None"},
        {"cutoff": float("nan")},
        {"cutoff": None},
        {"n_layers": 0},
        {"n_layers": 2},
        {"convention": "graph", "n_layers": 10**8},
        {"convention": "graph", "n_layers": 10**4000},
        {"cutoff": 1e200},
        {"cutoff": 10**400},
        {"cutoff": "3"},
        {"species": 14},
        {"returns_forces": "False"},
        {"model_file": "m" * 300 + ".pt"},
        {"model_file": "é" * 150 + ".pt"},  # in bytes
        {"n_inputs": 0},
        {"n_inputs": 10**9},
        {"model_file": "model"},
        {"descriptor": "SOAP"},
        {"species_input": "Z"},
        {"convention": "descriptor", "descriptor": "SOAP", "species_input": "codes"},
        {"dtype": "float16"},
    ],
)
def test_arguments_are_checked(change):
    with pytest.raises(
        tm.InputError, match=r"species|symbol|convention|cutoff|n_|model|desc|forces|dtype"
    ):
        replace(ModelParameters(["Si"], "raw", 3.0, "model.pt"), **change)


SETTINGS = GRAPH + "#torchml_core:species_input=sorted_codes\n  # torchml_core: dtype = float32 \n"


def test_settings_in_comments(read, tmp_path):
    found = read(SETTINGS)
    assert (found.species_input, found.dtype) == ("sorted_codes", "float32")
    assert replace(found, species_input=None, dtype=None) == read(GRAPH)
    write_parameters(found, tmp_path / "again.param")
    assert read_parameters(tmp_path / "again.param") == found


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dtype = int", r"dtype = 'int': float64 or float32 is needed"),
        ("species_input = numbers", r"species_input = 'numbers': one of"),
        ("species = numbers", r"setting 'species = numbers': species_input = ... or dtype = ..."),
        ("dtype", r"dtype = '': float64 or float32 is needed"),
        ("dtype = float32\n# torchml_core: dtype = float64", r"setting .* each once, is needed"),
    ],
)
def test_settings_that_are_wrong(setting, message, read, tmp_path):
    text = f"{GRAPH}# torchml_core: {setting}\n"
    with pytest.raises(tm.FileFormatError, match=rf"file\.param:\d+: {message}"):
        read(text)
    (tmp_path / "f.param").write_text(text)
    (fault,) = find_faults(tmp_path / "f.param")
    assert fault.line == len(text.splitlines())
