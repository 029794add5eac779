"""Archives that are damaged, or that say they are much more than they are."""

import io
import zipfile

import pytest

import torchml_core as tm
from torchml_core.portable.archive import MOST_PARSED, Archive


def packed(entries, method=zipfile.ZIP_STORED):
    """The bytes of an archive with such entries, in order; names may be there twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def opened(content):
    return Archive(io.BytesIO(content), "model.pt")


def test_names_and_contents():
    archive = opened(packed([("m/data.pkl", b"one"), ("m/code/a.py", "zwei ü")]))
    assert archive.names == ("data.pkl", "code/a.py")
    assert "data.pkl" in archive
    assert "m/data.pkl" not in archive
    assert archive.read("data.pkl") == b"one"
    assert archive.text("code/a.py") == "zwei ü"
    assert archive.size("data.pkl") == 3
    archive.check()
    assert opened(packed([("a", b""), ("b/c", b"")])).names == ("a", "b/c")  # no folder of all
    with pytest.raises(tm.ModelError, match=r"model\.pt: a damaged archive \(none is not in it\)"):
        archive.read("none")


def test_rewritten():
    entries = [("m/a", b"1" * 1000), ("m/b", b"2"), ("m/c", b"3")]
    archive = opened(packed(entries, zipfile.ZIP_DEFLATED))
    content = archive.rewritten(lambda name: name != "b", {"c": b"new"})
    with zipfile.ZipFile(io.BytesIO(content)) as plain:
        assert [(i.filename, plain.read(i)) for i in plain.infolist()] == [
            ("m/a", b"1" * 1000),
            ("m/c", b"new"),
        ]
        assert {i.compress_type for i in plain.infolist()} == {zipfile.ZIP_STORED}
    assert content == archive.rewritten(lambda name: name != "b", {"c": b"new"})


def test_every_bit_of_an_entry_counts():
    content = bytes(range(256))
    good = packed([("m/data/0", content)])
    start = good.index(content)
    for place in (0, 100, 255):
        bad = bytearray(good)
        bad[start + place] ^= 4
        archive = opened(bytes(bad))
        for look in (archive.check, lambda a=archive: a.read("data/0")):
            with pytest.raises(tm.ModelError, match=r"a damaged archive \(data/0: Bad CRC"):
                look()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_cut_anywhere(method):
    good = packed([("m/a", b"some content " * 20), ("m/b", b"more")], method)
    for n in range(len(good)):
        with pytest.raises(tm.ModelError, match="a damaged archive"):
            opened(good[:n])


def test_what_is_not_a_text():
    archive = opened(packed([("m/a", b"\xff\xfe\xfd")]))
    with pytest.raises(tm.ModelError, match=r"a damaged archive \(a: "):
        archive.text("a")


def test_two_entries_of_one_name():
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = packed([("m/data.pkl", b"good"), ("m/data.pkl", b"bad")])
    for content in (twice, packed([("m/data.pkl", b"good"), ("m/Data.pkl", b"bad")])):
        with pytest.raises(tm.ModelError, match="several entries have one name"):
            opened(content)


def claiming(sizes, method=zipfile.ZIP_DEFLATED):
    """An archive whose entries claim to unpack to these sizes; nothing of that size is made."""
    content = packed([(f"m/{k}", b"x" * 100) for k in range(len(sizes))], method)
    place = 0
    for size in sizes:
        place = content.index(b"PK\1\2", place + 1)  # of the central directory
        content = content[: place + 24] + size.to_bytes(4, "little") + content[place + 28 :]
    return content


def test_bombs_are_refused_by_what_they_say():
    for sizes in ([4 * 10**9], [3 * 10**9] * 4, [10**5] * 2000):
        content = claiming(sizes)
        with pytest.raises(
            tm.ModelError,
            match=rf"a file of {len(content)} bytes that says it unpacks to {sum(sizes)}; an arch",
        ):
            opened(content)
    # less than they unpack to, or more
    for size, message in ((50, "0: Bad CRC"), (200, "0 ends early")):
        archive = opened(claiming([size]))
        with pytest.raises(tm.ModelError, match=rf"a damaged archive \({message}"):
            archive.read("0")
        with pytest.raises(tm.ModelError, match=rf"a damaged archive \({message}"):
            archive.check()
        with pytest.raises(tm.ModelError, match=r"a damaged archive \(sizes of m/0\)"):
            opened(claiming([size], zipfile.ZIP_STORED))


def test_too_many_entries(monkeypatch):
    monkeypatch.setattr("torchml_core.portable.archive.MOST_ENTRIES", 3)
    opened(packed([(f"m/{k}", b"") for k in range(3)]))
    with pytest.raises(tm.ModelError, match="4 entries; an archive of at most 3 is needed"):
        opened(packed([(f"m/{k}", b"") for k in range(4)]))


def test_code_that_is_too_large_is_not_read():
    archive = opened(claiming([MOST_PARSED + 1]))
    with pytest.raises(tm.ModelError, match=f"0 has {MOST_PARSED + 1} bytes; at most"):
        archive.text("0")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods(method):
    with pytest.raises(tm.ModelError, match="packed in a way that torch does not read"):
        opened(packed([("m/a", b"x" * 100)], method))


def test_encrypted():
    content = bytearray(packed([("m/a", b"x" * 100)]))
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(tm.ModelError, match="m/a is encrypted"):
        opened(bytes(content))
