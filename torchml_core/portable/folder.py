"""The folder of a portable model: which of its files belong to it, and how new ones are written."""

import contextlib
import os

from torchml_core import files
from torchml_core.errors import FileAccessError, InputError, MissingFileError
from torchml_core.portable.model_json import CARD_FILE

PARAMETERS_FILE = "model.param"
DESCRIPTOR_JSON = "descriptor.json"
MEMBERS_FOLDER = "members"  # of a committee
SUFFIXES = (".param", ".pt", ".pt2", ".dat")
WHAT = "a portable model is one"  # a folder, for messages


def is_model_file(name):
    """Return whether a file of this name can belong to a portable model."""
    return name.endswith(SUFFIXES) or name in (DESCRIPTOR_JSON, CARD_FILE)


def file_with_suffix(folder, suffix):
    """Return the only file of a folder with a suffix; otherwise raise an error of ours."""
    there = files.files_in(folder, WHAT)
    return _only(folder, suffix, [file for file in there if file.suffix == suffix], there)


def descriptor_files(there):
    """Return those of a folder's files that can contain its descriptor; one of them is needed."""
    return [file for file in there if file.suffix == ".dat" or file.name == DESCRIPTOR_JSON]


def descriptor_file(folder):
    """Return the only file of a folder that can contain a descriptor."""
    there = files.files_in(folder, WHAT)
    return _only(folder, f".dat or {DESCRIPTOR_JSON}", descriptor_files(there), there)


def member_folders(folder):
    """Return the folders ``folder/members/...`` in the order of their numbers or names."""
    members = files.as_path("folder", folder) / MEMBERS_FOLDER
    try:
        found = files.folders_in(members, "members of a committee are in one")
    except MissingFileError:
        return []
    named = [path for path in found if not path.name.isdecimal()]
    return [*sorted(set(found) - set(named), key=lambda path: int(path.name)), *named]


def _only(folder, what, found, there):
    if not found:
        raise MissingFileError(lacks(folder, what, there))
    if len(found) > 1:
        names = ", ".join(f.name for f in found)
        raise InputError(f"{folder}: one {what} file is needed, there are {len(found)}: {names}")
    return found[0]


def lacks(folder, what, there):
    """The message that a folder has no file of a kind, with a hint from its other files."""
    others = [file.name for file in there if file.suffix == ".params"]
    hint = f"; {others[0]} belongs to another KIM driver (DUNN, SW, ...)" if others else ""
    return f"{folder}: no {what} file in it; a portable model needs one{hint}"


def write_new(folder, contents):
    """Write the files of a model into a folder that has none; on failure, leave nothing behind.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    contents : dict of str to bytes
        By name. The ``.param`` file is written last: without it, the others are not a model.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        The folder has files of a model, perhaps because another process has just written them.
    MissingFileError, FileAccessError
        It cannot be written to.
    """
    folder = files.as_path("folder", folder)
    with contextlib.ExitStack() as undo:
        _make(folder, undo)
        for file in files.files_in(folder, WHAT):
            if is_model_file(file.name):
                raise _in_use(folder, file)
        for name in sorted(contents, key=lambda name: name.endswith(".param")):
            _write(folder, name, contents[name], undo)
        undo.pop_all()  # it is complete
    return folder


def _make(folder, undo):
    """Make a folder, and those that it is in."""
    for place in reversed((folder, *folder.parents)):  # the outermost is removed last
        if not os.path.exists(place):
            undo.callback(_remove, place.rmdir)
    files.make_folder("folder", folder)


def _write(folder, name, content, undo):
    """Write a file that must not exist: of two processes, only one succeeds."""
    path = folder / name
    try:
        with path.open("xb") as file:
            undo.callback(_remove, path.unlink)
            file.write(content)
    except FileExistsError:
        raise _in_use(folder, path) from None
    except OSError as error:
        raise FileAccessError(f"{path}: {error.strerror or error}") from None


def _in_use(folder, file):
    return InputError(
        f"folder = {str(folder)!r}: it has {file.name}; a folder without a model is needed"
    )


def _remove(remove):
    with contextlib.suppress(OSError):  # others may have put files there, or removed it
        remove()
