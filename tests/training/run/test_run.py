"""Runs: the folder, the model in it, what an interruption leaves, and what the report says."""

import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from ase.io import read, write
from small_runs import CONFIG

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.errors import InputError, ModelError
from torchml_core.training.run import pipeline, train
from torchml_core.training.run.candidates import Candidate
from torchml_core.training.run.check import check
from torchml_core.training.run.descriptor import descriptor_of
from torchml_core.training.run.errors import Errors, contradicting
from torchml_core.training.run.fits import Fits
from torchml_core.training.run.folder import RunFolder
from torchml_core.training.run.screen import Screen
from torchml_core.training.run.settings import read_settings


def fit(path, **arguments):
    return train(read_settings(path), screen=Screen(quiet=True), **arguments)


def weights(folder):
    """All numbers of the model in a run's folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what models are in
        module = torch.jit.load(str(folder / "model" / "model.pt"))
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_a_run_from_the_file_to_the_checked_folder(config, tmp_path, silicon):
    done = fit(config())
    out = tmp_path / "out"
    model = tm.PortableModel.load(out / "model")
    assert set(model.card.training_range) == {"Si"}
    atoms = silicon[0].copy()
    atoms.calc = TorchMLCalculator(model, extrapolation="ignore")
    reference = silicon[0].get_forces()
    assert np.abs(atoms.get_forces() - reference).max() < 0.3 * np.abs(reference).max()
    # the errors that it tells are those of the stored model
    test = [example.atoms for example in pipeline.read_all(read_settings(config())).test]
    by_hand = [model.evaluate(a).fold().forces for a in test]
    known = [
        next(s for s in silicon if np.allclose(s.positions, a.positions, atol=1e-7)) for a in test
    ]
    residuals = [f - s.get_forces() for f, s in zip(by_hand, known, strict=True)]
    expected = np.sqrt(np.mean(np.concatenate(residuals) ** 2))
    assert done.errors["test"].of("forces") == pytest.approx(expected, rel=1e-6)
    report = (out / "report.md").read_text()
    assert f"{1e3 * expected:.3g}" in report
    for text in ("hot", "cold", "Training range", "kind: SymmetryFunctions", "torch", "parity.png"):
        assert text in report
    assert {"parity.png", "learning_curve.png", "settings.yaml"} <= set(os.listdir(out))
    assert read_settings(out / "settings.yaml").network.epochs == 4


class _Stop(BaseException):
    """What a kill is in these tests."""


class _StopAtEpoch(Screen):
    def __init__(self, number, error):
        super().__init__(quiet=True)
        self._number, self._error = number, error

    def epoch(self, epoch, done):
        if epoch.number == self._number:
            raise self._error


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, _Stop])
def test_an_interrupted_run_goes_on_to_the_same_model(config, tmp_path, error):
    path = config(CONFIG + "members: 2\n")
    fit(path)
    whole = weights(tmp_path / "out")
    path.write_text(path.read_text().replace("output: out", "output: again"))
    settings = read_settings(path)
    with pytest.raises(error):
        train(settings, screen=_StopAtEpoch(3, error))
    tm.PortableModel.load(tmp_path / "again" / "model")  # it is there all the time
    with pytest.raises(InputError, match="or --resume to go on with that run"):
        fit(path)
    fit(path, resume=True)
    same_weights(weights(tmp_path / "again"), whole)
    committee = tm.Committee.load(tmp_path / "again" / "model")
    assert len(committee.models) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "moment"),
    [
        ("network", "before"),
        *(
            pytest.param(stage, moment, marks=pytest.mark.slow)
            for stage, moment in [
                ("linear", "before"), ("linear", "after"), ("quadratic", "after"),
                ("network", "after"),
            ]
        ),
    ],
)  # fmt: skip
def test_a_run_killed_between_stages(config, tmp_path, monkeypatch, moment, stage):
    text = CONFIG + "linear: {components: 3}\n"
    fit(config(text))
    whole = weights(tmp_path / "out")
    path = config(text.replace("output: out", "output: again"))
    finish = pipeline.Run.finish_stage

    def killed(run, key, facts):
        if key == stage:
            if moment == "after":
                finish(run, key, facts)
            raise _Stop
        finish(run, key, facts)

    monkeypatch.setattr(pipeline.Run, "finish_stage", killed)
    with pytest.raises(_Stop):
        fit(path)
    monkeypatch.undo()
    fit(path, resume=True)
    same_weights(weights(tmp_path / "again"), whole)


def test_a_resumed_run_must_be_the_same(config, tmp_path, silicon):
    path = config(CONFIG.replace("epochs: 4", "use: false"))
    fit(path)
    path.write_text(path.read_text() + "seed: 5\n")
    with pytest.raises(InputError, match="had seed = 0, not 5; the same settings, or another"):
        fit(path, resume=True)
    path = config(CONFIG.replace("epochs: 4", "use: false"))
    write(tmp_path / "silicon.extxyz", silicon[1:])
    with pytest.raises(InputError, match="silicon.extxyz is not what it was when the run"):
        fit(path, resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there(config, tmp_path):
    path = config(CONFIG.replace("epochs: 4", "use: false") + "device: cuda:1\n")
    with pytest.raises(InputError, match="device = 'cuda:1' cannot be used here"):
        fit(path)
    assert not (tmp_path / "out").exists()
    path.write_text(path.read_text().replace("cuda:1", "auto"))
    fit(path)
    there = tmp_path / "out" / "run" / "run.json"
    assert json.loads(there.read_text())["device"] == "cpu"
    there.write_text(there.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    with pytest.raises(InputError, match="the run was on cuda; the same device, or another"):
        fit(path, resume=True)


def test_a_folder_with_other_files_is_not_touched(config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    for resume in (False, True):
        with pytest.raises(InputError, match="an empty or new folder is needed"):
            fit(config(), resume=resume)
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validation: 0.25", "validation: 0.0", "data.validation: structures with labels"),
        ("cutoff: 4.0", "cutof: 4.0", "descriptor: .*cutof"),
        ("SymmetryFunctions", "Symmetry", "descriptor: .*'Symmetry'"),
        ("output: out", "output: out\ncutoff: 4.0", "cutoff = 4.0: the descriptor has its own"),
        ("validation: 0.25", "energy_key: E", "energy_key = 'E': no structure has"),
    ],
)
def test_settings_that_do_not_fit_the_data(config, old, new, message):
    with pytest.raises(InputError, match=message):
        fit(config(CONFIG.replace(old, new)))


@pytest.mark.slow
def test_the_default_descriptor_and_recipe(config, tmp_path):
    done = fit(config("data: {train: silicon.extxyz}\noutput: out\ntime_limit: 4\n"))
    assert done.model.descriptor.cutoff >= 4
    stages = json.loads((tmp_path / "out" / "run" / "run.json").read_text())["stages"]
    assert next(iter(stages)) == "linear"
    assert list(stages)[-1] == "network"


def test_a_limit_that_is_too_short_is_said_at_once(config, capsys):
    settings = read_settings(config(CONFIG.replace(", epochs: 4", "")), time_limit=0.01)
    train(settings, screen=Screen())
    lines = capsys.readouterr().out.splitlines()
    said = [k for k, line in enumerate(lines) if "time_limit = 0.01 s is too short: " in line]
    assert len(said) == 1
    assert " s are needed" in lines[said[0]]
    assert said[0] < next(k for k, line in enumerate(lines) if "linear: " in line)
    assert any("no time is left for a network" in line for line in lines)


@pytest.mark.parametrize("name", ["descriptor.dat", "descriptor.json"])
def test_descriptors_in_files(config, tmp_path, name):
    d = tm.SymmetryFunctions(["Si"], 3.9, [("g2", [[0.1, 0.0], [1.0, 2.3]])])
    d.to_file(tmp_path / name)
    text = f"data: {{train: silicon.extxyz}}\noutput: out\ndescriptor: {name}\n"
    settings = read_settings(config(text))
    data = pipeline.read_all(settings).train
    assert descriptor_of(settings, data) == d
    (tmp_path / name).write_text("1\n2\n")
    with pytest.raises(tm.TorchMLError, match=name):
        descriptor_of(settings, data)
    (tmp_path / name).unlink()
    with pytest.raises(tm.MissingFileError, match="there is no such file"):
        descriptor_of(settings, data)


def test_the_model_is_replaced_in_one_step(tmp_path):
    """Where folders cannot be exchanged, at least nothing is lost."""
    folder = RunFolder.__new__(RunFolder)
    folder.path, folder.model = tmp_path, tmp_path / "model"
    for text in "one", "two":

        def make(place, text=text):
            place.mkdir()
            (place / "file").write_text(text)

        folder.publish(make)
        assert (folder.model / "file").read_text() == text
        assert os.listdir(tmp_path) == ["model"]


def test_the_check_finds_a_model_that_is_another_one(config, tmp_path):
    done = fit(config(CONFIG.replace("epochs: 4", "use: false")))
    data = tm.dataset.Dataset.read(tmp_path / "silicon.extxyz")
    module = tm.nn.ElementPolynomials(done.model.descriptor)
    with pytest.raises(ModelError, match="the stored model differs from the trained one by"):
        check(done.model, module, done.model.descriptor, data)


@pytest.mark.slow
def test_killed_at_any_moment(config, tmp_path):
    """Ends bit-equal, whenever and however often the process is killed."""
    text = CONFIG.replace("epochs: 4", "epochs: 60") + "linear: {components: 3}\nthreads: 1\n"
    fit(config(text))
    whole = weights(tmp_path / "out")
    path = config(text.replace("output: out", "output: again"))
    command = [sys.executable, "-m", "torchml_core.cli", "train", str(path), "--resume"]
    random = np.random.default_rng(0)
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in process.stdout:
            if b"training:" in line:  # the rest takes about a second
                break
        time.sleep(random.uniform(0, 1.5))
        process.kill()
        process.communicate()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    same_weights(weights(tmp_path / "again"), whole)
    assert len(read(tmp_path / "silicon.extxyz", ":")) == 20


def test_energies_that_contradict_forces_are_told_apart():
    expected = {"energy": {"a": 0.001, "b": 0.08}, "forces": {"a": 0.01, "b": 0.01}}
    assert contradicting(expected) == ("b",)
    assert contradicting({"energy": {"a": 1.0}}) == ()
    own = {"a": {"energy": (0.002, 5)}, "b": {"energy": (0.09, 5)}, "all": {"energy": (0.07, 10)}}
    text = "energy 2 meV/atom (without energies that do not fit their forces: 'b' 90 meV/atom)"
    assert Errors(own, {}, {}).in_words(("b",)) == text
    assert Errors(own, {}, {}).in_words(()) == "energy 70 meV/atom"


def test_scores_follow_the_fit_that_sees_contradictions():
    """Energies of "hot" contradict the forces, which a first fit with poor forces fits instead."""
    fits = Fits(None, None, 0, "")

    def candidate(stage, energy, forces, expected=None):
        of_kinds = {
            kind: {"energy": (e, 10), "forces": (f, 900)}
            for kind, e, f in zip(("cold", "hot"), energy, forces, strict=True)
        }
        facts = {"validation": of_kinds}
        if expected is not None:
            facts["expected"] = {
                "energy": dict(zip(("cold", "hot"), expected[0], strict=True)),
                "forces": dict.fromkeys(("cold", "hot"), expected[1]),
            }
        fits.candidates.append(Candidate(stage, stage, stage, facts))

    candidate("linear", (0.008, 0.060), (0.020, 0.025), ((0.01, 0.03), 0.02))
    candidate("quadratic", (0.0003, 0.09), (0.004, 0.008), ((0.0005, 0.03), 0.006))
    candidate("network", (0.002, 0.03), (0.02, 0.02))
    assert fits.best.stage == "quadratic"
    assert contradicting(fits.expected) == ("hot",)
    assert fits.expected["energy"] == {"cold": 0.0005, "hot": 0.09}
    fits.candidates[1].facts.pop("expected")  # with the errors that the first fit expects
    assert fits.best.stage == "network"
