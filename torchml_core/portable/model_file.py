"""A model's file: its kind, facts about it, and the part of it that torch may read."""

import io

from torchml_core import files
from torchml_core.errors import ModelError
from torchml_core.portable.archive import Archive
from torchml_core.portable.exported_file import NEW, OLD, ExportedFile
from torchml_core.portable.torchscript_file import TorchScriptFile

HOW_TO_SAVE_PT = "torch.jit.save(torch.jit.script(model), 'model.pt') writes the right file"
HOW_TO_SAVE_PT2 = "torch.export.save(torch.export.export(model, ...), 'model.pt2') writes it"


def model_facts(path):
    """Return the ModelFacts of a ``.pt`` or ``.pt2`` file, without running anything of it.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    MissingFileError, FileAccessError
        If it is not there, or cannot be read.
    ModelError
        If it is not what its name says, or is damaged: the checksum of each part is verified.
    """
    path = files.as_path("path", path)
    return _look_into(files.read_bytes(path, "model file"), path).facts()


def content_to_load(content, path, *, trust=False):
    """Return the bytes of a model's file that torch may read.

    Parameters
    ----------
    content : bytes
        Of the file.
    path : pathlib.Path
        Its name; its suffix gives the kind, and messages show it.
    trust : bool
        Whether it may do what a program may.

    Raises
    ------
    ModelError
        If it is not what its name says, damaged, or would have to be trusted and is not.
    """
    return _look_into(content, path).content_to_load(trust)


def _look_into(content, path):
    """The TorchScriptFile or ExportedFile of bytes; ModelError if the suffix does not match."""
    exported = path.suffix == ".pt2"
    if content.startswith(b"PK"):
        archive = Archive(io.BytesIO(content), path)
        archive.check()
        if "constants.pkl" in archive:
            if exported:
                raise ModelError(f"{path}: a TorchScript model; its name must end in .pt")
            return TorchScriptFile(archive)
        if NEW.program in archive or OLD.program in archive:
            if not exported:
                raise ModelError(f"{path}: written by torch.export.save; its name must end in .pt2")
            return ExportedFile(archive)
        what = "a file of torch.save" if "data.pkl" in archive else "some other zip archive"
    else:
        kinds = {b"": "an empty file", b"\x80\x02": "a Python pickle"}
        what = kinds.get(content[:2], "no zip archive")
    if exported:
        raise ModelError(
            f"{path}: not a program that torch.export saved but {what}; {HOW_TO_SAVE_PT2}"
        )
    raise ModelError(f"{path}: not a TorchScript model but {what}; {HOW_TO_SAVE_PT}")
