"""Models that are polynomials of the bispectrum as SNAP potentials of LAMMPS."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from ase import Atoms

import torchml_core
from torchml_core import files
from torchml_core.checks import refuse, shown
from torchml_core.descriptors.bispectrum import Bispectrum
from torchml_core.descriptors.symmetry_functions.functions import atomic_number
from torchml_core.errors import ModelError, UnsupportedError
from torchml_core.portable import evaluation
from torchml_core.portable.executors import reason
from torchml_core.portable.model import PortableModel

if TYPE_CHECKING:
    from pathlib import Path

    from torchml_core.annotations import PathLike

SUFFIXES = ".snapcoeff", ".snapparam", ".snap"
SPECIAL = set(" \t\n\"'#&$")  # characters with a meaning in LAMMPS's commands
LONGEST = 900  # bytes of a comment; LAMMPS reads lines of at most 1023
SAME_CUTOFF = 1e-12  # relative
SCALES = 1.0, 30.0  # of the random values at which a model is compared with its polynomial
N_COMPARED = 20


def to_snap(model: PortableModel, stem: PathLike) -> list[Path]:
    """Write a model on :class:`~torchml_core.Bispectrum` as a SNAP potential of LAMMPS.

    Parameters
    ----------
    model : PortableModel
        Its energies must be linear or quadratic in the values of the descriptor, whatever module
        computes them, and its pair terms ZBL at most.
    stem : path-like
        The files are ``stem.snapcoeff``, ``stem.snapparam`` and ``stem.snap``; the last has the
        LAMMPS commands ``pair_style`` and ``pair_coeff`` for atom types in the order of the
        model's species. Existing files are replaced.

    Returns
    -------
    list of pathlib.Path
        The three files.

    Raises
    ------
    InputError
        If an argument cannot be used.
    UnsupportedError
        If LAMMPS's SNAP cannot compute what the model computes; the message says why.
    ModelError
        If the model fails.
    FileAccessError, MissingFileError
        If the files cannot be written.

    Notes
    -----
    The coefficients are the model's value and its first two derivatives at zero; they are then
    compared with the model at random values. Numbers are written with all their digits, so
    ``tm.convert.snap(stem.snap, None, out)`` gives the same energies again.
    """
    if not isinstance(model, PortableModel):
        refuse("model", model, "a PortableModel")
    path = files.as_path("stem", stem)
    if not path.name or SPECIAL & set(path.name):
        refuse("stem", stem, "a path whose last part has no blanks, quotes, #, & or $")
    descriptor = _check_descriptor(model)
    zbl = _check_pair_terms(model)
    radii, rcutfac = _radii(descriptor)
    model.evaluate(Atoms(model.species[0]), forces=False, virial=False)  # decides its dtype
    groups = _equal_values(descriptor)
    expansions = {name: _symmetric(_expand(model, name), groups) for name in descriptor.species}
    texts = (
        _coefficients_text(model, descriptor, radii, expansions),
        _parameters_text(descriptor, rcutfac, any(e.quadratic.any() for e in expansions.values())),
        _commands_text(descriptor, path.name, zbl),
    )
    paths = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
    for to, text in zip(paths, texts, strict=True):
        files.write_text("stem", to, text)
    return paths


def _check_descriptor(model):
    descriptor = model.descriptor
    if not isinstance(descriptor, Bispectrum):
        kind = f"a {model.convention} model"
        kind = kind if descriptor is None else f"a model on {type(descriptor).__name__}"
        raise UnsupportedError(f"{kind}: to_snap needs a model on Bispectrum")
    if descriptor.diagonal_style != 3:
        raise UnsupportedError(
            f"diagonal_style = {descriptor.diagonal_style}: LAMMPS's pair_style snap has 3 only"
        )
    if set(model.species) != set(descriptor.species):
        raise UnsupportedError(
            f"the model has {', '.join(model.species)}, its descriptor"
            f" {', '.join(descriptor.species)}: the same species are needed"
        )
    return descriptor


def _check_pair_terms(model):
    """(inner, outer) of ZBL, or None."""
    terms = () if model.card is None else model.card.pair_terms
    for term in terms:
        if term["kind"] != "zbl" or len(terms) > 1:
            raise UnsupportedError(f"pair_terms = {shown(terms)}: one of kind 'zbl' can be written")
    return (terms[0]["inner"], terms[0]["outer"]) if terms else None


def _radii(descriptor):
    """({species: R}, rcutfac) with cutoffs rcutfac (R_a + R_b)."""
    cutoffs = descriptor.cutoffs
    if len(set(cutoffs.values())) == 1:
        return dict.fromkeys(descriptor.species, 0.5), descriptor.cutoff
    radii = {name: cutoffs[name, name] / 2 for name in descriptor.species}
    for (a, b), cutoff in cutoffs.items():
        if abs(radii[a] + radii[b] - cutoff) > SAME_CUTOFF * cutoff:
            raise UnsupportedError(
                f"cutoff of {a} and {b}, {cutoff!r} Å: LAMMPS has the mean of those of {a} {a} and"
                f" {b} {b}, {radii[a] + radii[b]!r} Å"
            )
    return radii, 1.0


# ---- the polynomial that a model is


class Expansion(NamedTuple):
    """constant + linear · D + ½ D · quadratic D."""

    constant: float
    linear: np.ndarray
    quadratic: np.ndarray

    def terms(self, values):
        """Return the three parts of the energy for each row of values, (3, n)."""
        constants = np.full(len(values), self.constant)
        squares = np.einsum("ni,ij,nj->n", values, self.quadratic, values, optimize=True)
        return np.array([constants, values @ self.linear, squares / 2])


def _expand(model, element):
    """The Expansion of the energy of an element's atoms; UnsupportedError if it is not one."""
    width = model.descriptor.width
    with evaluation.own_state(model.device), torch.enable_grad():
        values = torch.zeros((width, width), dtype=model.dtype, device=model.device)
        energy = _energy(model, element, values.requires_grad_())
        (slopes,) = _gradient(model, energy, values)
        curvatures = torch.zeros_like(values)
        if slopes.requires_grad:
            (curvatures,) = _gradient(model, slopes.diagonal().sum(), values)
        constant = _energy(model, element, torch.zeros_like(values[:1]))
    arrays = (t.detach().to("cpu", torch.float64).numpy() for t in (slopes[0], curvatures))
    found = Expansion(float(constant), *arrays)
    _compare(model, element, found)
    return found


def _equal_values(descriptor):
    """The indices of values that are always equal, in arrays.

    With chemflag these are B[a b c](j1, j2, j) in which elements of equal j are exchanged. LAMMPS's
    forces are the derivative of its energy only if such values have equal coefficients.
    """
    if not descriptor.chemical:
        return []
    groups: dict[tuple, list[int]] = {}
    triples = itertools.product(
        itertools.product(descriptor.species, repeat=3), descriptor.components
    )
    for k, (elements, component) in enumerate(triples):
        groups.setdefault(tuple(sorted(zip(component, elements, strict=True))), []).append(k)
    return [np.array(group) for group in groups.values() if len(group) > 1]


def _symmetric(expansion, groups):
    """The same function with the mean of the coefficients of equal values."""
    linear, quadratic = expansion.linear.copy(), expansion.quadratic.copy()
    for group in groups:
        linear[group] = linear[group].mean()
        for matrix in (quadratic, quadratic.T):
            matrix[group] = matrix[group].mean(axis=0)
    return expansion._replace(linear=linear, quadratic=quadratic)


def _compare(model, element, expansion):
    generator = np.random.default_rng(0)
    digits = 1e-10 if model.dtype == torch.float64 else 1e-4
    for scale in SCALES:
        values = scale * generator.normal(size=(N_COMPARED, len(expansion.linear)))
        values = torch.from_numpy(values).to(model.device, model.dtype)
        with evaluation.own_state(model.device):
            # one at a time: the energy of several rows could be anything
            energies = [float(_energy(model, element, row[None])) for row in values]
            together = float(_energy(model, element, values))
        terms = expansion.terms(values.to("cpu", torch.float64).numpy())
        errors = np.abs(energies - terms.sum(axis=0))
        sizes = np.abs(terms).sum(axis=0)
        if (errors > digits * sizes).any() or abs(together - terms.sum()) > digits * sizes.sum():
            raise UnsupportedError(
                f"{model.files[0]}: the energy of {element} is not a linear or quadratic function"
                " of the descriptor's values, as SNAP's is"
            )


def _energy(model, element, values):
    """The sum of the energies of atoms of an element, in double precision."""
    inputs = [values]
    if model.parameters.takes_species:
        number = int(model.species_input.numbers(model.species)[model.species.index(element)])
        inputs.append(torch.full((len(values),), number, device=values.device))
    try:
        returned = model._executor_of(model._precision.choice)(*inputs)
    except Exception as error:  # a model's failure can be any
        raise ModelError(f"{model.files[0]}: forward failed: {reason(error)}") from error
    if isinstance(returned, (tuple, list)):
        returned = returned[0]
    return returned.to(torch.float64).sum()


def _gradient(model, scalar, values):
    if not scalar.requires_grad:
        return (torch.zeros_like(values),)
    try:
        return torch.autograd.grad(
            scalar, values, create_graph=True, allow_unused=True, materialize_grads=True
        )
    except RuntimeError as error:
        raise UnsupportedError(
            f"{model.files[0]}: its energy cannot be differentiated twice: {reason(error)}"
        ) from error


# ---- texts


def _comment(citation):
    text = f"# UNITS: metal CONTRIBUTOR: torchml_core {torchml_core.__version__}"
    if citation:
        text += f" CITATION: {' '.join(citation.split())}"
    encoded = text.encode()
    if len(encoded) > LONGEST:
        text = encoded[:LONGEST].decode(errors="ignore") + "..."
    return text


def _coefficients_text(model, descriptor, radii, expansions):
    quadratic = any(e.quadratic.any() for e in expansions.values())
    upper = np.triu_indices(descriptor.width)
    labels = ["constant", *descriptor.labels]
    if quadratic:
        labels += [f"{labels[i + 1]} {labels[j + 1]}" for i, j in zip(*upper, strict=True)]
    lines = [_comment(getattr(model.card, "citation", None)), f"{len(radii)} {len(labels)}"]
    for name, expansion in expansions.items():
        lines.append(f"{name} {radii[name]!r} {descriptor.weights[name]!r}")
        values = [expansion.constant, *expansion.linear.tolist()]
        if quadratic:
            values += expansion.quadratic[upper].tolist()
        lines += [f"{value!r} # {label}" for value, label in zip(values, labels, strict=True)]
    return "\n".join(lines) + "\n"


def _parameters_text(descriptor, rcutfac, quadratic):
    values = {
        "rcutfac": rcutfac,
        "twojmax": descriptor.twojmax,
        "rfac0": descriptor.rfac0,
        "rmin0": descriptor.rmin0,
        "switchflag": int(descriptor.switch),
        "bzeroflag": int(descriptor.subtract_isolated),
        "quadraticflag": int(quadratic),
        "chemflag": int(descriptor.chemical),
        "bnormflag": int(descriptor.normalize),
        "wselfallflag": int(descriptor.self_in_all),
    }
    lines = [_comment(None), *(f"{name} {value!r}" for name, value in values.items())]
    if descriptor.inner_switch is not None:  # LAMMPS before 2022 does not know the keywords
        pairs = [descriptor.inner_switch[name] for name in descriptor.species]
        lines.append("switchinnerflag 1")
        for name, own in zip(("sinner", "dinner"), zip(*pairs, strict=True), strict=True):
            lines.append(f"{name} {' '.join(map(repr, own))}")
    return "\n".join(lines) + "\n"


def _commands_text(descriptor, name, zbl):
    elements = descriptor.species
    lines = [_comment(None) + f", for atom types {' '.join(elements)}"]
    if zbl is None:
        lines += ["pair_style snap"]
        style = ""
    else:
        lines += [f"pair_style hybrid/overlay zbl {zbl[0]!r} {zbl[1]!r} snap"]
        style = "snap "
        numbers = [atomic_number(element) for element in elements]
        for i, first in enumerate(numbers, 1):
            for j, second in enumerate(numbers[i - 1 :], i):
                lines.append(f"pair_coeff {i} {j} zbl {first} {second}")
    lines.append(f"pair_coeff * * {style}{name}.snapcoeff {name}.snapparam {' '.join(elements)}")
    return "\n".join(lines) + "\n"
