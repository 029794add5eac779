"""``torchml-core inspect``: what files are, and everything wrong with them."""

import re
import shutil

import numpy as np
import pytest
import small_models
import torch
from requirements import SHARED_DATA
from small_models import save_model

import torchml_core as tm
from torchml_core.cli.inspect_file import conventions_that_fit
from torchml_core.cli.trial import trial_crystal

FUNCTIONS = [("g2", [[0.1, 0.0], [0.5, 1.0]]), ("g4", [[1, -1, 0.01]])]


@pytest.fixture
def descriptor_folder(tmp_path):
    """A descriptor model that may be spoilt."""
    descriptor = tm.SymmetryFunctions(["Si"], 3.5, FUNCTIONS)
    model = small_models.DescriptorNet(descriptor.width)
    folder = tmp_path / "model"
    tm.PortableModel.create(folder, model=model, species=["Si"], descriptor=descriptor)
    (folder / "model.json").unlink()  # its checksums would find most faults
    return folder


def problems(result):
    return [
        line.removeprefix("problem: ")
        for line in result.stdout.splitlines()
        if line.startswith("problem: ")
    ]


def facts(result):
    """Name and first line of each fact."""
    return {
        line[:20].strip(): line[20:] for line in result.stdout.splitlines() if line[:20].strip()
    }


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ---- good ones


def test_a_good_raw_model(run, model_folder, model):
    result = run("inspect", model_folder)
    assert result.exit_code == 0, result.output
    found = facts(result)
    assert found["convention"] == "raw"
    assert found["species"] == "Si (0), C (1)"
    assert found["cutoff"] == "3.2 Å"
    assert found["influence distance"] == "3.2 Å"
    assert found["forward takes"] == "species: Tensor"
    assert found["forward returns"] == "Tensor"
    assert found["parameters"] == "2"
    assert found["weights"] == "float64"
    assert result.stdout.splitlines()[-1] == "nothing wrong found"


def test_a_trial(run, model_folder, model):
    assert "trial" not in run("inspect", model_folder).output
    result = run("inspect", model_folder, "--run")
    found = facts(result)
    energy = model.evaluate(trial_crystal(["Si", "C"], 3.2)).energy
    assert found["trial on C4Si4"].startswith(f"energy {energy:.6g} eV")
    assert result.stdout.splitlines()[-1] == "nothing wrong found"


def test_a_good_descriptor_model(run, descriptor_folder):
    result = run("inspect", descriptor_folder)
    assert result.exit_code == 0, result.output
    found = facts(result)
    assert found["descriptor file"] == "descriptor.dat: SymmetryFunctions"
    assert found["width"] == "3 values per atom"
    assert "2 g2" in found["settings"] or "'g2'" in found["settings"]
    assert found["parameters"] == f"{6 * 3 + 6}"


@pytest.mark.slow
def test_real_models_are_good(run, shared_data, monkeypatch):
    monkeypatch.delenv("KIM_MODEL_ELEMENTS_MAP", raising=False)
    found = {}
    for folder in sorted((shared_data / "portable_models").iterdir()):
        result = run("inspect", folder, "--run")
        assert result.exit_code == 0, result.output
        found[folder.name] = facts(result)
    assert found["TorchMLModel1_SW"]["convention"] == "raw"
    assert found["TorchMLModel1_SW"]["forward returns"] == "Tuple[Tensor, Tensor]"
    assert found["TorchMLModel2_Desc"]["width"] == "51 values per atom"
    assert found["TorchMLModel2_Desc"]["parameters"] == "641"
    graph = found["TorchMLModel3_Graph"]
    assert graph["layers"] == "3"
    assert graph["influence distance"] == "9 Å"
    assert graph["operators"].startswith("torch_scatter::gather_csr, torch_scatter::scatter_max")
    assert "given atomic numbers" in graph["trial on Si8"]
    assert graph["note"].startswith("it takes atomic numbers, not species codes")


def test_atomic_numbers_are_tried_in_the_trial_only(run, models_of_others, monkeypatch):
    monkeypatch.delenv("KIM_MODEL_ELEMENTS_MAP", raising=False)
    folder = models_of_others["graph"]
    assert facts(run("inspect", folder))["given for species"].startswith("Si 0 (codes)")
    monkeypatch.setenv("KIM_MODEL_ELEMENTS_MAP", "yes")
    result = run("inspect", folder, "--run")
    assert result.exit_code == 0
    assert "note" not in facts(result)


def test_what_models_are_given_is_said(run, shared_data, monkeypatch):
    monkeypatch.delenv("KIM_MODEL_ELEMENTS_MAP", raising=False)
    expected = {
        "schnet_z_SiC": ("Si 14, C 6 (atomic numbers), because the first argument", None),
        "graph2_species_SiC": (
            "Si 1, C 0 (codes in the order of atomic numbers), because KLIFF",
            "its embedding has 100 rows for 2 species: if it was trained on atomic numbers,",
        ),
        "soap_SiC": (None, None),
    }
    for name, (given, note) in expected.items():
        result = run("inspect", shared_data / "kliff" / name)
        assert result.exit_code == 0, result.output
        found = facts(result)
        assert found.get("given for species", "").startswith(given or "")
        assert ("given for species" in found) == (given is not None)
        assert found.get("note") == note
        assert found["given in"].startswith("float64; float32 if torch refuses that")


def test_the_dtype_of_a_card_is_said(run, tmp_path):
    of = {"species": ["Si"], "cutoff": 3.0, "convention": "raw"}
    tm.PortableModel.create(tmp_path, model=small_models.PairNet(), **of)
    assert facts(run("inspect", tmp_path))["given in"].startswith("float64; float32 if")
    replace_in(tmp_path / "model.json", '"species"', '"dtype": "float32", "species"')
    assert facts(run("inspect", tmp_path))["given in"] == "float32, because model.json says so"


class Embeds(torch.nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.embedding = torch.nn.Embedding(rows, 1).double()

    def forward(self, atomic_numbers, coords, graph_1, contributing):
        edges = torch.sum((coords[graph_1[1]] - coords[graph_1[0]]) ** 2)
        return torch.sum(self.embedding(atomic_numbers)[:, 0] * (1 - contributing)) + edges


@pytest.mark.parametrize("exported", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_embeddings_that_do_not_fit(run, exported, tmp_path):
    model = Embeds(10)
    if exported:
        n = torch.export.Dim("n")
        whole = torch.zeros(4, dtype=torch.int64)
        example = (whole, torch.rand(4, 3).double(), torch.zeros(2, 5, dtype=torch.int64), whole)
        shapes = ({0: n}, {0: n}, {1: torch.export.Dim("e")}, {0: n})
        model = torch.export.export(model, example, dynamic_shapes=shapes)
    of = {"species": ["Si"], "cutoff": 3.0, "convention": "graph", "dtype": "float64"}
    tm.PortableModel.create(tmp_path / "m", model=model, **of)
    found = facts(run("inspect", tmp_path / "m"))
    assert found["given in"] == "float64, because model.param says so"
    assert found["given for species"].startswith("Si 14 (atomic numbers)")
    assert found["note"].startswith("its embedding has 10 rows, too few for atomic number 14")


def test_examples_are_good(run, examples):
    folders = [file.parent for file in sorted((examples / "models").glob("*/*.param"))]
    assert folders
    for folder in folders:
        result = run("inspect", folder, "--run")
        assert result.exit_code == 0, result.output
        assert "note" not in facts(result)


@pytest.mark.parametrize("species", [["Si"], ["H"], ["Si", "C"], list("HCNOFPSKVI")])
@pytest.mark.parametrize("cutoff", [1.5, 3.0, 12.0])
def test_trial_crystals_have_all_species_and_neighbors(species, cutoff):
    crystal = trial_crystal(species, cutoff)
    assert set(crystal.symbols) == set(species)
    c = tm.Configuration.from_atoms(crystal, cutoff, species)
    assert (np.diff(c.offsets) >= 4).all()
    assert crystal.get_all_distances(mic=True)[np.triu_indices(len(crystal), 1)].min() > 0.5


# ---- one fault after another


SPOILT = {
    "no .param": (lambda f: (f / "model.param").unlink(), "no .param file in it"),
    "two .param": (
        lambda f: shutil.copy(f / "model.param", f / "b.param"),
        "2 .param files (b.param, model.param); only one may be",
    ),
    "no .dat": (lambda f: (f / "descriptor.dat").unlink(), "no .dat or descriptor.json file in it"),
    "two .dat": (
        lambda f: shutil.copy(f / "descriptor.dat", f / "b.dat"),
        "2 .dat or descriptor.json files (b.dat, descriptor.dat); only one may be",
    ),
    "no .pt": (
        lambda f: (f / "model.pt").unlink(),
        "model.pt, which the .param file names, is not there; the folder has no .pt or .pt2 file",
    ),
    "other name": (
        lambda f: (f / "model.pt").rename(f / "other.pt"),
        "model.pt, which the .param file names, is not there; the folder has other.pt",
    ),
    "no model": (lambda f: (f / "model.pt").write_bytes(b"x" * 99), "not a TorchScript model"),
    "short .dat": (
        lambda f: (f / "descriptor.dat").write_text("cos\n1\n"),
        "descriptor.dat:2: the file ends",
    ),
    "wrong cutoff": (lambda f: replace_in(f / "model.param", "3.5", "-1"), "model.param:9: cutoff"),
    "species": (
        lambda f: replace_in(f / "model.param", "\nSi\n", "\nGe\n"),
        "its species are Si, those of the model Ge",
    ),
    "cutoffs": (
        lambda f: replace_in(f / "model.param", "3.5", "3.0"),
        "its cutoff 3.5 is beyond that of the model, 3",
    ),
    "kind": (
        lambda f: replace_in(f / "model.param", "SymmetryFunctions", "Bandspectrum"),
        "Bandspectrum",
    ),
    "width": (
        lambda f: tm.SymmetryFunctions(["Si"], 3.5, FUNCTIONS[:1]).to_file(f / "descriptor.dat"),
        "forward failed on 8 atoms, 2 values of SymmetryFunctions each",
    ),
    "convention": (
        lambda f: replace_in(f / "model.param", "\nDescriptor\n", "\nNone\n"),
        "None for a raw model is needed",
    ),
    "forces": (
        lambda f: replace_in(f / "model.param", "\nFalse\n", "\nTrue\n"),
        "forward returns one tensor, but the .param file says that it returns forces",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_each_fault_is_found(run, descriptor_folder, fault):
    spoil, message = SPOILT[fault]
    spoil(descriptor_folder)
    options = ["--run"] if fault == "width" else []
    result = run("inspect", descriptor_folder, *options)
    assert result.exit_code == 1
    found = problems(result)
    assert len(found) == 1, found
    assert message in found[0]
    assert result.stdout.splitlines()[-1] == "1 problem found"


def test_all_faults_are_found_at_once(run, descriptor_folder):
    for fault in ("species", "cutoffs", "forces", "two .dat"):
        SPOILT[fault][0](descriptor_folder)
    result = run("inspect", descriptor_folder)
    assert result.exit_code == 1
    found = "\n".join(problems(result))
    for fault in ("species", "cutoffs", "forces", "two .dat"):
        assert SPOILT[fault][1] in found
    assert result.stdout.splitlines()[-1] == "4 problems found"


def test_all_faults_of_a_param_file_are_found_and_the_other_files_looked_at(run, descriptor_folder):
    param = descriptor_folder / "model.param"
    for old, new in (
        ("\n1\nSi\n", "\n2\nSi Xx Ge\n"),
        ("3.5", "far"),
        ("model.pt", "a/model.pt"),
        ("\nFalse\n", "\nno\n"),
    ):
        replace_in(param, old, new)
    (descriptor_folder / "model.pt").write_bytes(b"")
    result = run("inspect", descriptor_folder)
    found = "\n".join(problems(result))
    assert len(problems(result)) == 5, found
    for message in (
        "'Si Xx Ge': 2 symbols, as many as the number",
        "'far'",
        "'a/model.pt'",
        "'no'",
        "an empty file",
    ):
        assert message in found
    assert facts(result)["width"] == "3 values per atom"  # its .dat file is fine
    assert [p.partition(": ")[0] for p in problems(run("inspect", param))] == [
        f"{param}:{line}" for line in (3, 9, 12, 15)
    ]


def test_a_param_file_cut_short_anywhere(run, descriptor_folder):
    param = descriptor_folder / "model.param"
    lines = param.read_text().splitlines(keepends=True)
    last = max(k for k, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    for n in range(last + 1):
        param.write_text("".join(lines[:n]))
        result = run("inspect", param)
        assert result.exit_code == 1
        assert ["the file ends" in problem for problem in problems(result)] == [True]


def test_a_wrong_number_of_arguments(run, descriptor_folder):
    class Three(torch.nn.Module):
        def forward(self, a, b, c):
            return a.sum() + b.sum() + c.sum()

    save_model(Three(), descriptor_folder)
    (problem,) = problems(run("inspect", descriptor_folder))
    assert problem.endswith("forward takes 3 arguments; the descriptor convention gives it 1 or 2")
    result = run("inspect", descriptor_folder / "model.pt")
    assert result.exit_code == 1
    assert "forward takes 3 arguments; no convention has so many" in result.stdout


def test_the_two_forms_of_descriptor_models(run, descriptor_folder):
    class Both(torch.nn.Module):
        def forward(self, descriptor, z):
            return descriptor.sum(dim=1) * z

    one, param = descriptor_folder / "model.pt", descriptor_folder / "model.param"
    assert facts(run("inspect", descriptor_folder))["inputs"] == "descriptor"
    assert "given for species" not in facts(run("inspect", descriptor_folder))
    assert facts(run("inspect", one))["fits"] == "descriptor"
    save_model(Both(), descriptor_folder)
    assert facts(run("inspect", one))["fits"] == "descriptor with species"
    (problem,) = problems(run("inspect", descriptor_folder))
    assert problem == (
        f"{param}: number of inputs = 1: 2 is needed, because forward(descriptor, z) of model.pt"
        " also takes the species"
    )
    replace_in(param, "inputs\n1\n", "inputs\n2\n")
    result = run("inspect", descriptor_folder, "--run")
    assert result.exit_code == 0, result.output
    assert facts(result)["inputs"] == "descriptor, species"
    expected = "Si 14 (atomic numbers), because the second argument of forward is named z"
    assert facts(result)["given for species"] == expected


def test_nan_is_found(run, descriptor_folder):
    class NotANumber(torch.nn.Module):
        def forward(self, descriptor):
            return (-1.0 - descriptor**2).sqrt()

    save_model(NotANumber(), descriptor_folder)
    (problem,) = problems(run("inspect", descriptor_folder, "--run"))
    assert "the energy is nan" in problem


def test_notes_are_no_faults(run, model_folder, tmp_path):
    folder = tmp_path / "noted"
    shutil.copytree(model_folder, folder)
    (folder / "model.json").unlink()
    shutil.copy(folder / "model.pt", folder / "older.pt")
    (folder / "descriptor.dat").write_text("nothing")
    replace_in(folder / "model.param", "\n5\n", "\n3\n")
    result = run("inspect", folder)
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stdout.splitlines() if line.startswith("note")]
    assert len(notes) == 3
    assert "says 3 inputs; a raw model has 5" in notes[0]
    assert "descriptor.dat is not used" in notes[1]
    assert "not used: older.pt" in notes[2]


def test_an_empty_folder(run, tmp_path):
    result = run("inspect", tmp_path)
    assert result.exit_code == 1
    assert ["no .param file" in p or "no .pt or .pt2 file" in p for p in problems(result)] == [
        True,
        True,
    ]


def test_switched_off_graphs_are_told(run, models_of_others, monkeypatch):
    monkeypatch.setenv("KIM_MODEL_DISABLE_GRAPH", "1")
    (problem,) = problems(run("inspect", models_of_others["graph"], "--run"))
    assert "KIM_MODEL_DISABLE_GRAPH" in problem


# ---- single files


def test_descriptor_files(run, descriptor_folder):
    path = descriptor_folder / "descriptor.dat"
    for options in ([], ["--kind", "symmetryfunctions"]):
        result = run("inspect", path, *options)
        assert result.exit_code == 0, result.output
        found = facts(result)
        assert found["descriptor species"] == "Si"
        assert found["largest cutoff"] == "3.5 Å"
        for label in tm.read_descriptor(path, "SymmetryFunctions").labels:
            assert label in result.stdout


def test_descriptor_files_that_are_none(run, tmp_path):
    path = tmp_path / "wrong.dat"
    path.write_text("cos\n1\nSi Si 3.0\n1\ng7 1 1\n0\n")
    result = run("inspect", path, "--kind", "SymmetryFunctions")
    assert result.exit_code == 1
    (problem,) = problems(result)
    assert problem.startswith(f"{path}:5: ")
    result = run("inspect", path)
    assert result.exit_code == 1
    assert f"not SymmetryFunctions: {path}:5: " in problems(result)[0]
    (problem,) = problems(run("inspect", path, "--kind", "nonsense"))
    assert "nonsense" in problem


def test_real_descriptor_files(run, examples):
    """The example's, and libdescriptor's where they are."""
    for file in (
        examples / "models" / "SymmetryFunctions_Si" / "descriptor.dat",
        *sorted((SHARED_DATA / "libdescriptor" / "dat").glob("*__sf_*.dat")),
    ):
        result = run("inspect", file, "--kind", "SymmetryFunctions")
        assert result.exit_code == 0, result.output


def test_model_files(run, models_of_others):
    for convention, fits in (
        ("raw", "raw or graph of 2 layers"),
        ("descriptor", "descriptor"),
        ("graph", "graph of 3 layers"),
    ):
        (path,) = models_of_others[convention].glob("*.pt")
        result = run("inspect", path)
        assert result.exit_code == 0, result.output
        assert facts(result)["fits"] == fits


def test_exported_model_files(run, tmp_path):
    example = (torch.zeros(4, 3, dtype=torch.float64),)
    dynamic = ({0: torch.export.Dim("n")},)
    program = torch.export.export(small_models.DescriptorNet(3), example, dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "model.pt2")
    result = run("inspect", tmp_path / "model.pt2")
    assert result.exit_code == 0, result.output
    found = facts(result)
    assert found["format"] == "torch.export"
    assert found["forward takes"].startswith("descriptor: float64 (")
    assert found["parameters"] == "24"
    assert found["weights"] == "float64"
    assert found["fits"] == "descriptor"


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\x80\x02}q\x00."])
@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_model_files_that_are_none(run, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    result = run("inspect", tmp_path / name)
    assert result.exit_code == 1
    assert len(problems(result)) == 1


def test_json_files(run, tmp_path, descriptor_folder):
    path = tmp_path / "d.json"
    resolved = tm.SymmetryFunctions(["Si"], 3.5, FUNCTIONS, species_mode="resolved")
    resolved.to_file(path)
    result = run("inspect", path)
    assert result.exit_code == 0, result.output
    assert facts(result)["descriptor file"] == "d.json: SymmetryFunctions"
    assert facts(result)["width"] == f"{resolved.width} values per atom"
    (descriptor_folder / "descriptor.dat").unlink()
    resolved.to_file(descriptor_folder / "descriptor.json")
    result = run("inspect", descriptor_folder, "--run")
    assert result.exit_code == 0, result.output
    assert facts(result)["descriptor file"] == "descriptor.json: SymmetryFunctions"
    for text, message in (
        (path.read_text().replace("resolved", "solved"), "d.json:10: species_mode = 'solved'"),
        ('{"format": "other"}', "d.json:1: format = 'other': 'torchml_core descriptor' is needed"),
        ('{"format": "torchml_core model", "version": 1}', "d.json:1: species is missing"),
        ("{", "d.json:1: Expecting property name"),
    ):
        path.write_text(text)
        result = run("inspect", path)
        assert result.exit_code == 1
        assert message in problems(result)[0]


def test_other_things_are_refused(run, tmp_path, silicon_file, model_folder):
    for arguments, message in (
        ([silicon_file], "a portable model's folder, or a .param, .dat, .json, .pt or .pt2 file"),
        ([tmp_path / "none"], "there is no such file"),
        ([model_folder, "--kind", "SOAP"], "is not a .dat file"),
        ([model_folder / "model.pt", "--run"], "is not a portable model's folder"),
        ([model_folder, "--device", "cpu"], "--run is needed"),
        ([model_folder, "--trust"], "--run is needed"),
    ):
        result = run("inspect", *arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("n", "fits"),
    [
        (0, []),
        (1, ["descriptor"]),
        (2, ["descriptor with species"]),
        (3, []),
        (4, ["graph of 1 layer"]),
        (5, ["raw", "graph of 2 layers"]),
        (8, ["graph of 5 layers"]),
    ],
)
def test_conventions_by_number_of_arguments(n, fits):
    assert conventions_that_fit(n) == fits


def test_a_committee_and_its_members(run, tmp_path):
    model = tm.PortableModel.create(
        tmp_path / "committee",
        model=small_models.PairNet(),
        species=["Si"],
        cutoff=3.0,
        convention="raw",
    )
    for number in (1, 2, 10):
        model.save(tmp_path / "committee" / "members" / str(number))
    done = run("inspect", tmp_path / "committee")
    assert done.exit_code == 0, done.output
    assert re.search(r"committee +3 models: 1, 2, 10\n", done.stdout)
    assert "portable model" in done.stdout
    (tmp_path / "committee" / "members" / "2" / "model.pt").unlink()
    for file in (tmp_path / "committee").glob("model.*"):
        file.unlink()
    done = run("inspect", tmp_path / "committee")
    assert done.exit_code == 1
    assert "members/2" in done.output
