"""The portable model of a network or a linear model that was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core.nn.portable_form import OfOneElement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import torch

    from torchml_core.annotations import PathLike
    from torchml_core.descriptors.base import Descriptor
    from torchml_core.portable.model import PortableModel


def save_model(
    folder: PathLike,
    module: torch.nn.Module,
    descriptor: Descriptor,
    species: Sequence[str],
    training_range: Any,
    reference_energies: Mapping[str, float],
    **arguments: Any,
) -> PortableModel:
    """Write the portable model of a module ``forward(descriptor, species)``.

    With one element its ``forward`` takes the descriptor alone, as the original driver calls it.

    Parameters
    ----------
    folder, descriptor, species, training_range, reference_energies, **arguments
        See :meth:`PortableModel.create`. Reference energies that are all 0 are not written.
    module : torch.nn.Module
    """
    from torchml_core.portable.model import PortableModel

    return PortableModel.create(
        folder,
        model=OfOneElement(module) if len(species) == 1 else module,
        species=species,
        descriptor=descriptor,
        training_range=training_range,
        reference_energies=reference_energies if any(reference_energies.values()) else None,
        **arguments,
    )
