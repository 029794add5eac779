"""SNAP potentials of LAMMPS as portable models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from torchml_core import checks, files
from torchml_core.checks import shown
from torchml_core.convert.snap_files import read_snapcoeff, read_snapparam
from torchml_core.convert.snap_include import read_snap_include
from torchml_core.descriptors.bispectrum import Bispectrum
from torchml_core.descriptors.symmetry_functions.functions import atomic_number
from torchml_core.errors import FileFormatError, InputError
from torchml_core.nn.element_polynomials import ElementPolynomials
from torchml_core.pair_terms.zbl import ZBL
from torchml_core.portable.model import PortableModel

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike
    from torchml_core.convert.snap_files import SnapCoefficients, SnapParameters

INCLUDE, PARAM = ".snap", ".snapparam"  # suffixes
ARGUMENTS = {  # of Bispectrum, by keyword of .snapparam
    "twojmax": "twojmax",
    "rfac0": "rfac0",
    "rmin0": "rmin0",
    "switchflag": "switch",
    "bzeroflag": "subtract_isolated",
    "chemflag": "chemical",
    "bnormflag": "normalize",
    "wselfallflag": "self_in_all",
}


def snap(
    coeff: PathLike,
    param: PathLike | None,
    out: PathLike,
    *,
    zbl: tuple[float, float] | None = None,
) -> PortableModel:
    """Convert a SNAP potential of LAMMPS into a portable model.

    Parameters
    ----------
    coeff : path-like
        The ``.snapcoeff`` file; or a file of LAMMPS commands whose name ends in ``.snap``, which
        names the two files (in its folder), the elements, and perhaps ZBL.
    param : path-like or None
        The ``.snapparam`` file. None: the file beside ``coeff`` with this suffix; with a ``.snap``
        file, None is needed.
    out : path-like
        Folder of the portable model; created if it does not exist, and must not contain files of a
        model yet.
    zbl : (float, float), optional
        Inner and outer distance in Å of the ZBL repulsion that the potential is used with: LAMMPS's
        ``pair_style hybrid/overlay zbl INNER OUTER snap``, with the atomic numbers of the elements,
        between all pairs. Only where no ``.snap`` file says it.

    Returns
    -------
    PortableModel
        The model in ``out``: a descriptor model with :class:`~torchml_core.Bispectrum` and
        ElementPolynomials, in Å and eV, with ZBL as a pair term. The citation is that of the files'
        comments.

    Raises
    ------
    MissingFileError, FileAccessError
        If a file is not there or cannot be read.
    FileFormatError
        If a file is wrong, or files contradict each other; the message begins with ``file:line:``.
    UnsupportedError
        For units other than metal, and for commands, styles and settings that are not supported;
        the message names them and their line.
    InputError
        If an argument is wrong, or ``out`` is in use.
    """
    coeff_path = files.as_path("coeff", coeff)
    included, elements = None, None
    if coeff_path.suffix == INCLUDE:
        if param is not None:
            checks.refuse("param", param, f"None with {coeff_path.name}, which names its files,")
        included = read_snap_include(coeff_path)
        coeff_path, param_path, elements = included.coeff, included.param, included.elements
        if included.zbl and zbl is not None:
            checks.refuse("zbl", zbl, f"None, since {included.zbl} is in the {INCLUDE} file,")
        zbl = included.zbl or zbl
    elif param is None:
        param_path = coeff_path.with_suffix(PARAM)
    else:
        param_path = files.as_path("param", param)
    pair_terms = None if zbl is None else [_zbl_term(zbl)]
    coefficients, parameters = read_snapcoeff(coeff_path), read_snapparam(param_path)
    elements = _check_elements(coefficients, parameters, elements)
    descriptor = _descriptor(coefficients, parameters, elements)
    sources = (coefficients, parameters, included)
    citations = [source.citation for source in sources if source and source.citation]
    return PortableModel.create(
        out,
        model=_polynomials(coefficients, parameters, descriptor),
        species=descriptor.species,
        descriptor=descriptor,
        species_input="codes",
        pair_terms=pair_terms,
        citation=citations[0] if citations else None,
    )


def _zbl_term(zbl):
    distances = checks.sequence("zbl", zbl, "a pair (inner, outer) of distances in Å")
    if len(distances) != 2:
        checks.refuse("zbl", zbl, "a pair (inner, outer) of distances in Å")
    try:
        term = ZBL(["H"], *distances)
    except InputError as error:
        raise InputError(f"zbl: {error}") from None
    return {"kind": "zbl", "inner": term.inner, "outer": term.outer}


def _check_elements(
    coefficients: SnapCoefficients, parameters: SnapParameters, elements: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The elements of the model: those that LAMMPS is told, or all of the file."""
    there = coefficients.elements
    if elements is None:
        elements = tuple(there)
    for name in elements:
        if name not in there:
            raise FileFormatError(
                f"element {shown(name)} is needed; there are {', '.join(there)}", coefficients.path
            )
        try:
            atomic_number(name)
        except InputError:
            raise FileFormatError(
                f"element {shown(name)}: the symbol of a chemical element is needed",
                coefficients.path,
                there[name].line,
            ) from None
    if parameters.values["chemflag"] and len(elements) < len(there):
        raise parameters.error(
            "chemflag",
            f"chemflag 1 with {', '.join(elements)}: all elements of {coefficients.path.name},"
            f" {', '.join(there)}, are needed",
        )
    return elements


def _descriptor(coefficients, parameters, elements):
    values = parameters.values
    own = {name: coefficients.elements[name] for name in elements}
    radii = {name: element.radius for name, element in own.items()}
    inner = None
    if values["switchinnerflag"]:
        for keyword in ("sinner", "dinner"):
            if len(values[keyword]) != len(elements):
                raise parameters.error(
                    keyword,
                    f"{keyword} has {len(values[keyword])} numbers; one for each of"
                    f" {', '.join(elements)} is needed",
                )
        pairs = zip(values["sinner"], values["dinner"], strict=True)
        inner = dict(zip(elements, pairs, strict=True))
    try:
        return Bispectrum(
            elements,
            Bispectrum.lammps_cutoffs(values["rcutfac"], radii),
            **{argument: values[keyword] for keyword, argument in ARGUMENTS.items()},
            weights={name: element.weight for name, element in own.items()},
            inner_switch=inner,
        )
    except InputError as error:  # its settings have the names of keywords, rfac0, rmin0, twojmax
        keyword = next((name for name in values if str(error).startswith(f"{name} ")), "rcutfac")
        raise parameters.error(keyword, str(error)) from None


def _polynomials(coefficients, parameters, descriptor):
    """The ElementPolynomials of the coefficients of all elements."""
    width, n = descriptor.width, coefficients.n_coefficients
    quadratic = parameters.values["quadraticflag"]
    needed = 1 + width + (width * (width + 1) // 2 if quadratic else 0)
    if n != needed:
        kind = "quadratic" if quadratic else "linear"
        raise FileFormatError(
            f"{n} coefficients; {needed} are needed for a {kind} potential with {width} values"
            f" ({parameters.path.name}: twojmax {descriptor.twojmax},"
            f" quadraticflag {int(quadratic)}, chemflag {int(descriptor.chemical)})",
            coefficients.path,
            coefficients.line,
        )
    polynomials = ElementPolynomials(descriptor, degree=2 if quadratic else 1)
    with torch.no_grad():
        for k, name in enumerate(descriptor.species):
            values = torch.from_numpy(coefficients.elements[name].coefficients)
            polynomials.constant[k] = values[0]
            polynomials.linear[k] = values[1 : width + 1]
            if quadratic:  # the upper triangle of α in E = ½ B·αB
                upper = torch.zeros((width, width), dtype=torch.float64)
                upper[tuple(torch.triu_indices(width, width))] = values[width + 1 :]
                polynomials.quadratic[k] = (upper + upper.triu(1).t()) / 2
    return polynomials
