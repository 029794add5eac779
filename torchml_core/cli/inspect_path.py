"""What a path is, and who looks into it."""

from pathlib import Path

from torchml_core.cli.findings import Findings
from torchml_core.cli.inspect_file import (
    MODEL_SUFFIXES,
    look_into_descriptor,
    look_into_model,
    look_into_parameters,
    say_which_conventions_fit,
)
from torchml_core.cli.inspect_folder import look_into_folder
from torchml_core.errors import InputError, MissingFileError


def look_into(path, *, kind=None, device=None):
    """Return the Findings about a folder or a file.

    Raises
    ------
    MissingFileError
        If there is nothing of that name.
    InputError
        If it is none of the kinds that can be looked into.
    """
    path, findings = Path(path), Findings()
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder")
    if kind is not None and path.suffix != ".dat":
        raise InputError(f"--kind {kind}: for a .dat file, which {path} is not")
    if path.is_dir():
        look_into_folder(findings, path, device)
    elif path.suffix == ".param":
        look_into_parameters(findings, path)
    elif path.suffix == ".dat":
        look_into_descriptor(findings, path, kind)
    elif path.suffix in MODEL_SUFFIXES:
        facts = look_into_model(findings, path, device)
        if facts:
            say_which_conventions_fit(findings, facts)
    else:
        raise InputError(
            f"{path}: a portable model's folder, or a .param, .dat, .pt or .pt2 file, is needed"
        )
    return findings
