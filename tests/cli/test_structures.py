"""Reading structures one at a time, by ASE's indices, with labels that find them again."""

import gzip
import lzma
import shutil
import tempfile

import pytest
from ase.build import molecule
from ase.io import read, write

import torchml_core as tm
from torchml_core.cli import structures
from torchml_core.cli.progress import track
from torchml_core.cli.structures import count_structures, read_structures, split_source


@pytest.fixture
def ten(tmp_path):
    """Ten structures that can be told apart."""
    many = []
    for k in range(10):
        many.append(molecule("CH4"))
        many[-1].info["k"] = k
    path = tmp_path / "ten.extxyz"
    write(path, many)
    return path


@pytest.mark.parametrize(
    ("index", "places"),
    [
        ("", range(10)),
        ("@:", range(10)),
        ("@3", [3]),
        ("@0", [0]),
        ("@2:5", range(2, 5)),
        ("@1::4", [1, 5, 9]),
        ("@:3", range(3)),
        ("@8:20", [8, 9]),
    ],
)
def test_indices_and_labels(ten, index, places):
    found = list(read_structures([f"{ten}{index}"]))
    assert [atoms.info["k"] for _, atoms in found] == list(places)
    assert [label for label, _ in found] == [f"{ten}@{k}" for k in places]
    assert count_structures([f"{ten}{index}"]) == len(places)
    for label, atoms in found:  # ASE finds them by their labels
        assert read(label).info["k"] == atoms.info["k"]


@pytest.mark.parametrize(
    ("index", "places", "labels"),
    [
        ("-1", [9], ["-1"]),
        ("-2:", [8, 9], ["-2:[0]", "-2:[1]"]),
        ("::-4", [9, 5, 1], ["::-4[0]", "::-4[1]", "::-4[2]"]),
    ],
)
def test_indices_from_the_end(ten, index, places, labels):
    found = list(read_structures([f"{ten}@{index}"]))
    assert [atoms.info["k"] for _, atoms in found] == places
    assert [label for label, _ in found] == [f"{ten}@{label}" for label in labels]
    assert count_structures([f"{ten}@{index}"]) == len(places)


def test_nothing_is_read_ahead(ten, monkeypatch):
    taken = []

    def counting(*arguments, **options):
        for atoms in iread(*arguments, **options):
            taken.append(atoms)
            yield atoms

    iread = structures.iread
    monkeypatch.setattr(structures, "iread", counting)
    found = track(read_structures([str(ten)]), [str(ten)])
    next(found)
    next(found)
    assert len(taken) == 2


def test_a_name_with_an_at_sign_is_a_name_if_it_is_there(ten, tmp_path):
    odd = tmp_path / "run@3.extxyz"
    shutil.copy(ten, odd)
    assert split_source(str(odd)) == (str(odd), None)
    assert split_source(f"{odd}@2:3") == (str(odd), slice(2, 3))
    folder = tmp_path / "of@me"
    folder.mkdir()
    shutil.copy(ten, folder / "ten.extxyz")
    assert len(list(read_structures([str(folder / "ten.extxyz")]))) == 10


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_compressed_files(ten, tmp_path, monkeypatch, suffix, compress):
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked))
    packed = tmp_path / f"ten.extxyz.{suffix}"
    packed.write_bytes(compress(ten.read_bytes()))
    assert count_structures([str(packed)]) == 10
    found = list(read_structures([f"{packed}@4:6"]))
    assert [(label, atoms.info["k"]) for label, atoms in found] == [
        (f"{packed}@4", 4),
        (f"{packed}@5", 5),
    ]
    packed.write_bytes(packed.read_bytes()[:-20])
    ((label, error),) = read_structures([str(packed)])
    assert label == str(packed)
    assert isinstance(error, tm.InputError)
    stopped = read_structures([f"{packed}"])
    next(stopped)
    stopped.close()
    assert list(unpacked.iterdir()) == []


def test_files_of_other_kinds_are_read_but_not_counted(tmp_path):
    path = tmp_path / "POSCAR"
    atoms = molecule("CH4", vacuum=3.0, pbc=True)
    write(path, atoms, format="vasp")
    assert count_structures([str(path)]) is None
    ((label, found),) = read_structures([str(path)])
    assert label == f"{path}@0"
    assert len(found) == 5


def test_after_an_error_the_next_file_follows(ten, tmp_path):
    cut = tmp_path / "cut.extxyz"
    cut.write_text("".join(ten.read_text().splitlines(keepends=True)[:-2]))
    noise = tmp_path / "noise.extxyz"
    noise.write_text("so it goes\n")
    empty = tmp_path / "empty.extxyz"
    empty.write_text("")
    sources = [
        cut,
        noise,
        empty,
        tmp_path / "none.xyz",
        tmp_path,
        f"{ten}@20",
        f"{ten}@1:x",
        f"{ten}@3",
    ]
    found = dict(read_structures(map(str, sources)))
    errors = {label: error for label, error in found.items() if isinstance(error, Exception)}
    assert list(errors) == [
        f"{cut}@9",
        str(noise),
        str(empty),
        str(tmp_path / "none.xyz"),
        str(tmp_path),
        str(ten),
        f"{ten}@1:x",
    ]
    assert all(isinstance(error, tm.TorchMLError) for error in errors.values())
    assert "ASE cannot read it" in str(errors[f"{cut}@9"])
    assert "no such file" in str(errors[str(tmp_path / "none.xyz")])
    assert "a folder" in str(errors[str(tmp_path)])
    assert "no structures in it at this index" in str(errors[str(ten)])
    assert "'1:x'" in str(errors[f"{ten}@1:x"])
    assert list(found)[-1] == f"{ten}@3"


def test_a_bar_is_shown_on_a_terminal_only(ten, capsys, monkeypatch):
    sources = [str(ten)]
    assert len(list(track(read_structures(sources), sources))) == 10
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert len(list(track(read_structures(sources), sources))) == 10
    out, err = capsys.readouterr()
    assert out == ""
    assert "evaluating" in err
    assert "10/10" in err
