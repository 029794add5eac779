"""Files of features: values of a descriptor for all structures of some files, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from torchml_core import checks, files
from torchml_core.dataset.feature_file import FeatureFile
from torchml_core.dataset.feature_layout import FeatureWriter
from torchml_core.dataset.feature_work import FeatureWork
from torchml_core.dataset.feature_workers import computed
from torchml_core.dataset.labels import Labels
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.json_file import text_of
from torchml_core.errors import FileAccessError, InputError, TorchMLError
from torchml_core.structure import as_structure
from torchml_core.structure_files.structures import STDIN, read_structures, split_source
from torchml_core.threads import check_n_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from torchml_core.annotations import PathLike

ATOMS_AT_ONCE = 4000  # whose values are computed in one call
NEW = ".new"  # ends the name of a file in which structures are still being written


def featurize(
    descriptor: Descriptor,
    structures: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    dtype: Any = "float64",
    resume: bool = False,
    skip_bad: bool = False,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    kind_key: str | None = None,
    weight_key: str | None = None,
    workers: int = 1,
    n_threads: int | None = None,
    dask: Any = None,
    complain: Callable[[str, TorchMLError], Any] | None = None,
    progress: Callable[[str, int, int | None], Any] | None = None,
) -> FeatureFile:
    """Compute the values of all structures in files and write them to an HDF5 file.

    The file has the structures and their labels too; docs/featurize.md describes its layout. It
    can be read whenever the process is killed, and ``resume`` continues with the structures whose
    values are not there.

    Parameters
    ----------
    descriptor : Descriptor
        Its species must include those of the structures.
    structures : path-like or sequence of path-like
        As for :meth:`Dataset.read`.
    output : path-like
        Overwritten, unless resume is True.
    dtype : float64 or float32
        The precision in which values are computed and stored.
    resume : bool
        Keep the values that an interrupted run has written, which must have had the same
        descriptor, dtype, keys and files. If output does not exist, begin.
    skip_bad : bool
        Leave out structures with an error, which are then in ``FeatureFile.skipped``.
    energy_key, forces_key, stress_key, kind_key, weight_key : str, optional
        As for :meth:`Dataset.read`.
    workers : int
        Number of processes. Those that are started import the main module of the program, which
        needs ``if __name__ == "__main__":`` then.
    n_threads : int, optional
        Of each process. None: 1 if there are several, else as many as are useful.
    dask : str or dask.distributed.Client, optional
        The address of a scheduler, such as ``tcp://host:8786``, whose workers compute in place of
        processes of this machine.
    complain : callable, optional
        ``complain(name, error)`` is called for each structure that is skipped.
    progress : callable, optional
        ``progress(what, done, total)`` is called now and then with numbers of structures; total is
        None where it is not known.

    Returns
    -------
    FeatureFile

    Raises
    ------
    InputError
        If an argument cannot be used, or a structure has an error (the message begins with
        ``file@index``); if resume is True and the file was made from something else.
    UnsupportedError
        If the descriptor cannot be stored, because its class is not registered.
    FileAccessError
        If the file cannot be written, such as to a full disk.
    """
    path = files.as_path("output", output)
    files.require_place("output", path)
    if path.is_dir():
        checks.refuse("output", str(path), "the path of a file, not of a folder,")
    workers = checks.whole("workers", workers, 1)
    check_n_threads(n_threads)
    labels = Labels(energy_key, forces_key, stress_key, kind_key, weight_key)
    run = _Run(descriptor, structures, path, dtype, labels)
    run.skip_bad = checks.flag("skip_bad", skip_bad)
    run.complain = complain or run.complain
    run.progress = progress or run.progress
    if checks.flag("resume", resume) and path.exists():
        run.require_same_settings()
    else:
        run.gather()
    run.compute(workers, n_threads, dask)
    return FeatureFile(path)


class _Run:
    """The two stages: structures are gathered in a file, then their values computed."""

    skip_bad = False

    def __init__(self, descriptor, sources, path, dtype, labels):
        self.complain: Callable[..., Any] = _ignore
        self.progress: Callable[..., Any] = _ignore
        if not isinstance(descriptor, Descriptor):
            checks.refuse("descriptor", descriptor, "a Descriptor")
        self.descriptor, self.path = descriptor, path
        self.dtype = checks.real_dtype("dtype", dtype)
        if not isinstance(sources, (list, tuple)):
            sources = [sources]
        self.sources = [str(files.as_path("structures", source)) for source in sources]
        self._labels, self._text = labels, text_of(descriptor)
        self._check_sources()

    @property
    def settings(self):
        """What the values are made from; a run can be resumed with the same settings alone."""
        return {
            "dtype": self.dtype.name,
            "keys": self._labels.keys,
            "structures": [_identified(source) for source in self.sources],
        }

    def require_same_settings(self):
        """Raise InputError unless the file was made with the settings of this run."""
        with FeatureFile(self.path) as file:
            if file.descriptor_text != self._text:
                self._refuse("descriptor", file.descriptor, self.descriptor)
            for name, value in self.settings.items():
                if file.settings.get(name) != value:
                    self._refuse(name, file.settings.get(name), value)

    def gather(self):
        """Write the structures to a new file, and give it its name."""
        settings = self.settings
        new = self.path.with_name(self.path.name + NEW)
        skipped = []
        with _writing(new), contextlib.closing(FeatureWriter(new)) as writer:
            for item in read_structures(self.sources):
                try:
                    example = self._example(item)
                except TorchMLError as error:
                    skipped.append(self._skipped(item.place, error))
                    continue
                writer.append(example)
                self.progress("reading", writer.n_structures, None)
            if not writer.n_structures:
                raise InputError("structures: none is left; at least one is needed")
            self._labels.require_used(())
            self._require_space(writer.n_atoms)
            labels = list(self.descriptor.labels)
            writer.finish(settings, self._text, labels, self.dtype, skipped)
            os.replace(new, self.path)

    def compute(self, workers, n_threads, dask):
        """Compute the values that are not in the file."""
        failed = []
        with contextlib.closing(FeatureWork(self.path, self.descriptor)) as work:
            missing = work.missing()
            done, total = len(work) - len(missing), len(work)
            blocks = list(work.blocks(missing, ATOMS_AT_ONCE))
            self.progress("computing", done, total)
            for (first, end), errors in computed(work, blocks, workers, n_threads, dask):
                for k, error in errors:
                    failed.append((k, self._skipped(work.names[k], error)))
                done += end - first
                self.progress("computing", done, total)
        if failed:
            self._leave_out(dict(failed))

    def _leave_out(self, failed):
        """Make the file again without some structures, which is seldom needed."""
        new = self.path.with_name(self.path.name + NEW)
        with _writing(new), FeatureFile(self.path) as file:
            kept = [k for k in range(len(file)) if k not in failed]
            if not kept:
                raise InputError("structures: none is left; at least one is needed")
            with contextlib.closing(FeatureWriter(new)) as writer:
                for k in kept:
                    writer.append(file.example(k))
                skipped = [*file.skipped, *failed.values()]
                writer.finish(file.settings, self._text, file.labels, self.dtype, skipped)
            with contextlib.closing(FeatureWork(new, self.descriptor)) as work:
                for place, k in enumerate(kept):
                    work.write(place, [file.values(k)])
            os.replace(new, self.path)

    def _example(self, item):
        if isinstance(item.structure, TorchMLError):
            raise item.structure
        example = self._labels.of(item.structure, item.label)
        structure = as_structure(example.atoms)
        if not len(structure):
            raise InputError("structure has no atoms; at least one is needed")
        species = self.descriptor.species
        for name in structure.kind_names:
            if species and name not in species:
                checks.refuse(
                    "species", name, f"one of {', '.join(species)}, those of the descriptor,"
                )
        return example

    def _skipped(self, name, error):
        """Note a structure that is left out; raise its error if none may be."""
        if not self.skip_bad:
            raise InputError(f"{name}: {error}") from None
        self.complain(name, error)
        return f"{name}: {error}"

    def _check_sources(self):
        for source in self.sources:
            if STDIN in (source, source.rpartition("@")[0]):
                raise InputError("structures = '-': a file is needed, since a run may be resumed")
            if self.path.exists() and self.path.samefile(_path_of(source)):
                raise InputError(
                    f"output = {str(self.path)!r}: this is also an input file; another name is"
                    " needed"
                )

    def _refuse(self, name, was, now):
        raise InputError(
            f"resume: {self.path} was made with {name} = {checks.shown(was)}; this run has"
            f" {checks.shown(now)}, and the same is needed"
        )

    def _require_space(self, n_atoms):
        needed = n_atoms * self.descriptor.width * self.dtype.itemsize
        free = shutil.disk_usage(self.path.absolute().parent).free
        if needed > free:
            raise FileAccessError(
                f"{self.path}: the values need {needed / 1e9:.3g} GB; {free / 1e9:.3g} GB of the"
                " disk are free"
            )


def _path_of(source):
    """The file of a source; an error of ours that names it if there is none."""
    try:
        return split_source(source)[0]
    except TorchMLError as error:
        raise type(error)(f"{source}: {error}") from None


def _identified(source):
    """Name, size and checksum of a file of structures."""
    path, found = _path_of(source), hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(2**20):
                found.update(part)
    except OSError as error:
        raise FileAccessError(f"{path}: {error.strerror or error}") from None
    size = os.stat(path).st_size
    return {"name": source, "bytes": size, "checksum": f"sha256:{found.hexdigest()}"}


@contextlib.contextmanager
def _writing(path: Path):
    """Tell errors of writing as ours, and remove a file that is not finished."""
    own = True
    try:
        yield
    except TorchMLError:
        raise
    except BlockingIOError:
        own = False
        raise FileAccessError(f"{path}: another process is writing it") from None
    except OSError as error:
        raise FileAccessError(f"{path}: {error.strerror or error}") from None
    finally:
        if own:
            path.unlink(missing_ok=True)


def _ignore(*_):
    pass
