"""``torchml-core train``: options and messages. What a run does is in tests/training/run."""

import pytest
import yaml

from torchml_core.training.run import pipeline

CONFIG = "data: {train: silicon.extxyz}\noutput: out\nseed: 3\n"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_print_config(run, config):
    done = run("train", config, "--print-config", "--time-limit", "2 min", "--threads", 1)
    assert done.exit_code == 0
    printed = yaml.safe_load(done.output)
    assert (printed["seed"], printed["time_limit"], printed["threads"]) == (3, 120.0, 1)
    assert not (config.parent / "out").exists()


def test_errors_are_one_line(run, config):
    done = run("train", config)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert "silicon.extxyz: there is no such file" in done.stderr
    config.write_text(CONFIG + "sed: 3\n")
    done = run("train", config)
    assert done.stderr == (
        f"error: {config}:4: sed: there is no such setting; seed, perhaps, is needed\n"
    )
    config.write_text(CONFIG)
    done = run("train", config, "--time-limit", "soon")
    assert "time_limit = 'soon': a time, such as 300 (seconds)" in done.stderr


def test_an_interruption_is_told(run, config, monkeypatch):
    def interrupted(settings, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", interrupted)
    done = run("train", config)
    assert done.exit_code == 130
    assert "interrupted: no model has been fitted yet; --resume goes on from here" in done.stderr
    (config.parent / "out" / "model").mkdir(parents=True)
    done = run("train", config)
    assert f"{config.parent / 'out' / 'model'} has the best model so far" in done.stderr
