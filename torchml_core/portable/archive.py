"""The zip archive of a model's file: the sizes it claims are accepted only within limits.

Nothing in it is executed or unpickled here. For an archive that is damaged, or that would unpack to
much more than its own size, a ModelError is raised before anything large is read.
"""

import contextlib
import io
import zipfile

from torchml_core.errors import ModelError, TorchMLError

# torch stores weights uncompressed and compresses code only, so a normal archive is about as large
# as its contents. An archive that unpacks to more than this is meant to exhaust the memory.
MOST_ENTRIES = 100_000
MOST_TIMES = 10  # unpacked size: this many times the file's own,
MOST_BYTES_MORE = 100_000_000  # plus this many bytes
MOST_PARSED = 50_000_000  # bytes of one entry that is code, JSON or a pickle
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # torch reads no others
AT_ONCE = 1 << 20


class Archive:
    """The entries of a zip archive by name, without the folder that torch puts them all in.

    Parameters
    ----------
    file : seekable binary file
    path : path-like
        For messages.

    Attributes
    ----------
    names : tuple of str
        In the archive's order; each is there once, also where case does not count.

    Raises
    ------
    ModelError
        If it is not a zip archive, is damaged, or claims to unpack to more than a normal one.
    """

    def __init__(self, file, path):
        self.path = path
        file.seek(0, io.SEEK_END)
        n_bytes = file.tell()
        file.seek(0)
        with self.damage():
            self._zip = zipfile.ZipFile(file)
            infos = self._zip.infolist()
        self._check_sizes(infos, n_bytes)
        folders = {info.filename.partition("/")[0] for info in infos}
        self._folder = ""
        if len(folders) == 1 and all("/" in info.filename for info in infos):
            self._folder = folders.pop() + "/"
        self._infos = {info.filename.removeprefix(self._folder): info for info in infos}
        self.names = tuple(self._infos)
        # of two equal names torch takes the first and Python the last; torch ignores case
        if len({name.lower() for name in self.names}) < len(infos):
            raise ModelError(f"{path}: a damaged archive (several entries have one name)")

    def __contains__(self, name):
        return name in self._infos

    def size(self, name):
        """Return how many bytes an entry has, as the archive says."""
        return self._infos[name].file_size

    def read(self, name):
        """Return what is in an entry, as bytes; ModelError if it is not there or damaged."""
        if name not in self._infos:
            raise ModelError(f"{self.path}: a damaged archive ({name} is not in it)")
        info = self._infos[name]
        with self.damage(name):
            content = self._zip.read(info)
        if len(content) != info.file_size:
            raise ModelError(f"{self.path}: a damaged archive ({name} ends early)")
        return content

    def text(self, name):
        """Return an entry as text; ModelError if it is not text, or is too large."""
        with self.damage(name):
            return self.parsed(name).decode()

    def parsed(self, name):
        """Return the bytes of an entry that will be parsed; ModelError if it is too large."""
        if name in self and self.size(name) > MOST_PARSED:
            raise ModelError(
                f"{self.path}: {name} has {self.size(name)} bytes; at most {MOST_PARSED} are taken"
            )
        return self.read(name)

    def check(self):
        """Raise ModelError if the content of an entry is not what its checksum says."""
        for name, info in self._infos.items():
            with self.damage(name), self._zip.open(info) as entry:
                left = info.file_size
                while part := entry.read(AT_ONCE):
                    left -= len(part)
            if left:
                raise ModelError(f"{self.path}: a damaged archive ({name} ends early)")

    def rewritten(self, wanted, changes=None):
        """Return the bytes of a plain archive of some of the entries, each checked and stored.

        So torch reads exactly what was checked here: two readers may read an archive that was made
        to mislead them differently.

        Parameters
        ----------
        wanted : callable
            Whether a name is taken.
        changes : dict, optional
            Bytes in place of those of an entry.
        """
        changes, buffer = changes or {}, io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as plain:
            for name in self.names:
                if wanted(name):
                    content = changes.get(name)
                    # the date of a ZipInfo of its own is always the same
                    entry = zipfile.ZipInfo(self._folder + name)
                    plain.writestr(entry, self.read(name) if content is None else content)
        return buffer.getvalue()

    @contextlib.contextmanager
    def damage(self, name=None):
        """Turn any exception raised inside into a ModelError: readers raise exceptions of any type.

        Parameters
        ----------
        name : str, optional
            The entry that is read, for the message.
        """
        try:
            yield
        except (TorchMLError, NameError):  # a name that is not there is a fault of ours
            raise
        except Exception as error:
            where = "" if name is None else f"{name}: "
            why = str(error) or type(error).__name__
            raise ModelError(f"{self.path}: a damaged archive ({where}{why})") from error

    def _check_sizes(self, infos, n_bytes):
        n_unpacked, most = sum(i.file_size for i in infos), MOST_TIMES * n_bytes + MOST_BYTES_MORE
        if n_unpacked > most:
            raise ModelError(
                f"{self.path}: a file of {n_bytes} bytes that says it unpacks to {n_unpacked}; "
                f"an archive of at most {most} unpacked bytes is needed"
            )
        if len(infos) > MOST_ENTRIES:
            raise ModelError(
                f"{self.path}: {len(infos)} entries; an archive of at most {MOST_ENTRIES} is needed"
            )
        for info in infos:
            stored = info.compress_type == zipfile.ZIP_STORED
            if info.compress_type not in METHODS or info.flag_bits & 1:
                raise ModelError(
                    f"{self.path}: {info.filename} is encrypted, or packed in a way that torch "
                    "does not read"
                )
            if stored and info.file_size != info.compress_size:
                raise ModelError(f"{self.path}: a damaged archive (sizes of {info.filename})")
