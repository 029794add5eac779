"""Find out what a path is, and inspect it."""

from torchml_core import files
from torchml_core.cli.findings import Findings
from torchml_core.cli.inspect_file import (
    MODEL_SUFFIXES,
    look_into_descriptor,
    look_into_json,
    look_into_model,
    look_into_parameters,
    say_which_conventions_fit,
)
from torchml_core.cli.inspect_folder import look_into_folder
from torchml_core.errors import InputError


def look_into(path, *, kind=None, run=False, device=None, trust=False):
    """Return the Findings about a folder or a file.

    Raises
    ------
    MissingFileError
        If the path does not exist.
    InputError
        If it is not of a kind that can be inspected.
    """
    path, findings = files.as_path("PATH", path), Findings()
    folder = files.is_folder(path)
    if kind is not None and path.suffix != ".dat":
        raise InputError(f"--kind {kind}: {path} is not a .dat file, which is needed")
    if run and not folder:
        raise InputError(f"--run: {path} is not a portable model's folder, which is needed")
    if (device is not None or trust) and not run:
        raise InputError("--device, --trust: --run is needed; without it no model is run")
    if folder:
        look_into_folder(findings, path)
        if run and not findings.problems:
            from torchml_core.cli.trial import try_model

            try_model(findings, path, device=device, trust=trust)
    elif path.suffix == ".param":
        look_into_parameters(findings, path)
    elif path.suffix == ".dat":
        look_into_descriptor(findings, path, kind)
    elif path.suffix == ".json":
        look_into_json(findings, path)
    elif path.suffix in MODEL_SUFFIXES:
        facts = look_into_model(findings, path)
        if facts:
            say_which_conventions_fit(findings, facts)
    else:
        raise InputError(
            f"{path}: a portable model's folder, or a .param, .dat, .json, .pt or .pt2 file, is"
            " needed"
        )
    return findings
