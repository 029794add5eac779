"""Files of descriptors: ``.dat``, in the formats of libdescriptor and KLIFF, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core.checks import refuse, shown
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.data_lines import DataLines
from torchml_core.descriptors.json_file import read_json
from torchml_core.descriptors.registry import descriptor_class, kinds_with_dat_file
from torchml_core.errors import InputError
from torchml_core.files import as_path, read_lines
from torchml_core.json_text import begins_like_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchml_core.annotations import PathLike
    from torchml_core.descriptors.base import Descriptor


def read_descriptor(
    path: PathLike, kind: str | None = None, species: Sequence[str] | None = None
) -> Descriptor:
    """Read a descriptor from a ``.dat`` or JSON file; its content shows which one it is.

    Parameters
    ----------
    path : path-like
    kind : str, optional
        ``SymmetryFunctions``, ``SOAP``, ``Bispectrum`` or ``Xi``, in upper or lower case. Required
        for a ``.dat`` file, which does not contain it.
    species : sequence of str, optional
        The species of a model: the file must have the same ones. The descriptor keeps the order of
        the file; species of configurations are matched by name.

    Returns
    -------
    Descriptor

    Raises
    ------
    MissingFileError
        There is no such file.
    FileFormatError
        The file does not follow its format; the message begins with ``file:line:``.
    InputError
        kind is unknown, or missing for a ``.dat`` file; or species are not those of the file.

    Notes
    -----
    How this reader treats variants that occur in ``.dat`` files:

    - One line for each unordered pair of species, for some pairs in both orders, or for all in
      both: any number of lines, as long as each unordered pair has one cutoff.
    - ``g1`` alone, or with ``rows cols`` and a row with one number that has no meaning.
    - ``center_and_normalize True``: means and standard deviations are applied (libdescriptor
      ignores them). A single mean or standard deviation applies to all values.
    - ``center_and_normalize False``: nothing after it is needed, and nothing is used.
    - SOAP: a file means smoothing=None, cross_blocks="upper" and normalization="libdescriptor";
      lines at its end, which :meth:`SOAP.to_file` writes, say otherwise. KLIFF's layout, which
      begins with the cutoff type and a table of pairs, means species_density="cumulative" too: a
      warning says where KLIFF's numbers cannot be had (n_max 6 and 7).
    """
    file = as_path("path", path)
    if kind is not None:
        descriptor_class(kind)  # or an error
    lines = read_lines(file, ".dat or .json file")
    if begins_like_json(lines) or (kind is None and file.suffix == ".json"):
        descriptor = read_json(file, kind, lines)
    elif kind is None:
        refuse("kind", kind, f"the kind in a .dat file, {' or '.join(kinds_with_dat_file())},")
    else:
        descriptor = descriptor_class(kind)._from_lines(DataLines(file, lines))
    if species is not None:
        _require_same_species(descriptor, species, path)
    return descriptor


def _require_same_species(descriptor, species, path):
    species = check_species(species)
    missing = [name for name in species if name not in descriptor.species]
    if missing:
        raise InputError(
            f"species = {shown(species)}: {path} has only {', '.join(descriptor.species)}"
        )
    extra = [name for name in descriptor.species if name not in species]
    if extra:
        raise InputError(f"species = {shown(species)}: {path} also has {extra[0]}")
