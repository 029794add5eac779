"""Inspection of each kind of file; every function adds to Findings and continues after errors."""

import json
import warnings

from torchml_core.errors import TorchMLError

MODEL_SUFFIXES = (".pt", ".pt2")


def look_into_parameters(findings, path):
    """Read a .param file; return its ModelParameters, or None if something is wrong in it."""
    from torchml_core.portable.parameters import find_faults, read_parameters

    faults = findings.attempt(find_faults, path)
    if faults is None:
        return None
    if faults:
        findings.problems += [str(fault) for fault in faults]
        return None
    parameters = read_parameters(path)
    graph = parameters.convention == "graph"
    findings.fact("convention", parameters.convention)
    findings.fact("species", _codes(parameters.species))
    findings.fact("cutoff", f"{parameters.cutoff:g} Å")
    if graph:
        findings.fact("layers", parameters.n_layers)
    findings.fact("influence distance", f"{parameters.influence_distance:g} Å")
    findings.fact("returns forces", "yes" if parameters.returns_forces else "no")
    findings.fact("model file", parameters.model_file)
    if parameters.descriptor:
        findings.fact("descriptor", parameters.descriptor)
        alone = "descriptor" if len(parameters.species) == 1 else "descriptor, not the species"
        findings.fact("inputs", "descriptor, species" if parameters.takes_species else alone)
    if parameters.n_inputs != parameters.expected_n_inputs:
        findings.notes.append(
            f"the .param file says {parameters.n_inputs} inputs; a {parameters.convention} model"
            f" has {parameters.expected_n_inputs} (not used here, other drivers may)"
        )
    return parameters


def look_into_descriptor(findings, path, kind=None, *, labels=True):
    """Read a descriptor's file; return the Descriptor, or None.

    A .dat file is read as the kind given, or as every kind.
    """
    from torchml_core.descriptors.files import read_descriptor

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if kind is not None or path.suffix == ".json":
            descriptor = findings.attempt(read_descriptor, path, kind)
        else:
            descriptor = _read_as_any_kind(findings, path)
    findings.notes += [str(warning.message) for warning in caught]
    if descriptor is not None:
        findings.fact("descriptor file", f"{path.name}: {type(descriptor).__name__}")
        findings.fact("descriptor species", " ".join(descriptor.species))
        findings.fact("largest cutoff", f"{descriptor.cutoff:g} Å")
        findings.fact("width", f"{descriptor.width} values per atom")
        if getattr(descriptor, "species_density", None):
            findings.fact("species density", _species_density(descriptor))
        if labels:
            findings.fact("values", list(descriptor.labels))
        else:
            findings.fact("settings", repr(descriptor))
    return descriptor


def _read_as_any_kind(findings, path):
    from torchml_core.descriptors.files import read_descriptor
    from torchml_core.descriptors.registry import kinds_with_dat_file

    read, errors = {}, {}
    for name in kinds_with_dat_file():
        try:
            read[name] = read_descriptor(path, name)
        except TorchMLError as error:
            errors[name] = error
    if not read:
        findings.problems += [f"not {name}: {error}" for name, error in errors.items()]
    if len(read) > 1:
        findings.notes.append(
            f"it can be read as {' and as '.join(read)}: --kind says which one it is"
        )
    return next(iter(read.values()), None)


def _species_density(descriptor):
    """What the densities of a SOAP contain, and the reason."""
    if descriptor.species_density == "separate":
        return f"separate: {', '.join(descriptor.channels)}"
    return (
        f"cumulative: {', '.join(descriptor.channels)}; the file is in KLIFF's layout, and KLIFF"
        " trains on libdescriptor's densities"
    )


def look_into_json(findings, path):
    """Read a JSON file of a model: model.json, or that of a descriptor."""
    from torchml_core.json_text import JsonFile
    from torchml_core.portable import model_json

    file = findings.attempt(JsonFile, path, "JSON file of a portable model")
    if file is None:
        return
    if file.content.get("format") == model_json.FORMAT:
        look_into_card(findings, path)
    else:
        look_into_descriptor(findings, path)


def look_into_card(findings, path):
    """Read a model.json file; return its ModelCard, or None if something is wrong in it."""
    from torchml_core.portable.model_json import find_card_faults, read_card

    faults = findings.attempt(find_card_faults, path)
    if faults is None or faults:
        findings.problems += map(str, faults or ())
        return None
    card = read_card(path)
    for name, value in _facts_of_card(card):
        if value:
            findings.fact(name, value)
    return card


def _facts_of_card(card):
    energies, ranges = card.reference_energies or {}, card.training_range or {}
    yield "units", ", ".join(card.units.values())
    yield "made by", ", ".join(f"{name} {version}" for name, version in card.made_by.items())
    yield "reference energies", ", ".join(f"{k} {x:g} eV" for k, x in energies.items())
    yield "training range", ", ".join(f"{k} ({len(x.min)} values)" for k, x in ranges.items())
    yield "pair terms", [json.dumps(term, ensure_ascii=False) for term in card.pair_terms]
    yield "license", (card.license or "").splitlines()
    yield "citation", (card.citation or "").splitlines()
    yield "checksums of", ", ".join(card.checksums)
    for name, value in card.other.items():  # of another program, or a newer version of this one
        yield "not known here", f"{name}: {json.dumps(value, ensure_ascii=False)}"


def look_into_model(findings, path):
    """Read a .pt or .pt2 file without running it; return its ModelFacts, or None if it is wrong."""
    from torchml_core.portable.model_file import model_facts

    facts = findings.attempt(model_facts, path)
    if facts is None:
        return None
    findings.fact("format", facts.format)
    findings.fact("forward takes", [f"{name}: {kind}" for name, kind in facts.arguments])
    findings.fact("forward returns", facts.returns)
    findings.fact("parameters", str(facts.n_parameters))
    findings.fact("weights", facts.dtype or "none")
    findings.fact("operators", ", ".join(facts.operators) or "torch's own only")
    if facts.refused:
        findings.problems.append(f"{path}: {facts.refused}; it is loaded with trust=True only")
    return facts


def say_which_conventions_fit(findings, facts):
    forward = facts.forward
    numbers = range(forward.n_required, len(forward.arguments) + 1)
    fits = [fit for n_arguments in numbers for fit in conventions_that_fit(n_arguments)]
    findings.fact("fits", " or ".join(fits) or "none")
    if not fits:
        findings.problems.append(
            f"forward takes {len(facts.arguments)} arguments; no convention has so many: 1 or"
            " 2 for descriptor, 5 for raw, 3 and one a layer for graph"
        )


def conventions_that_fit(n_arguments):
    """Return the conventions whose ``forward`` takes so many arguments, as texts."""
    fits = {1: ["descriptor"], 2: ["descriptor with species"], 5: ["raw"]}.get(n_arguments, [])
    if n_arguments >= 4:
        n_layers = n_arguments - 3
        fits = [*fits, f"graph of {n_layers} layer{'' if n_layers == 1 else 's'}"]
    return fits


def _codes(species):
    """``Si 0, C 1``: symbols with the codes that the model knows them by."""
    return ", ".join(f"{symbol} ({code})" for code, symbol in enumerate(species))
