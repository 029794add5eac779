"""Tarballs of models: what is unpacked, and what is refused before it does any harm."""

import contextlib
import io
import random
import tarfile

import pytest

import torchml_core as tm
from torchml_core.kim import tarball

FILES = {"m/m.param": b"1\n", "m/m.pt": b"x" * 5000, "m/d.dat": b"2\n", "m/CMakeLists.txt": b"3\n"}
FILES |= {"m/descriptor.json": b"4\n", "m/model.json": b"5\n", "m/errors.json": b"6\n"}


def member(name, content=b"", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


@pytest.fixture
def pack(tmp_path):
    """A tarball of members, and the folder to unpack it to."""

    def pack(members, mode="w:gz", name="archive-1.tar.gz"):
        path, folder = tmp_path / name, tmp_path / "unpacked"
        folder.mkdir(exist_ok=True)
        with tarfile.open(path, mode) as tar:
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        return path, folder

    return pack


def of_files(contents):
    return [member("m", type=tarfile.DIRTYPE), *(member(*item) for item in contents.items())]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_what_is_unpacked(pack, mode):
    path, folder = pack(of_files(FILES), mode)
    assert tarball.unpack(path, folder) == "m"
    unpacked = {file.name: file.read_bytes() for file in folder.iterdir()}
    ours = ("m.param", "m.pt", "d.dat", "descriptor.json", "model.json")
    assert unpacked == {name: FILES[f"m/{name}"] for name in ours}


def test_files_without_a_folder(pack):
    path, folder = pack([member("./m.param", b"1"), member("._m.pt", b"of a Mac"), member("m.pt")])
    assert tarball.unpack(path, folder) == "archive-1"
    assert sorted(file.name for file in folder.iterdir()) == ["m.param", "m.pt"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../m.pt", b"x")], r"'\.\./m\.pt': a path inside of the tarball"),
        ([member("m/../../m.txt", b"x")], "a path inside"),
        ([member("/tmp/m.pt", b"x")], "'/tmp/m.pt': a path inside"),
        (
            [member("m/m.pt", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
            "a regular file, not a link",
        ),
        (
            [member("m/m.pt", type=tarfile.LNKTYPE, linkname="m/m.param")],
            "a regular file, not a link",
        ),
        ([member("m/m.pt", type=tarfile.FIFOTYPE)], "a regular file, not a link"),
        ([member("a/m.pt", b"x"), member("b/m.param", b"x")], "a single model"),
        ([member("m/m.pt", b"x"), member("m/m.pt", b"y")], "each file once"),
        ([member(f"{k}.txt") for k in range(10_001)], "unpack it yourself"),
    ],
)
def test_what_is_refused(pack, tmp_path, members, message):
    path, folder = pack(members)
    with pytest.raises(tm.FileFormatError, match=message):
        tarball.unpack(path, folder)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["archive-1.tar.gz", "unpacked"]


def test_bombs(pack, monkeypatch):
    """Refused by what comes out, whatever the headers say, and also where nobody wants it."""
    monkeypatch.setattr(tarball, "LARGEST", 10**6)
    for name in ("m/m.pt", "m/other.txt"):
        path, folder = pack([member(name, bytes(2 * 10**6))])
        assert path.stat().st_size < 10**4
        with pytest.raises(tm.FileFormatError, match="it unpacks to more than"):
            tarball.unpack(path, folder)


def test_no_model(pack, tmp_path):
    with pytest.raises(tm.MissingFileError, match="it contains no portable model"):
        tarball.unpack(*pack([member("m/readme.txt", b"x")]))
    with pytest.raises(tm.MissingFileError, match="there is no such file"):
        tarball.unpack(tmp_path / "none", tmp_path)
    (tmp_path / "text").write_text("no tarball at all\n" * 100)
    with pytest.raises(tm.FileFormatError, match="text: a tarball that is not damaged is needed"):
        tarball.unpack(tmp_path / "text", tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_damaged(pack, mode):
    path, folder = pack(of_files(FILES), mode)
    whole, rng = path.read_bytes(), random.Random(1)
    for _ in range(150):
        damaged = bytearray(whole[: rng.choice([len(whole), rng.randrange(len(whole))])])
        for _ in range(rng.randrange(4) if damaged else 0):
            damaged[rng.randrange(min(len(damaged), 3000))] = rng.randrange(256)
        path.write_bytes(damaged)
        for file in folder.iterdir():
            file.unlink()
        with contextlib.suppress(tm.TorchMLError):
            tarball.unpack(path, folder)
