"""``torchml-core evaluate``: what it prints and writes is what the model says."""

import builtins
import io
import re

import numpy as np
import pytest
import small_models
import torch
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from requirements import has_shared_data

import torchml_core as tm
from torchml_core.plots.pictures import check_picture_file
from torchml_core.threads import MOST_THREADS


def results_of(model, atoms):
    prediction = model.evaluate(atoms).fold()
    results = {"energy": prediction.energy, "forces": prediction.forces}
    if atoms.pbc.all():
        results["stress"] = prediction.stress
    return results


def numbers(line):
    """The numbers among the words of a line."""
    found = []
    for word in line.split():
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found


# ---- what is printed


def test_one_structure_is_told_in_full(run, model, model_folder, silicon_file, silicon):
    result = run("evaluate", model_folder, f"{silicon_file}@1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    expected = results_of(model, read(silicon_file, 1))
    assert lines[0] == f"{silicon_file}@1: Si8, periodic in a b c"
    assert numbers(lines[1])[0] == pytest.approx(expected["energy"], abs=1e-8)
    assert numbers(lines[3]) == pytest.approx(expected["stress"], abs=1e-8)
    pressure = -expected["stress"][:3].mean() * 160.21766208
    assert numbers(lines[4])[0] == pytest.approx(pressure, abs=1e-5)
    forces = [numbers(line)[1:] for line in lines[6:14]]
    np.testing.assert_allclose(forces, expected["forces"], atol=1e-8)
    assert lines[14].startswith("1 structure, 8 atoms in ")


def test_few_structures_are_a_table(run, model, model_folder, silicon_file):
    result = run("evaluate", model_folder, silicon_file)
    lines = result.stdout.splitlines()
    expected = [results_of(model, atoms) for atoms in read(silicon_file, ":")]
    for place, (line, of) in enumerate(zip(lines[1:4], expected, strict=True)):
        assert line.startswith(f"{silicon_file}@{place} ")
        largest = np.linalg.norm(of["forces"], axis=1).max()
        shown = [8, of["energy"], of["energy"] / 8, largest]
        assert numbers(line) == pytest.approx(shown, abs=1e-6)
    for line, of in zip(lines[6:9], expected, strict=True):
        assert numbers(line) == pytest.approx(of["stress"], abs=1e-6)
    assert lines[-1].startswith("3 structures, 24 atoms in ")


def test_clusters_have_no_stress(run, model_folder, tmp_path):
    write(tmp_path / "two.xyz", [molecule("CH4")[[0]], molecule("Si2H6")[[0, 1]]])
    result = run("evaluate", model_folder, tmp_path / "two.xyz")
    assert result.exit_code == 0, result.output
    assert "stress [" not in result.stdout
    result = run("evaluate", model_folder, f"{tmp_path}/two.xyz@1")
    assert "periodic in no direction" in result.stdout
    assert "stress  " not in result.stdout


def test_many_structures_are_summed_up(run, model, model_folder, silicon, tmp_path):
    many = silicon * 8
    write(tmp_path / "many.extxyz", many)
    result = run("evaluate", model_folder, tmp_path / "many.extxyz")
    lines = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    found = [results_of(model, atoms) for atoms in read(tmp_path / "many.extxyz", ":")]
    energies = np.array([of["energy"] / 8 for of in found])
    forces = np.array([np.linalg.norm(of["forces"], axis=1).max() for of in found])
    for name, values in (("energy [eV/atom]", energies), ("max |F| [eV/Å]", forces)):
        shown = [values.min(), values.mean(), values.max()]
        assert numbers(lines[name].removeprefix(name))[:3] == pytest.approx(shown, abs=1e-6)
        assert f"@{values.argmin()}, " in lines[name]
        assert lines[name].endswith(f"@{values.argmax()}")
    assert result.stdout.splitlines()[-1].startswith("24 structures, 192 atoms in ")


def test_no_forces(run, model_folder, silicon_file, tmp_path, monkeypatch):
    asked = []
    evaluate = tm.PortableModel.evaluate

    def spy(self, *arguments, **options):
        asked.append((options["forces"], options["virial"]))
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(tm.PortableModel, "evaluate", spy)
    out = tmp_path / "out.extxyz"
    result = run("evaluate", model_folder, silicon_file, "--no-forces", "-o", out)
    assert result.exit_code == 0
    assert set(asked) == {(False, False)}
    assert all(set(atoms.calc.results) == {"energy"} for atoms in read(out, ":"))


def test_threads_and_device(run, model_folder, silicon_file, monkeypatch):
    plain = run("evaluate", model_folder, silicon_file)
    options = ["--threads", "1", "--device", "cpu"]
    same = run("evaluate", model_folder, silicon_file, *options)
    assert same.stdout.splitlines()[:-1] == plain.stdout.splitlines()[:-1]
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)  # of a million, torch would crash
    run("evaluate", model_folder, silicon_file, "--threads", "1000000")
    assert asked[0] == MOST_THREADS
    result = run("evaluate", model_folder, silicon_file, "--device", "abacus")
    assert result.exit_code == 1
    assert "'abacus'" in result.stderr


# ---- what is written


def test_output_is_read_back_by_ase(run, model, model_folder, silicon, tmp_path):
    cluster = molecule("Si2H6")[[0, 1]]
    cluster.info["name"] = "a pair"
    cluster.set_array("group", np.array([4, 5]))
    write(tmp_path / "in.extxyz", [*silicon, cluster])
    out = tmp_path / "out.extxyz"
    assert run("evaluate", model_folder, tmp_path / "in.extxyz", "-o", out).exit_code == 0
    for given, found in zip(read(tmp_path / "in.extxyz", ":"), read(out, ":"), strict=True):
        expected = results_of(model, given)
        assert set(found.calc.results) == set(expected)
        assert found.calc.results["energy"] == pytest.approx(expected["energy"], rel=1e-14)
        np.testing.assert_allclose(found.calc.results["forces"], expected["forces"], atol=1e-8)
        if "stress" in expected:
            np.testing.assert_allclose(found.calc.results["stress"], expected["stress"], rtol=1e-9)
        np.testing.assert_array_equal(found.positions, given.positions)
        np.testing.assert_array_equal(found.cell, given.cell)
        assert found.info == given.info
    assert found.info == {"name": "a pair"}
    assert found.arrays["group"].tolist() == [4, 5]


def test_reference_values_are_kept_apart(run, model, model_folder, silicon, tmp_path):
    atoms = silicon[0].copy()
    reference = {"energy": -1.5, "forces": np.full((8, 3), 0.25), "stress": np.arange(6.0)}
    atoms.calc = SinglePointCalculator(atoms, **reference)
    write(tmp_path / "in.extxyz", atoms)
    first, second = tmp_path / "first.extxyz", tmp_path / "second.extxyz"
    assert run("evaluate", model_folder, tmp_path / "in.extxyz", "-o", first).exit_code == 0
    assert run("evaluate", model_folder, first, "-o", second).exit_code == 0  # on its own output
    for file in (first, second):
        found = read(file)
        assert found.calc.results["energy"] == pytest.approx(results_of(model, atoms)["energy"])
        assert found.info["reference_energy"] == -1.5
        np.testing.assert_array_equal(found.arrays["reference_forces"], reference["forces"])
        np.testing.assert_array_equal(found.info["reference_stress"], reference["stress"])


def test_output_is_overwritten_but_never_for_nothing(run, model_folder, silicon_file, tmp_path):
    out = tmp_path / "out.extxyz"
    out.write_text("what was there before")
    assert run("evaluate", model_folder, tmp_path / "none.xyz", "-o", out).exit_code == 1
    assert out.read_text() == "what was there before"
    assert run("evaluate", model_folder, silicon_file, "-o", out).exit_code == 0
    assert len(read(out, ":")) == 3


@pytest.mark.parametrize("index", ["", "@0"])
def test_output_is_never_what_is_read(run, model_folder, silicon_file, tmp_path, index):
    before = silicon_file.read_bytes()
    link = tmp_path / "link.extxyz"
    link.symlink_to(silicon_file)
    for out in (silicon_file, link):
        result = run("evaluate", model_folder, f"{silicon_file}{index}", "-o", out)
        assert result.exit_code == 1
        assert "is also an input file" in result.stderr
    assert silicon_file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out.h5"], "-o out.h5: a name that ends in .extxyz"),
        (["-o", "none/out.xyz"], "-o none/out.xyz: the folder to write it to does not exist"),
        (
            ["--plot", "none/plot.png"],
            "--plot none/plot.png: the folder to write it to does not exist",
        ),
        (["--plot", "plot.bmpx"], "--plot plot.bmpx: its name must end in one of ."),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(run, options, message):
    result = run("evaluate", "none", "none.xyz", *options)  # told even before these are missed
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}")


@pytest.fixture(scope="module")
def descriptor_model(tmp_path_factory):
    """A model that gives energies and stresses of atoms, in its folder."""
    descriptor = tm.SymmetryFunctions(["Si", "C"], 3.5, [("g2", [[0.5, 1.0]])])
    folder = tmp_path_factory.mktemp("models") / "descriptor"
    network = small_models.ElementNet(2, descriptor.width)
    return tm.PortableModel.create(
        folder, model=network, species=["Si", "C"], descriptor=descriptor
    )


def test_energies_and_stresses_of_atoms(run, descriptor_model, silicon, tmp_path):
    cluster = molecule("Si2H6")[[0, 1]]
    write(tmp_path / "in.extxyz", [silicon[0], cluster])
    out = tmp_path / "out.extxyz"
    options = ["-o", out, "--atom-energies", "--atom-stresses"]
    result = run("evaluate", descriptor_model.folder, tmp_path / "in.extxyz", *options)
    assert result.exit_code == 0, result.output
    for atoms in read(out, ":"):
        expected = descriptor_model.evaluate(atoms).fold()
        energies = atoms.calc.results["energies"]
        np.testing.assert_allclose(energies, expected.particle_energies, atol=1e-8)
        if atoms.pbc.all():
            stresses = atoms.calc.results["stresses"]
            np.testing.assert_allclose(stresses, expected.stresses, atol=1e-8)
            np.testing.assert_allclose(stresses.sum(0), atoms.get_stress(), atol=1e-7)
    assert "stresses" not in atoms.calc.results


def test_atoms_of_a_model_that_gives_totals(run, model_folder, silicon_file, tmp_path):
    out = tmp_path / "out.extxyz"
    result = run("evaluate", model_folder, silicon_file, "-o", out, "--atom-stresses")
    assert result.exit_code == 1
    assert "particle_virials" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--atom-energies"], "--atom-energies: -o OUTPUT is needed"),
        (["--atom-stresses", "--no-forces"], "--atom-stresses: cannot be used with --no-forces"),
        (["--forces-key", "F", "--no-forces"], "--forces-key: cannot be used with --no-forces"),
        (["--resume"], "--resume: -o OUTPUT, a file, is needed"),
        (["--resume", "-o", "-"], "--resume: -o OUTPUT, a file, is needed"),
    ],
)
def test_options_that_do_not_fit_together(run, options, message):
    result = run("evaluate", "none", "none.xyz", *options)
    assert result.exit_code == 2
    assert message in result.stderr


# ---- streams


def test_standard_input_and_output(run, model, model_folder, silicon_file):
    piped = run("evaluate", model_folder, "-", "-o", "-", input=silicon_file.read_bytes())
    assert piped.exit_code == 0
    found = read(io.StringIO(piped.stdout), ":", format="extxyz")
    for atoms, given in zip(found, read(silicon_file, ":"), strict=True):
        assert atoms.get_potential_energy() == pytest.approx(results_of(model, given)["energy"])
    assert piped.stderr.splitlines()[-1].startswith("3 structures, 24 atoms in ")
    assert "-@1 " in piped.stderr


def test_errors_of_standard_input(run, model_folder, silicon_file):
    lines = silicon_file.read_text().splitlines(keepends=True)
    lines[12] = "Si 0 0 zero\n"
    options = ["-", "-o", "-", "--keep-going"]
    piped = run("evaluate", model_folder, *options, input="".join(lines))
    assert piped.exit_code == 1
    assert "error: -@1 (line 13): ASE cannot read it: ValueError" in piped.stderr
    assert "1 failed, 2 evaluated; standard output has these" in piped.stderr
    assert len(read(io.StringIO(piped.stdout), ":", format="extxyz")) == 2


# ---- resuming


@pytest.fixture
def counted(monkeypatch):
    """The structures that models evaluate."""
    structures = []
    evaluate = tm.PortableModel.evaluate

    def spy(self, atoms, **options):
        structures.append(atoms)
        return evaluate(self, atoms, **options)

    monkeypatch.setattr(tm.PortableModel, "evaluate", spy)
    return structures


@pytest.fixture
def whole(run, model_folder, silicon_file, tmp_path):
    """An output and what is in it."""
    out = tmp_path / "out.extxyz"
    assert run("evaluate", model_folder, silicon_file, "-o", out).exit_code == 0
    return out, out.read_bytes()


def test_resuming(run, model_folder, silicon_file, whole, counted):
    """Wherever a run was killed, its output gets what the whole run writes."""
    out, content = whole
    lines = content.splitlines(keepends=True)
    frames = [sum(map(len, lines[: 10 * k])) for k in range(4)]  # where they begin
    _, one, two, three = frames
    for end in (0, 1, 2, 30, one - 1, one, one + 1, one + 2, two - 9, two, three - 1, three):
        out.write_bytes(content[:end])
        counted.clear()
        result = run("evaluate", model_folder, silicon_file, "-o", out, "--resume")
        assert result.exit_code == 0, result.output
        assert out.read_bytes() == content
        n_kept = sum(end >= begin for begin in frames[1:])
        assert len(counted) == 3 - n_kept + (n_kept > 0)  # the last that was kept is looked at
        assert "3 structures, 24 atoms in " in result.stdout
        if n_kept:
            assert f"{n_kept} structure{'s' * (n_kept > 1)} of these had results" in result.stdout


def test_resuming_after_power_failed(run, model_folder, silicon_file, whole):
    out, content = whole
    out.write_bytes(content[: len(content) // 2] + bytes(300))
    assert run("evaluate", model_folder, silicon_file, "-o", out, "--resume").exit_code == 0
    assert out.read_bytes() == content


def test_resuming_what_is_not_there_yet(run, model_folder, silicon_file, whole):
    out, content = whole
    out.unlink()
    assert run("evaluate", model_folder, silicon_file, "-o", out, "--resume").exit_code == 0
    assert out.read_bytes() == content


def test_resuming_with_failures_and_errors_counted(run, model_folder, mixed_file, tmp_path):
    """Structures that failed have no frame; they fail again, and the table is that of all."""
    out, options = tmp_path / "out.extxyz", ["--keep-going", "--energy-key", "E"]
    structures = [atoms for atoms in read(mixed_file, ":")]
    for k, atoms in enumerate(structures):
        atoms.info["E"] = -1.5 * k
    write(mixed_file, structures)
    first = run("evaluate", model_folder, mixed_file, "-o", out, *options)
    content = out.read_bytes()
    out.write_bytes(content[:-40])
    second = run("evaluate", model_folder, mixed_file, "-o", out, "--resume", *options)
    assert out.read_bytes() == content
    assert second.stderr == first.stderr
    errors = [result.stdout[result.stdout.index("errors") :] for result in (first, second)]
    assert errors[0] == errors[1]


def test_a_failure_does_not_cut_what_was_there(run, model_folder, mixed_file, whole, monkeypatch):
    out, content = whole
    out.write_bytes(content + b"8\n")
    monkeypatch.setattr("torchml_core.cli.resume._same_structure", lambda *_: False)
    result = run("evaluate", model_folder, f"{mixed_file}@1", "-o", out, "--resume")
    assert result.exit_code == 1
    assert out.read_bytes() == content + b"8\n"


def test_resuming_what_is_something_else(
    run, model_folder, descriptor_model, silicon_file, silicon, whole, tmp_path
):
    out, content = whole
    lines = content.decode().splitlines(keepends=True)
    damaged = [*lines[:5], "Si 0 0 nothing\n", *lines[6:]]
    write(tmp_path / "others.extxyz", silicon[1:])
    cases = [
        (
            "damaged",
            "".join(damaged),
            model_folder,
            silicon_file,
            [],
            "frame 0 is damaged but is not",
        ),
        ("others", None, model_folder, tmp_path / "others.extxyz", [], "frame 0 of .* is not"),
        ("fewer", None, model_folder, f"{silicon_file}@:2", [], "frame 2 of .* is none of the"),
        ("model", None, descriptor_model.folder, silicon_file, [], "the same model is needed"),
        ("options", None, model_folder, silicon_file, ["--no-forces"], "same options are needed"),
    ]
    for name, text, folder, source, options, message in cases:
        before = content if text is None else text.encode()
        out.write_bytes(before)
        result = run("evaluate", folder, source, "-o", out, "--resume", "--keep-going", *options)
        assert result.exit_code == 1, name
        assert re.search(f"error: --resume: .*{message}", result.stderr), result.stderr
        assert out.read_bytes() == before


# ---- comparison


@pytest.fixture
def reference_file(model, silicon, tmp_path):
    """Three structures with the model's results plus known errors; one without stress, one bare."""
    errors = [
        {"energy": 0.8, "forces": np.zeros((8, 3)), "stress": np.array([0.001, 0, 0, 0, 0, 0])},
        {"energy": -1.6, "forces": np.zeros((8, 3))},
    ]
    errors[1]["forces"][3] = [0.1, -0.2, 0.4]
    structures = []
    for atoms, wrong in zip(silicon, errors, strict=False):
        atoms = atoms.copy()
        right = results_of(model, atoms)
        values = {name: right[name] - wrong[name] for name in wrong}
        atoms.calc = SinglePointCalculator(atoms, **values)
        structures.append(atoms)
    path = tmp_path / "reference.extxyz"
    write(path, [*structures, silicon[2]])
    return path


def test_comparison(run, model_folder, reference_file):
    result = run("evaluate", model_folder, reference_file, "--compare")
    assert result.exit_code == 0, result.output
    rows = {line.split(" [")[0]: line for line in result.stdout.splitlines()}
    # MAE, RMSE, max, number of values, structures without
    expected = {
        "energy": [150, np.sqrt((100**2 + 200**2) / 2), 200, 2, 1],
        "forces": [700 / 48, np.sqrt((0.01 + 0.04 + 0.16) / 48) * 1e3, 400, 48, 1],
        "stress": [1 / 6, np.sqrt(1 / 6), 1, 6, 2],
    }
    where = {"energy": 1, "forces": 1, "stress": 0}
    for name, values in expected.items():
        assert numbers(rows[name].partition("]")[2]) == pytest.approx(values, abs=2e-4), name
        assert rows[name].endswith(f"{reference_file}@{where[name]}")


def test_comparison_of_energies_alone(run, model_folder, reference_file):
    result = run("evaluate", model_folder, reference_file, "--compare", "--no-forces")
    assert result.exit_code == 0
    assert "energy [meV/atom]" in result.stdout
    assert "forces [meV/Å]" not in result.stdout


def test_comparison_with_nothing_is_an_error(run, model_folder, silicon_file):
    result = run("evaluate", model_folder, silicon_file, "--compare")
    assert result.exit_code == 1
    assert "no structure has energy or forces or stress" in result.stderr


@pytest.fixture
def keyed_file(reference_file, tmp_path):
    """The reference values by other names, as MACE's and others' files have them."""
    structures = read(reference_file, ":")
    for atoms in structures:
        results = {} if atoms.calc is None else atoms.calc.results
        if "energy" in results:
            atoms.info["REF_energy"] = results["energy"]
            atoms.arrays["REF_forces"] = results["forces"]
        if "stress" in results:
            xx, yy, zz, yz, xz, xy = results["stress"]
            atoms.info["REF_stress"] = np.array([xx, xy, xz, xy, yy, yz, xz, yz, zz])
        atoms.calc = None
    write(tmp_path / "keyed.extxyz", structures)
    return tmp_path / "keyed.extxyz"


def test_comparison_with_keys(run, model_folder, reference_file, keyed_file):
    keys = ["--energy-key", "REF_energy", "--forces-key", "REF_forces"]
    keys += ["--stress-key", "REF_stress"]
    found = run("evaluate", model_folder, keyed_file, *keys).stdout.splitlines()
    expected = run("evaluate", model_folder, reference_file, "--compare").stdout.splitlines()
    found, expected = (lines[-3:] for lines in (found, expected))
    assert [line.replace("keyed", "reference") for line in found] == expected


def test_keys_that_are_not_there(run, model_folder, keyed_file):
    result = run("evaluate", model_folder, keyed_file, "--energy-key", "DFT_energy")
    assert result.exit_code == 1
    message = "--energy-key DFT_energy: no structure has this key; they have REF_energy, "
    assert message in result.stderr
    result = run("evaluate", model_folder, f"{keyed_file}@0", "--forces-key", "REF_stress")
    assert "REF_stress in the file has shape (9,); forces of shape (8, 3)" in result.stderr


def test_comparison_says_what_is_in_no_structure(run, model_folder, reference_file):
    result = run("evaluate", model_folder, f"{reference_file}@1:", "--compare")
    assert result.exit_code == 0
    assert "stress             not in the files" in result.stdout


def test_references_that_are_no_numbers_are_refused(run, model_folder, silicon, tmp_path):
    atoms = silicon[0].copy()
    atoms.calc = SinglePointCalculator(atoms, energy=np.nan)
    write(tmp_path / "nan.extxyz", atoms)
    result = run("evaluate", model_folder, tmp_path / "nan.extxyz", "--compare")
    assert result.exit_code == 1
    assert "nan.extxyz@0 (line 1): energy in the file contains nan" in result.stderr
    assert run("evaluate", model_folder, tmp_path / "nan.extxyz").exit_code == 0


@pytest.mark.slow
def test_plot(run, model_folder, reference_file, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda self, *a, **k: drawn.append(a[:2]) or plot(self, *a, **k)
    )
    result = run("evaluate", model_folder, reference_file, "--plot", tmp_path / "parity.PDF")
    assert result.exit_code == 0, result.output
    assert "errors" in result.stdout  # --compare is implied
    assert (tmp_path / "parity.PDF").read_bytes().startswith(b"%PDF")
    points = drawn[1::2]  # each after the diagonal
    assert [len(x) for x, _ in points] == [2, 48, 6]
    np.testing.assert_allclose(points[0][1] - points[0][0], [0.1, -0.2], atol=1e-12)


@pytest.mark.parametrize("name", ["parity.png", "parity.PNG", "parity.svg"])
def test_names_of_plots(name, tmp_path):
    check_picture_file("--plot", tmp_path / name)


def test_plot_without_matplotlib(run, model_folder, reference_file, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("evaluate", model_folder, reference_file, "--plot", "parity.png")
    assert result.exit_code == 1
    assert "pip install torchml_core[plots]" in result.stderr


# ---- what fails


@pytest.fixture
def mixed_file(silicon, tmp_path):
    """Good, unknown species, NaN, good."""
    gold, nowhere = silicon[0].copy(), silicon[1].copy()
    gold.symbols[2] = "Au"
    nowhere.positions[5, 1] = np.nan
    write(tmp_path / "mixed.extxyz", [silicon[0], gold, nowhere, silicon[2]])
    return tmp_path / "mixed.extxyz"


def test_the_first_failure_ends_it(run, model_folder, mixed_file, tmp_path):
    out = tmp_path / "out.extxyz"
    result = run("evaluate", model_folder, mixed_file, "-o", out)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"error: {mixed_file}@1 (line 11): species: atom 2 is Au, not one of ['Si', 'C']",
        f"error: 1 failed, 1 evaluated; {out} has these",
    ]
    assert len(read(out, ":")) == 1
    assert result.stdout.startswith(f"{mixed_file}@0: Si8")


def test_keep_going(run, model_folder, mixed_file, silicon_file, tmp_path):
    out = tmp_path / "out.extxyz"
    sources = [mixed_file, tmp_path / "none.xyz", silicon_file]
    result = run("evaluate", model_folder, *sources, "--keep-going", "-o", out)
    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert errors[0].startswith(f"error: {mixed_file}@1 (line 11): species: atom 2 is Au")
    assert errors[1].startswith(f"error: {mixed_file}@2 (line 21): positions[5, 1] = nan")
    assert errors[2] == f"error: {tmp_path}/none.xyz: no such file"
    assert errors[3] == f"error: 3 failed, 5 evaluated; {out} has these"
    assert len(read(out, ":")) == 5
    assert result.stdout.splitlines()[-1].startswith("5 structures, 40 atoms in ")


def test_each_fault_of_a_batch_is_told_with_its_frame_and_line(
    run, model_folder, silicon, tmp_path
):
    """A number, a species, a place and two atoms at one place that are wrong, each alone."""
    batch = [silicon[k % 3].copy() for k in range(9)]
    batch[3].symbols[2] = "Au"
    batch[5].positions[5, 1] = np.nan
    batch[7].positions[1] = batch[7].positions[0]
    source, out = tmp_path / "batch.extxyz", tmp_path / "out.extxyz"
    write(source, batch)
    lines = source.read_text().splitlines(keepends=True)
    lines[14] = "Si 0 0 zero\n"
    source.write_text("".join(lines))
    result = run("evaluate", model_folder, source, "--keep-going", "-o", out)
    assert result.exit_code == 1
    expected = [
        (1, 15, "could not convert string to float: 'zero'"),
        (3, 31, "species: atom 2 is Au"),
        (5, 51, "positions[5, 1] = nan"),
        (7, 71, "0 and 1"),
    ]
    *errors, last = result.stderr.splitlines()
    assert last == f"error: 4 failed, 5 evaluated; {out} has these"
    for error, (frame, line, message) in zip(errors, expected, strict=True):
        assert error.startswith(f"error: {source}@{frame} (line {line}): "), error
        assert message in error
    kept = [batch[k].positions for k in (0, 2, 4, 6, 8)]
    for atoms, positions in zip(read(out, ":"), kept, strict=True):
        np.testing.assert_allclose(atoms.positions, positions, atol=1e-7)


def test_nothing_evaluated_prints_nothing(run, model_folder, mixed_file):
    result = run("evaluate", model_folder, f"{mixed_file}@1:3", "--keep-going", "--compare")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "2 failed, 0 evaluated" in result.stderr


def test_a_refused_reference_counts_once(run, model_folder, silicon, tmp_path):
    wrong = silicon[0].copy()
    wrong.calc = SinglePointCalculator(wrong, energy=np.inf)
    right = silicon[1].copy()
    right.calc = SinglePointCalculator(right, energy=1.0)
    write(tmp_path / "in.extxyz", [wrong, right])
    out = tmp_path / "out.extxyz"
    options = ["--compare", "--keep-going", "-o", out]
    result = run("evaluate", model_folder, tmp_path / "in.extxyz", *options)
    assert "1 failed, 1 evaluated" in result.stderr
    assert len(read(out, ":")) == 1


# ---- real models


@pytest.mark.slow
@pytest.mark.parametrize("convention", ["raw", "descriptor"])
def test_real_models(run, models_of_others, training_file, silicon_frames, convention):
    folder = models_of_others[convention]
    small = "447:451:3" if has_shared_data() else "7:11:3"  # of 8 atoms; most of KLIFF's have 64
    result = run("evaluate", folder, f"{training_file}@{small}", "--compare")
    assert result.exit_code == 0, result.output
    model = tm.PortableModel.load(folder)
    structures = silicon_frames(small)
    expected = [model.evaluate(atoms).fold() for atoms in structures]
    lines = result.stdout.splitlines()
    for line, prediction in zip(lines[1:3], expected, strict=True):
        assert numbers(line)[1] == pytest.approx(prediction.energy, abs=1e-6)
    errors = np.concatenate(
        [p.forces - a.get_forces() for p, a in zip(expected, structures, strict=True)]
    )
    (row,) = (line for line in lines if line.startswith("forces [meV/Å]"))
    shown = [1e3 * np.abs(errors).mean(), 1e3 * np.sqrt((errors**2).mean())]
    assert numbers(row)[:2] == pytest.approx(shown, abs=1e-4)


def test_a_model_that_gives_nan_says_how_to_use_it(
    run, models_of_others, training_file, monkeypatch
):
    folder, sources = models_of_others["graph"], f"{training_file}@0"
    monkeypatch.delenv("KIM_MODEL_ELEMENTS_MAP", raising=False)
    result = run("evaluate", folder, sources)
    assert result.exit_code == 1
    assert "KIM_MODEL_ELEMENTS_MAP" in result.stderr
    monkeypatch.setenv("KIM_MODEL_ELEMENTS_MAP", "1")
    assert run("evaluate", folder, sources).exit_code == 0


# ---- committees


@pytest.fixture(scope="module")
def committee(tmp_path_factory, model):
    """A folder with a model and the members of a committee."""
    folder = tmp_path_factory.mktemp("committee")
    model.save(folder)
    for number in (1, 2, 3):
        network = small_models.PairNet()
        network.scale.data *= number
        tm.PortableModel.create(
            folder / "members" / str(number),
            model=network,
            species=["Si", "C"],
            cutoff=small_models.CUTOFF,
            convention="raw",
        )
    return folder


def test_a_committee_writes_its_deviations(run, committee, silicon, tmp_path):
    structures = [atoms.copy() for atoms in silicon]
    structures[1].info["energy_std"] = 7.0  # of an earlier run
    write(tmp_path / "in.extxyz", structures)
    structures = read(tmp_path / "in.extxyz", ":")  # rounded
    out, members = tmp_path / "out.extxyz", [committee / "members" / str(k) for k in (1, 2, 3)]
    result = run("evaluate", *members, tmp_path / "in.extxyz", "-o", out, "--atom-energies")
    assert result.exit_code == 0, result.output
    together = tm.Committee(members)
    for line, given, found in zip(
        result.stdout.splitlines()[1:4], structures, read(out, ":"), strict=True
    ):
        p = together.evaluate(given).fold()
        assert found.calc.results["energy"] == pytest.approx(p.energy, rel=1e-14)
        assert found.info["energy_std"] == pytest.approx(p.energy_std, rel=1e-14)
        np.testing.assert_allclose(found.arrays["forces_std"], p.forces_std, atol=1e-8)
        np.testing.assert_allclose(found.info["stress_std"], p.stress_std, atol=1e-12)
        energies_std = p.particle_energies_std
        np.testing.assert_allclose(found.arrays["energies_std"], energies_std, atol=1e-8)
        shown = [p.energy_std / 8, p.forces_std.max()]
        assert numbers(line)[-2:] == pytest.approx(shown, abs=1e-6)
    assert read(out, 1).info["reference_energy_std"] == 7.0
    content = out.read_bytes()
    out.write_bytes(content[:-100])
    # the folder of the committee is the same as its members
    options = ["-o", out, "--resume", "--atom-energies"]
    again = run("evaluate", committee, tmp_path / "in.extxyz", *options)
    assert again.exit_code == 0, again.output
    assert out.read_bytes() == content
    result = run("evaluate", committee, f"{tmp_path}/in.extxyz@0", "-o", out, "--no-forces")
    assert f"std      {together.evaluate(structures[0]).energy_std:.8f} eV" in result.stdout
    assert "forces_std" not in read(out).arrays


def test_models_without_structures(run, committee):
    result = run("evaluate", committee, committee)
    assert result.exit_code == 2
    assert "is a model: STRUCTURES are needed after it" in result.stderr
