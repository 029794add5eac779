"""Potentials of n2p2 and RuNNer as portable models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from torchml_core import checks, files, units
from torchml_core.convert.n2p2_data import (
    layers_of_weights,
    n_weights,
    read_statistics,
    read_weights,
    scaled,
)
from torchml_core.convert.n2p2_networks import (
    read_architectures,
    read_energies,
    read_scaling,
    refuse_unsupported,
)
from torchml_core.descriptors.symmetry_functions import ElementSymmetryFunctions
from torchml_core.descriptors.symmetry_functions.functions import atomic_number
from torchml_core.descriptors.symmetry_functions.n2p2_functions import (
    read_elements,
    read_functions,
)
from torchml_core.descriptors.symmetry_functions.n2p2_settings import Settings
from torchml_core.errors import FileFormatError, MissingFileError
from torchml_core.nn.element_networks import ElementNetworks, mean_networks
from torchml_core.portable.folder import MEMBERS_FOLDER
from torchml_core.portable.model import PortableModel
from torchml_core.text_numbers import parse_whole

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike

SETTINGS, STATISTICS = "input.nn", "scaling.data"


def n2p2(
    folder: PathLike, out: PathLike, *, length_unit: str | float, energy_unit: str | float
) -> PortableModel:
    """Convert a potential of n2p2 or RuNNer into a portable model.

    Parameters
    ----------
    folder : path-like
        With ``input.nn``, ``scaling.data`` and ``weights.ZZZ.data`` of each element (ZZZ is its
        atomic number). For a committee: a folder whose ``input.nn`` has ``committee_mode`` and
        ``committee_data``, or a folder without ``input.nn`` whose subfolders are potentials with
        the same symmetry functions.
    out : path-like
        Folder of the portable model; created if it does not exist, and must not contain files of a
        model yet. For a committee this model is the mean; the members are portable models in
        ``members/1``, ``members/2``, ... there.
    length_unit, energy_unit : str or float
        The units of the files, which do not say them: a name ("bohr", "angstrom", "nm", "pm";
        "hartree", "ev", "mev", "rydberg", "kcal/mol", "kj/mol") or the size in Å or eV. Names are
        those of CODATA 2018.

    Returns
    -------
    PortableModel
        The model in ``out``: a descriptor model with ElementSymmetryFunctions and ElementNetworks,
        in Å and eV. Its training range is that of ``scaling.data``. Energies of atoms include
        ``mean_energy`` and ``atom_energy``.

    Raises
    ------
    MissingFileError, FileAccessError
        If a file is not there or cannot be read.
    FileFormatError
        If a file is wrong, or files contradict each other; the message begins with ``file:line:``.
    UnsupportedError
        For a potential with charges (``nnp_type`` 3 or 4), and for keywords that define functions,
        networks or energies and are not supported; the message names the keyword and its line.
    InputError
        If a unit is wrong, or ``out`` is in use.
    """
    length = units.length_unit("length_unit", length_unit)
    energy = units.energy_unit("energy_unit", energy_unit)
    members = [
        _read_potential(member, length, energy)
        for member in _member_folders(files.as_path("folder", folder))
    ]
    if len(members) == 1:
        return _create(out, members[0])
    _require_same_functions(members)
    folder_of_members = files.as_path("out", out) / MEMBERS_FOLDER
    if folder_of_members.exists():
        checks.refuse("out", str(out), f"a folder without {MEMBERS_FOLDER}")
    made = _create(out, _mean(members))
    for number, member in enumerate(members, 1):
        _create(folder_of_members / str(number), member)
    return made


class Potential(NamedTuple):
    """A potential that has been read: what a portable model is made of, and where it is from.

    ``training_range`` is {element: {"min": [...], "max": [...]}} of the values of the descriptor,
    ``free_atoms`` {element: energy in eV}.
    """

    path: object
    descriptor: ElementSymmetryFunctions
    networks: ElementNetworks
    training_range: dict
    free_atoms: dict


def _create(out, potential):
    return PortableModel.create(
        out,
        model=potential.networks,
        species=potential.networks.species,
        descriptor=potential.descriptor,
        species_input="codes",
        dtype="float64",
        training_range=potential.training_range,
        reference_energies=potential.free_atoms or None,
    )


# ---- one potential


def _read_potential(folder, length, energy):
    """The Potential in a folder; length and energy are the sizes of its units in Å and eV."""
    settings = Settings(folder / SETTINGS)
    refuse_unsupported(settings)
    elements = read_elements(settings)
    architectures = read_architectures(settings, elements)
    scaling, energies = read_scaling(settings), read_energies(settings, elements)
    arguments, _ = read_functions(settings, length)
    for element, own in arguments["functions"].items():
        if not own:
            message = f"a line 'symfunction_short {element} ...' is needed"
            raise FileFormatError(message, settings.path, settings.n_lines)
    descriptor = ElementSymmetryFunctions(**arguments)
    weights = {e: _weights(folder, e, descriptor.widths[e], architectures[e]) for e in elements}
    networks = ElementNetworks(
        descriptor,
        hidden={element: nodes for element, (nodes, _) in weights.items()},
        activation={e: architectures[e].activations for e in elements},
        output_activation={e: architectures[e].output_activation for e in elements},
        reference_energies={e: energies.references[e] * energy for e in elements},
        energy_factor=energies.factor * energy,
        normalize_nodes=settings.one("normalize_nodes") is not None,
    )
    networks.set_weights({element: layers for element, (_, layers) in weights.items()})
    statistics = read_statistics(folder / STATISTICS, descriptor.widths)
    scales = {e: scaled(folder / STATISTICS, scaling, statistics[e]) for e in elements}
    networks.set_scaling(
        {element: shift for element, (shift, _) in scales.items()},
        {element: factor for element, (_, factor) in scales.items()},
    )
    training_range = {
        e: {"min": statistics[e].low.tolist(), "max": statistics[e].high.tolist()} for e in elements
    }
    free_atoms = {element: value * energy for element, value in energies.free_atoms.items()}
    return Potential(settings.path, descriptor, networks, training_range, free_atoms)


def _weights(folder, element, width, architecture):
    """(nodes of the hidden layers, layers) from the file of weights of an element."""
    path = folder / f"weights.{atomic_number(element):03d}.data"
    values, last = read_weights(path)
    needed = {nodes: n_weights([width, *nodes, 1]) for nodes in architecture.hidden}
    fitting = [nodes for nodes, n in needed.items() if n == len(values)]
    if len(fitting) != 1:
        networks = " or ".join(
            f"{n} for {'-'.join(map(str, (width, *nodes, 1)))}" for nodes, n in needed.items()
        )
        raise FileFormatError(
            f"{len(values)} weights; those of one network of {element} are needed: {networks}",
            path,
            last,
        )
    return fitting[0], layers_of_weights(values, [width, *fitting[0], 1])


# ---- committees


def _member_folders(folder):
    """The folders of the potentials in a folder: itself, or those of a committee."""
    subfolders = _subfolders(folder)
    if not (folder / SETTINGS).exists():
        members = [path for path in subfolders if (path / SETTINGS).exists()]
        if len(members) < 2:
            raise MissingFileError(f"{folder / SETTINGS}: there is no such file; it is needed")
        return members
    settings = Settings(folder / SETTINGS)
    mode, data = settings.one("committee_mode"), settings.one("committee_data")
    if mode is None and data is None:
        return [folder]
    if mode is None or data is None:
        raise settings.lacks("committee_data" if data is None else "committee_mode")
    (word,) = settings.first_words(mode, 1)
    if word not in ("prediction", "validation"):
        raise settings.unsupported(
            mode, f"committee_mode = {checks.shown(word)}: prediction or validation is needed"
        )
    prefix, word = settings.first_words(data, 2)
    size = settings.parse(_parse_size, data, "committee_data", word)
    numbered = re.compile(re.escape(prefix) + r"[-_]?[0-9]+")
    members = [path for path in subfolders if numbered.fullmatch(path.name)]
    if len(members) == size - 1:  # the folder itself is the first
        members.insert(0, folder)
    if len(members) != size:
        raise settings.error(
            data,
            f"committee_data = {prefix} {size}: {size} folders {prefix}-1, {prefix}-2, ..., or one"
            f" less beside this member, are needed, there are {len(members)}",
        )
    return members


def _parse_size(name, word):
    return parse_whole(name, word, 2, 1000)


def _subfolders(folder):
    """The folders in a folder, member-2 before member-10."""
    try:
        found = [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        found = []
        files.files_in(folder, "a potential of n2p2 is one")  # raises what is wrong
    return sorted(found, key=lambda path: [int(k) for k in re.findall("[0-9]+", path.name)])


def _require_same_functions(members):
    for member in members[1:]:
        if member.descriptor != members[0].descriptor:
            raise FileFormatError(
                f"the symmetry functions of all members, as in {members[0].path}, are needed",
                member.path,
            )


def _mean(members):
    """The mean of all members as one Potential.

    Its training range is where all members were trained: between the largest of their minima and
    the smallest of their maxima.
    """
    first = members[0]
    training_range = {}
    for element in first.networks.species:
        ranges = [member.training_range[element] for member in members]
        training_range[element] = {
            "min": [max(values) for values in zip(*(r["min"] for r in ranges), strict=True)],
            "max": [min(values) for values in zip(*(r["max"] for r in ranges), strict=True)],
        }
    networks = mean_networks([member.networks for member in members])
    return first._replace(networks=networks, training_range=training_range)
