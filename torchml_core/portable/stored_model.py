"""What the files of a portable model say, without its network being run.

``read_stored`` reads and checks the files of a folder, ``make_stored`` makes those of a new model.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import torchml_core
from torchml_core import files
from torchml_core.descriptors.files import read_descriptor
from torchml_core.errors import FileFormatError, InputError, MissingFileError
from torchml_core.portable.executors import saved_model
from torchml_core.portable.folder import (
    PARAMETERS_FILE,
    WHAT,
    descriptor_file,
    file_with_suffix,
)
from torchml_core.portable.model_json import (
    CARD_FILE,
    ModelCard,
    card_disagreements,
    card_text,
    checksum,
    checksum_faults,
    read_card,
)
from torchml_core.portable.parameters import (
    ModelParameters,
    disagreements,
    parameters_text,
    read_parameters,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torchml_core.descriptors.base import Descriptor


class StoredModel(NamedTuple):
    """The files of a model.

    Attributes
    ----------
    contents : dict of str to bytes
        Of each file by name, that of the ``.param`` file first.
    parameters : ModelParameters
    descriptor : Descriptor or None
    card : ModelCard or None
    """

    contents: dict[str, bytes]
    parameters: ModelParameters
    descriptor: Descriptor | None
    card: ModelCard | None

    @property
    def model_content(self) -> bytes:
        """Content of the network's file."""
        return self.contents[self.parameters.model_file]


# ---- of a folder


def read_stored(folder: Path) -> StoredModel:
    """Read the files of a folder; errors as :meth:`PortableModel.load`."""
    param_file = file_with_suffix(folder, ".param")
    parameters = read_parameters(param_file)
    descriptor, contents = None, {param_file.name: files.read_bytes(param_file, ".param file")}
    if parameters.convention == "descriptor":
        described = descriptor_file(folder)
        contents[described.name] = files.read_bytes(described, "descriptor's file")
        descriptor = read_descriptor(described, parameters.descriptor)
        wrong = disagreements(parameters, descriptor)
        if wrong:
            raise FileFormatError(f"{'; '.join(wrong)} ({param_file.name})", described)
    there = [file.name for file in files.files_in(folder, WHAT)]
    if parameters.model_file not in there:
        others = [name for name in there if name.endswith((".pt", ".pt2"))]
        raise MissingFileError(
            f"{param_file} names the model {parameters.model_file}, which is not there; "
            f"the folder has {', '.join(others) or 'no .pt or .pt2 file'}"
        )
    model_file = folder / parameters.model_file
    contents[model_file.name] = files.read_bytes(model_file, "model file")
    card = None
    if CARD_FILE in there:
        card = read_card(folder / CARD_FILE)
        wrong = checksum_faults(card, contents) + card_disagreements(card, parameters, descriptor)
        if wrong:
            raise FileFormatError("; ".join(wrong), folder / CARD_FILE)
        contents[CARD_FILE] = files.read_bytes(folder / CARD_FILE, CARD_FILE)
    return StoredModel(contents, parameters, descriptor, card)


def with_settings(stored: StoredModel, settings: dict[str, Any]) -> StoredModel:
    """Return the files of a model with other settings in its ``.param`` file and on its card."""
    if not settings:
        return stored
    contents, parameters = dict(stored.contents), replace(stored.parameters, **settings)
    name = next(iter(contents))
    contents[name] = parameters_text(parameters).encode()
    card = stored.card
    if card is not None:
        checksums = dict(card.checksums)
        if name in checksums:
            checksums[name] = checksum(contents[name])
        card = replace(card, dtype=parameters.dtype or card.dtype, checksums=checksums)
        contents[CARD_FILE] = card_text(card).encode()
    return StoredModel(contents, parameters, stored.descriptor, card)


# ---- of a new model


def make_stored(
    model: Any,
    parameters: ModelParameters,
    descriptor: Descriptor | None,
    card_settings: dict[str, Any],
) -> StoredModel:
    """Make the files of a new model; errors as :meth:`PortableModel.create`.

    Parameters
    ----------
    model : torch.jit.ScriptModule, torch.export.ExportedProgram or torch.nn.Module
    parameters : ModelParameters
        The name of the model's file is set here.
    descriptor : Descriptor or None
    card_settings : dict
        Of ModelCard: what the user says.
    """
    card = ModelCard(
        parameters.species, dtype=parameters.dtype, made_by=_programs(), **card_settings
    )
    wrong = card_disagreements(card, parameters, descriptor)
    if wrong:
        raise InputError("; ".join(wrong))
    described = {}
    if descriptor is not None:
        suffix, text = descriptor.stored_form()
        described = {f"descriptor{suffix}": text.encode()}
    name, content = saved_model(model)
    parameters = replace(parameters, model_file=name)
    first = {PARAMETERS_FILE: parameters_text(parameters).encode()}
    contents = {**first, **described, name: content}
    card = replace(card, checksums={file: checksum(c) for file, c in contents.items()})
    contents[CARD_FILE] = card_text(card).encode()
    return StoredModel(contents, parameters, descriptor, card)


def _programs():
    """Versions of the programs that write a model, and the date."""
    return {
        "torchml_core": torchml_core.__version__,
        "torch": str(torch.__version__),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
