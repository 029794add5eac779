"""Configurations: defaults, and messages with the line of what is wrong."""

import pytest
import yaml

from torchml_core.errors import FileFormatError, MissingFileError
from torchml_core.training.run.settings import read_settings, seconds

TWO_LINES = "data: {train: a.extxyz}\noutput: out\n"


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_two_lines_are_enough_and_the_complete_text_can_be_used_again(tmp_path):
    settings = read_settings(written(tmp_path, TWO_LINES))
    assert settings.data.train == ["a.extxyz"]
    assert settings.time_limit == 300
    assert settings.path(settings.data.train[0]) == tmp_path / "a.extxyz"
    again = read_settings(written(tmp_path, settings.text()))
    assert again == settings
    assert yaml.safe_load(settings.text())["network"]["hidden"] == settings.network.hidden


def test_values_of_all_forms(tmp_path):
    text = TWO_LINES + (
        "time_limit: 1.5 h\nseed: 3\nmembers: 2\nnetwork: {learning_rate: 1e-3, use: false}\n"
        "descriptor: d.dat\nweights: {forces: 2}\n"
    )
    text = text.replace("{train: a.extxyz}", "{train: [a, b], test: c, isolated_atoms: {No: -1}}")
    settings = read_settings(written(tmp_path, text), seed=4, time_limit=None)
    assert (settings.time_limit, settings.seed, settings.members) == (5400, 4, 2)
    assert settings.network.learning_rate == 1e-3
    assert settings.data.test == ["c"]
    assert settings.data.isolated_atoms == {"No": -1}
    assert settings.weights.forces == 2


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3), ("90", 90), ("90 s", 90), ("5min", 300), ("2 mins", 120)]
)
def test_times(value, expected):
    assert seconds(value) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nnetwrok: {hidden: [3]}", r"config.yaml:4: netwrok: .*; network, perhaps, is needed"),
        ("network: {hiden: [3]}", "config.yaml:3: network.hiden: .*; hidden, perhaps, is needed"),
        ("xyz: 3", "config.yaml:3: xyz: there is no such setting; one of data, output, .* is"),
        ("network:\n  hidden: 3", "config.yaml:4: network.hidden = 3: a list is needed"),
        ("network:\n  hidden: [3,\n   0]", r"yaml:5: network.hidden.1 = 0: a number of at least 1"),
        ("network: 3", "config.yaml:3: network = 3: a section with keys is needed"),
        ("device: gpu", "config.yaml:3: device = 'gpu': one of auto, cpu, cuda, or a numbered one"),
        ("device: 0", "device = 0: one of auto, cpu, cuda, or a numbered one such as cuda:1, is"),
        ("network: {use: 1}", "network.use = 1: true or false is needed"),
        ("network: {learning_rate: fast}", "network.learning_rate = 'fast': a number is needed"),
        ("network: {learning_rate: .inf}", "network.learning_rate = inf: a finite number is"),
        ("seed: 1.5", "seed = 1.5: a whole number is needed"),
        ("seed: yes", "seed = 'yes': a whole number is needed"),
        ("cutoff: 0", "cutoff = 0: a number of more than 0"),
        ("size: huge", "size = 'huge': one of 'small', 'medium', 'large' is needed"),
        ("time_limit: 5 minuts", "time_limit = '5 minuts': a time, such as 300"),
        ("time_limit: 0", "time_limit = 0: a time"),
        ("descriptor: [1]", r"descriptor = \[1\]: a .dat or .json file, or a kind"),
        ("seed: 1\nseed: 2", "config.yaml:4: seed: given in line 3, too; one is needed"),
        ("network: {use: true, use: false}", "config.yaml:3: network.use: given in line 3, too"),
        ("seed: [1", "config.yaml:4: not YAML"),
        ("? [1, 2]\n: 3", "config.yaml:3: a key is not a word"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=message):
        read_settings(written(tmp_path, TWO_LINES + text + "\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: out\n", "config.yaml:1: data is not given; it is needed"),
        ("output: out\ndata: {test: 0.1}\n", "config.yaml:2: data.train is not given"),
        ("output: out\ndata: {train: 3}\n", "data.train = 3: a file, or a list of files, is"),
        ("output: o\ndata: {train: a, test: 1.0}\n", "data.test = 1.0: a fraction of at least 0"),
        ("- 3\n", r"config.yaml:1: \[3\]: keys with values are needed"),
        ("", "data is not given"),
    ],
)
def test_what_is_missing(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=message):
        read_settings(written(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFileError, match="there is no such file"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="text in UTF-8"):
        read_settings(tmp_path / "binary.yaml")
