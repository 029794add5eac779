"""Files of features: contents, resumed runs, damaged files, batches of stored values."""

import contextlib
import json
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from hypothesis import given
from hypothesis import strategies as st
from quick import examples
from training_sets import labeled_oxides

import torchml_core as tm
from torchml_core.dataset import Dataset, FeatureFile, feature_work, feature_workers, featurize
from torchml_core.dataset import feature_run as module
from torchml_core.dataset.feature_layout import FeatureWriter

CUTOFF = 3.0


def descriptor(eta=0.5):
    return tm.SymmetryFunctions(["O", "Si"], CUTOFF, [("g2", [[eta, 0.0]]), ("g4", [[1, 1, 0.1]])])


def structures():
    made = labeled_oxides(5)
    for k, atoms in enumerate(made):
        atoms.info |= {"config_type": f"kind{k % 2}", "importance": 0.5 * k}
    return made


@pytest.fixture
def source(tmp_path):
    write(tmp_path / "data.extxyz", structures())
    return tmp_path / "data.extxyz"


def same_files(one, other):
    assert one.read_bytes() == other.read_bytes(), "the files differ"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_file_has_values_structures_and_labels(source, tmp_path, dtype):
    d, data = descriptor(), Dataset.read(source, weight_key="importance")
    f = featurize(d, source, tmp_path / "f.h5", dtype=dtype, weight_key="importance")
    assert repr(f) == f"<FeatureFile: 7 structures, 45 atoms of O Si, 2 values in {dtype}>"
    assert (len(f), f.complete, f.descriptor, f.skipped) == (7, True, d, [])
    assert (f.labels, f.species, f.dtype) == (d.labels, ("O", "Si"), dtype)
    for k, example in enumerate(data):
        c = tm.Configuration.from_atoms(example.atoms, CUTOFF, d.species)
        np.testing.assert_array_equal(f.values(k), d.compute(c, dtype=dtype))
        found = f.example(k)
        assert found.label == f.names[k] == f"{source}@{k}"
        assert found.atoms == example.atoms
        for name in ("kind", "energy", "forces", "stress", "weight"):
            np.testing.assert_array_equal(getattr(found, name), getattr(example, name))
    rows = np.concatenate([f.values(k) for k in (2, 3)])
    np.testing.assert_array_equal(f.values(slice(2, 4)), rows)
    assert f.values(slice(4, 2)).shape == (0, 2)
    np.testing.assert_array_equal(f.values(-1), f.values(6))
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(again.values(1), f.values(1))
    for bad in (7, slice(0, 4, 2), "all", 1.5):
        with pytest.raises(tm.InputError, match="which = "):
            f.values(bad)


def test_batches_of_stored_values_are_those_of_computed_ones(source, tmp_path):
    d, data = descriptor(), Dataset.read(source)
    f = featurize(d, source, tmp_path / "f.h5")
    some = data.select([5, 0, 3])
    stored = [some.batches(d, 2, features=tmp_path / "f.h5"), f.dataset().batches(d, 2)]
    stored.append(data.with_features(f).select([5, 0, 3]).batches(d, 2))
    for batches, own in zip(stored, (some, data, some), strict=True):
        for one, other in zip(batches, own.batches(d, 2), strict=True):
            for name in ("descriptor", "forces", "energy", "has_stress", "species", "weight"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(batches.values()[0], own.batches(d, 2).values()[0])
    (single,) = some.batches(d, 3, features=f, dtype="float32")
    assert single.descriptor.numpy().dtype == np.float32


def test_features_of_something_else(source, tmp_path):
    d, data = descriptor(), Dataset.read(source)
    featurize(d, f"{source}@:3", tmp_path / "f.h5", dtype="float32")
    other = Dataset.from_atoms([bulk("Si", a=5.5)])
    for own, used, dtype, message in (
        (data, d, "float32", f"f.h5 has no structure with the atoms of {source}@3"),
        (other, d, "float32", r"no structure with the atoms of structures\[0\]"),
        (data.select([1]), descriptor(1.0), "float32", "has values of <?Symm.*those of"),
        (data.select([1]), d, "float64", "has values in float32; float64 is needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            own.batches(used, 2, dtype=dtype, features=tmp_path / "f.h5")
    with pytest.raises(tm.InputError, match="no structure with the atoms of"):
        data.with_features(tmp_path / "f.h5")
    with pytest.raises(tm.InputError, match="features = 3: a path"):
        data.batches(d, 2, features=3)


def stop_after(monkeypatch, n_writes):
    """Let writes to values and checksums end in the middle of one, as a kill does."""
    left = [n_writes]
    pwrite = os.pwrite

    def stopping(fd, data, place):
        left[0] -= 1
        if left[0] < 0:
            pwrite(fd, bytes(data[: len(data) // 2]), place)
            raise KeyboardInterrupt
        return pwrite(fd, data, place)

    monkeypatch.setattr(os, "pwrite", stopping)


@given(st.lists(st.integers(0, 14), max_size=4), st.integers(1, 40))
@examples(20)
def test_any_interruptions_and_blocks_give_the_same_file(whole, stops, atoms_at_once):
    folder, source = whole
    path = folder / "parts.h5"
    path.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ATOMS_AT_ONCE", atoms_at_once)
        for n_writes in stops:
            with patch.context() as stopping, contextlib.suppress(KeyboardInterrupt):
                stop_after(stopping, n_writes)
                featurize(descriptor(), source, path, resume=True)
            FeatureFile(path).array("values")  # it can always be read
        featurize(descriptor(), source, path, resume=True)
    same_files(path, folder / "whole.h5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    write(folder / "data.extxyz", structures())
    featurize(descriptor(), folder / "data.extxyz", folder / "whole.h5")
    return folder, folder / "data.extxyz"


def test_values_that_were_damaged_are_computed_again(whole, tmp_path):
    folder, source = whole
    path = shutil.copy(folder / "whole.h5", tmp_path / "f.h5")
    with h5py.File(path, "r+") as file:
        file["values"][4] = 0.0
    with pytest.raises(tm.FileFormatError, match=r"values of structure 1 \(.*@1\) are damaged"):
        FeatureFile(path).values(slice(0, 3))
    featurize(descriptor(), source, path, resume=True)
    same_files(path, folder / "whole.h5")
    with h5py.File(path, "r+") as file:
        file["checksums"][2] = 0
    f = FeatureFile(path)
    assert not f.complete
    with pytest.raises(tm.InputError, match="the values of structure 2 are not there yet"):
        f.values(2)
    with pytest.raises(tm.InputError, match="lacks the values of 1 structures"):
        f.dataset().batches(descriptor(), 2)


def test_resuming_with_other_settings(whole, tmp_path):
    folder, source = whole
    path = shutil.copy(folder / "whole.h5", tmp_path / "f.h5")
    other = shutil.copy(source, tmp_path / "other.extxyz")
    before = path.read_bytes()
    for arguments, message in (
        ((descriptor(1.0), source), "was made with descriptor = "),
        ((descriptor(), [source, source]), "was made with structures = "),
        ((descriptor(), other), "was made with structures = "),
    ):
        with pytest.raises(tm.InputError, match=f"resume: {path} {message}"):
            featurize(*arguments, path, resume=True)
    for keywords, message in (
        ({"dtype": "float32"}, "was made with dtype = 'float64'; this run has 'float32'"),
        ({"kind_key": "importance"}, "was made with keys = "),
    ):
        with pytest.raises(tm.InputError, match=message):
            featurize(descriptor(), source, path, resume=True, **keywords)
    assert path.read_bytes() == before
    with source.open("a") as file:  # the same name, other content
        file.write("1\n\nSi 0 0 0\n")
    try:
        with pytest.raises(tm.InputError, match="was made with structures = "):
            featurize(descriptor(), source, path, resume=True)
    finally:
        write(source, structures())


def test_bad_structures_are_errors_or_left_out(tmp_path):
    source, path = tmp_path / "data.extxyz", tmp_path / "f.h5"
    near = bulk("Si")
    near.positions[1] = near.positions[0]  # only the kernel finds this
    write(source, [structures()[0], near, bulk("C"), structures()[2]])
    with source.open("a") as file:
        file.write("2\n\nSi 0 0 0\n")
    d = descriptor()
    with pytest.raises(tm.InputError, match=rf"{source}@2.*: species = 'C': one of O, Si"):
        featurize(d, source, path)
    assert not list(tmp_path.glob("f.h5*"))
    with pytest.raises(tm.InputError, match=rf"{source}@1: positions: particles 0 and 1 are both"):
        featurize(d, f"{source}@:2", path)
    said = []
    f = featurize(d, source, path, skip_bad=True, complain=lambda *words: said.append(words[0]))
    assert f.names == [f"{source}@0", f"{source}@3"]
    assert f.complete
    assert [text.split("@")[1][0] for text in f.skipped] == ["2", "4", "1"]
    assert len(said) == 3
    good = featurize(d, [f"{source}@0", f"{source}@3"], tmp_path / "good.h5")
    np.testing.assert_array_equal(f.values(slice(None)), good.values(slice(None)))
    before = path.read_bytes()
    featurize(d, source, path, skip_bad=True, resume=True)
    assert path.read_bytes() == before
    with pytest.raises(tm.InputError, match="structures: none is left"):
        featurize(d, f"{source}@1", tmp_path / "none.h5", skip_bad=True)
    assert sorted(p.name for p in tmp_path.glob("*.h5*")) == ["f.h5", "good.h5", "none.h5"]


def test_arguments(source, tmp_path):
    d, path = descriptor(), tmp_path / "f.h5"
    for arguments, keywords, message in (
        ((3, source, path), {}, "descriptor = 3: a Descriptor is needed"),
        ((d, source, path), {"dtype": "int8"}, "dtype = 'int8'"),
        ((d, source, path), {"workers": 0}, "workers = 0"),
        ((d, source, path), {"n_threads": 0}, "n_threads = 0"),
        ((d, source, path), {"energy_key": "nothing"}, "energy_key = 'nothing': no structure has"),
        ((d, "-", path), {}, "structures = '-': a file is needed"),
        ((d, [], path), {}, "structures: none"),
        ((d, source, tmp_path), {}, "output = .*: the path of a file, not of a folder, is needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            featurize(*arguments, **keywords)
    with pytest.raises(tm.MissingFileError, match="nothing.xyz: no such file"):
        featurize(d, tmp_path / "nothing.xyz", path)
    with pytest.raises(tm.MissingFileError, match="the folder to write it to does not exist"):
        featurize(d, source, tmp_path / "no" / "f.h5")
    before = source.read_bytes()
    with pytest.raises(tm.InputError, match="this is also an input file"):
        featurize(d, f"{source}@0", source)
    assert source.read_bytes() == before
    assert not list(tmp_path.glob("f.h5*"))


def test_files_of_other_kinds(whole, tmp_path):
    path = tmp_path / "f.h5"
    good = (whole[0] / "whole.h5").read_bytes()
    for content, message in (
        (b"", "cannot be opened as an HDF5 file"),
        (b"text", "cannot be opened as an HDF5 file"),
        (good[: len(good) // 2], "cannot be opened as an HDF5 file"),
        (good[:-1], "cannot be opened as an HDF5 file"),
    ):
        path.write_bytes(content)
        with pytest.raises(tm.FileFormatError, match=f"^{path}: {message}"):
            FeatureFile(path)
    with h5py.File(path, "w") as file:
        file["values"] = np.ones((2, 2))
    with pytest.raises(tm.FileFormatError, match="format = None: 'torchml_core features'"):
        FeatureFile(path)
    with pytest.raises(tm.MissingFileError, match="no such file; a file of features is needed"):
        FeatureFile(tmp_path / "nothing.h5")
    with pytest.raises(tm.MissingFileError, match="a folder"):
        FeatureFile(tmp_path)
    for name, change in (
        ("offsets", lambda f: f["offsets"].__setitem__(1, 100)),
        ("settings", lambda f: f["settings"].__setitem__(0, b"{}")),
        ("values is of shape", lambda f: replace(f, "values", np.ones((45, 3)))),
        ("positions is of shape", lambda f: replace(f, "positions", np.ones((45, 3), "f4"))),
        ("damaged .KeyError", lambda f: f.__delitem__("names")),
        ("version = 2: 1, the only version", lambda f: f.attrs.__setitem__("version", 2)),
    ):
        path.write_bytes(good)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(tm.FileFormatError, match=name):
            FeatureFile(path)
    path.write_bytes(good)
    with h5py.File(path, "r+") as file:
        file["forces"][0] = 7.0
    with pytest.raises(tm.FileFormatError, match=r"structure 0 \(.*@0\) is damaged"):
        FeatureFile(path).example(0)


def replace(file, name, array):
    del file[name]
    file[name] = array


@pytest.mark.slow
@given(st.data())
@examples(300)
def test_damaged_files_give_our_errors_or_the_right_values(whole, data):
    good = whole[0] / "whole.h5"
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = good.with_name("damaged.h5")
    path.write_bytes(content)
    right = FeatureFile(good)
    with contextlib.suppress(tm.TorchMLError):
        f = FeatureFile(path)
        for k in range(len(f)):
            with contextlib.suppress(tm.TorchMLError):
                np.testing.assert_array_equal(f.values(k), right.values(k))
            with contextlib.suppress(tm.TorchMLError):
                assert f.example(k).atoms == right.example(k).atoms
                assert f.example(k).energy == right.example(k).energy


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX's")
def test_a_disk_that_is_full(whole, tmp_path, monkeypatch):
    import resource

    folder, source = whole
    path = tmp_path / "f.h5"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "whole.h5").stat().st_size
    try:
        for most in (1000, size // 2, size - 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
            with pytest.raises(tm.FileAccessError, match=r"f.h5.*: File too large"):
                featurize(descriptor(), source, path)
            assert not list(tmp_path.glob("f.h5*"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 100))
    with pytest.raises(tm.FileAccessError, match="the values need 7.2e-07 GB; 1e-07 GB"):
        featurize(descriptor(), source, path)
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(tm.FileAccessError, match="f.h5: No space left on device; what is in"):
            featurize(descriptor(), source, path)
    featurize(descriptor(), source, path, resume=True)
    same_files(path, folder / "whole.h5")


def test_the_layout_can_be_read_without_this_library(whole):
    with h5py.File(whole[0] / "whole.h5") as file:
        k = 2
        own = slice(*file["offsets"][k : k + 2])
        assert file["values"][own].shape == (8, 2)
        assert file["names"].asstr()[k].endswith("@2")
        assert file["energies"][k] == -4.0
        assert np.isnan(file["energies"][1])
        assert file["values"].chunks[1] == 2
        assert json.loads(file["settings"].asstr()[0])["dtype"] == "float64"


def test_two_runs_at_once(whole, tmp_path):
    source, path = whole[1], tmp_path / "f.h5"
    with contextlib.closing(FeatureWriter(tmp_path / "f.h5.new")):
        with pytest.raises(tm.FileAccessError, match="f.h5.new: another process is writing it"):
            featurize(descriptor(), source, path)
        assert (tmp_path / "f.h5.new").exists()
    featurize(descriptor(), source, path)  # what a killed run has left is overwritten
    same_files(path, whole[0] / "whole.h5")


def test_workers_that_are_lost(whole, tmp_path, monkeypatch):
    """Their errors are told, and what was computed before is kept."""
    from concurrent.futures import Future
    from concurrent.futures.process import BrokenProcessPool

    class Pool:
        def __init__(self, *_, **__):
            self.n = 0

        def submit(self, function, *arguments):
            self.n += 1
            future = Future()
            if self.n == 3:
                future.set_exception(BrokenProcessPool("killed"))
            else:
                future.set_result(work.compute(*arguments))
            return future

        def shutdown(self, **_):
            pass

    path = tmp_path / "f.h5"
    monkeypatch.setattr(module, "ATOMS_AT_ONCE", 8)
    monkeypatch.setattr(feature_workers, "ProcessPoolExecutor", Pool)
    shutil.copy(whole[0] / "whole.h5", path)
    with h5py.File(path, "r+") as file:
        file["checksums"][...] = 0
    with (
        contextlib.closing(feature_work.FeatureWork(path, descriptor())) as work,
        pytest.raises(tm.ModelError, match="a worker process has ended early, perhaps for"),
    ):
        featurize(descriptor(), whole[1], path, workers=2, resume=True)
    assert 0 < np.count_nonzero(FeatureFile(path).array("checksums")) < 7
    failed = Future()
    failed.set_exception(ModuleNotFoundError("no module named torchml_core"))
    with pytest.raises(tm.ModelError, match="dask: a worker failed .ModuleNotFoundError: no mod"):
        feature_workers._result(failed)


def test_trainers_use_stored_values(whole, tmp_path, monkeypatch):
    d = descriptor()
    data = FeatureFile(whole[0] / "whole.h5").dataset()
    monkeypatch.setattr(tm.SymmetryFunctions, "compute", None)
    trainer = tm.training.Trainer(d, tm.nn.ElementNetworks(d, hidden=(2,)))
    assert set(trainer.errors(data)) == {"energy", "forces", "stress"}
    other = descriptor(1.0)
    trainer = tm.training.Trainer(other, tm.nn.ElementNetworks(other, hidden=(2,)))
    with pytest.raises(tm.InputError, match="features: .* has values of"):
        trainer.errors(data)


def test_work_in_turns_is_bounded():
    """No more blocks are under way than were asked for, and each comes once."""
    from concurrent.futures import Future

    running = []

    def submit(block):
        future = Future()
        running.append(block)
        assert len(running) <= 3
        future.set_result(block + 1)
        return future

    found = []
    for block, result in feature_workers._in_turns(submit, range(10), 3):
        running.remove(block)
        found.append((block, result))
    assert sorted(found) == [(k, k + 1) for k in range(10)]


@pytest.mark.slow
def test_processes_and_workers_of_dask(whole, tmp_path, monkeypatch):
    from distributed import Client, LocalCluster

    folder, source = whole
    monkeypatch.setattr(module, "ATOMS_AT_ONCE", 8)
    featurize(descriptor(), source, tmp_path / "f.h5", workers=2)
    same_files(tmp_path / "f.h5", folder / "whole.h5")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for dask in (client, cluster.scheduler_address):
            featurize(descriptor(), source, tmp_path / "g.h5", dask=dask)
            same_files(tmp_path / "g.h5", folder / "whole.h5")
    with pytest.raises(tm.InputError, match="dask = 'nowhere': the address of a scheduler"):
        featurize(descriptor(), source, tmp_path / "g.h5", dask="nowhere")


def test_blocks(whole):
    with contextlib.closing(feature_work.FeatureWork(whole[0] / "whole.h5", descriptor())) as work:
        assert not len(work.missing())
        every = np.arange(7)  # of 3, 2, 8, 8, 8, 8, 8 atoms
        assert list(work.blocks(every, 10)) == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
        assert list(work.blocks(every, 1000)) == [(0, 7)]
        assert list(work.blocks(every[[0, 2, 3, 6]], 1000)) == [(0, 1), (2, 4), (6, 7)]
        assert list(work.blocks(every[:0], 1000)) == []
