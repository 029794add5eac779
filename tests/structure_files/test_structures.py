"""Reading structures one at a time, by ASE's indices, with labels that find them again."""

import gzip
import io
import lzma
import shutil
import tempfile

import pytest
from ase.build import molecule
from ase.io import read, write
from ase.io.trajectory import TrajectoryReader

import torchml_core as tm
from torchml_core.cli.progress import track
from torchml_core.structure_files import structures
from torchml_core.structure_files.structures import count_structures, read_structures, split_source


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
    assert [item.structure.info["k"] for item in found] == list(places)
    assert [item.label for item in found] == [f"{ten}@{k}" for k in places]
    assert [item.line for item in found] == [7 * k + 1 for k in places]
    assert count_structures([f"{ten}{index}"]) == len(places)
    for item in found:  # ASE finds them by their labels
        assert read(item.label) == item.structure


@pytest.mark.parametrize(
    ("index", "places"),
    [
        ("-1", [9]),
        ("-10", [0]),
        ("-2:", [8, 9]),
        (":-8", [0, 1]),
        ("::-4", [9, 5, 1]),
        ("2:0:-1", [2, 1]),
    ],
)
def test_indices_from_the_end(ten, index, places):
    found = list(read_structures([f"{ten}@{index}"]))
    assert [item.structure.info["k"] for item in found] == places
    assert [item.label for item in found] == [f"{ten}@{k}" for k in places]
    assert count_structures([f"{ten}@{index}"]) == len(places)


@pytest.mark.parametrize(
    ("index", "labels"),
    [("", ["0", "1", "2"]), ("@-1", ["-1"]), ("@-2:", ["-2:[0]", "-2:[1]"])],
)
def test_indices_of_files_of_other_kinds(tmp_path, index, labels):
    path = tmp_path / "three.traj"
    write(path, [molecule("H2O"), molecule("CH4"), molecule("NH3")])
    found = list(read_structures([f"{path}{index}"]))
    assert [item.label for item in found] == [f"{path}@{label}" for label in labels]
    assert str(found[-1].structure.symbols) == "NH3"


def test_nothing_is_read_ahead(ten, monkeypatch):
    taken = []

    def counting(frame):
        taken.append(frame)
        return parse(frame)

    parse = structures.parse_frame
    monkeypatch.setattr(structures, "parse_frame", counting)
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
    assert [(item.label, item.structure.info["k"]) for item in found] == [
        (f"{packed}@4", 4),
        (f"{packed}@5", 5),
    ]
    packed.write_bytes(packed.read_bytes()[:-20])
    *_, last = read_structures([str(packed)])
    assert last.label == str(packed)
    assert isinstance(last.structure, tm.InputError)
    assert "cannot be read" in str(last.structure)


def test_compressed_files_of_other_kinds(tmp_path, monkeypatch):
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked))
    write(tmp_path / "two.traj", [molecule("H2O"), molecule("CH4")])
    packed = tmp_path / "two.traj.gz"
    packed.write_bytes(gzip.compress((tmp_path / "two.traj").read_bytes()))
    assert [len(item.structure) for item in read_structures([str(packed)])] == [3, 5]
    stopped = read_structures([str(packed)])
    next(stopped)
    stopped.close()
    assert list(unpacked.iterdir()) == []


def test_files_of_other_kinds_are_read_but_not_counted(tmp_path):
    path = tmp_path / "POSCAR"
    atoms = molecule("CH4", vacuum=3.0, pbc=True)
    write(path, atoms, format="vasp")
    assert count_structures([str(path)]) is None
    (item,) = read_structures([str(path)])
    assert item.place == item.label == f"{path}@0"
    assert len(item.structure) == 5


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
    found = {item.label: item.structure for item in read_structures(map(str, sources))}
    errors = {label: error for label, error in found.items() if isinstance(error, Exception)}
    assert list(errors) == [
        f"{cut}@9",
        f"{noise}@0",
        str(empty),
        str(tmp_path / "none.xyz"),
        str(tmp_path),
        str(ten),
        f"{ten}@1:x",
    ]
    assert all(isinstance(error, tm.TorchMLError) for error in errors.values())
    assert "5 atoms are announced, the file ends after 3" in str(errors[f"{cut}@9"])
    assert "'so it goes': a number of atoms is needed" in str(errors[f"{noise}@0"])
    assert "no such file" in str(errors[str(tmp_path / "none.xyz")])
    assert "a folder" in str(errors[str(tmp_path)])
    assert "no structures in it at this index" in str(errors[str(ten)])
    assert "@1:x" in str(errors[f"{ten}@1:x"])
    assert list(found)[-1] == f"{ten}@3"


def test_a_fault_that_ase_s_reader_cannot_pass_is_the_last(tmp_path, monkeypatch):
    def from_the_beginning(path, index, **_):
        for place in range(5):
            if place == 2:
                raise ValueError("nonsense in line 3")
            if index is None or place >= index.start:
                yield molecule("CH4")

    monkeypatch.setattr(structures, "iread", from_the_beginning)
    path = tmp_path / "five.cfg"
    path.touch()
    *good, bad = read_structures([str(path)])
    assert [item.label for item in good] == [f"{path}@0", f"{path}@1"]
    assert bad.label == f"{path}@2"
    assert str(bad.structure).endswith(
        "ValueError: nonsense in line 3; ASE cannot read what follows, which is left out"
    )


def test_a_file_that_ase_reads_at_once_is_no_good_with_a_fault(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("no\nnumber\n")
    (item,) = read_structures([str(path)])
    assert item.label == f"{path}@0"
    assert "ASE cannot read it" in str(item.structure)


def test_a_fault_in_a_trajectory_is_passed(tmp_path, monkeypatch):
    path = tmp_path / "five.traj"
    write(path, [molecule("CH4")] * 5)
    get = TrajectoryReader.__getitem__

    def one_bad(self, place):
        if place == 2:
            raise OSError("checksum")
        return get(self, place)

    monkeypatch.setattr(TrajectoryReader, "__getitem__", one_bad)
    found = list(read_structures([str(path)]))
    assert [item.label for item in found] == [f"{path}@{k}" for k in range(5)]
    bad = [item.label for item in found if isinstance(item.structure, tm.InputError)]
    assert bad == [f"{path}@2"]


def test_standard_input(ten, monkeypatch):
    def piped():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ten.read_bytes())))

    piped()
    assert [item.label for item in read_structures(["-"])] == [f"-@{k}" for k in range(10)]
    piped()
    found = list(read_structures(["-@8:"]))
    assert [item.structure.info["k"] for item in found] == [8, 9]
    (item,) = read_structures(["-@-1"])
    assert "an index from the end needs a file" in str(item.structure)
    assert count_structures(["-"]) is None


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
