"""The folder of a portable model: each of its files, and how they agree."""

from torchml_core import files as user_files
from torchml_core.cli.findings import Findings
from torchml_core.cli.inspect_file import (
    MODEL_SUFFIXES,
    look_into_card,
    look_into_descriptor,
    look_into_model,
    look_into_parameters,
)
from torchml_core.portable.folder import (
    DESCRIPTOR_JSON,
    descriptor_files,
    lacks,
    member_folders,
)


def look_into_folder(findings, folder):
    """Add what the folder holds and everything wrong with it, running nothing of it."""
    files = user_files.files_in(folder, "a portable model is one")
    members = member_folders(folder)
    if members:
        _look_into_members(findings, folder, members)
    if members and not any(file.suffix == ".param" for file in files):
        return  # a committee without a model of its mean
    findings.fact("portable model", str(folder))
    findings.fact("files", [f"{file.name}  {_size(file)}" for file in files])
    parameters, param_file = None, None
    for param_file in _wanted(findings, folder, files, ".param"):
        parameters = look_into_parameters(findings, param_file) or parameters
    descriptor = _descriptor(findings, folder, files, parameters)
    model_files = [file for file in files if file.suffix in MODEL_SUFFIXES]
    facts = _model(findings, folder, model_files, parameters)
    if parameters and descriptor:
        from torchml_core.portable.parameters import disagreements

        findings.problems += disagreements(parameters, descriptor)
    card = _card(findings, folder, files, parameters, param_file, descriptor)
    if parameters and facts:
        _compare_forward(findings, parameters, param_file, facts)
        _say_dtype(findings, parameters, param_file.name, card)
        _say_what_is_given(findings, parameters, param_file.name, facts)


def _look_into_members(findings, folder, members):
    """Add the names of a committee's models, and everything wrong with each of them."""
    findings.fact("committee", f"{len(members)} models: " + ", ".join(p.name for p in members))
    for path in members:
        own = Findings()
        look_into_folder(own, path)
        findings.problems += own.problems


def _card(findings, folder, files, parameters, param_file, descriptor):
    """Inspect model.json, compare the other files with it, and return it; None without one."""
    from torchml_core.portable.model_json import CARD_FILE, card_disagreements, checksum_faults

    path = folder / CARD_FILE
    card = look_into_card(findings, path) if path in files else None
    if card is None or parameters is None:
        return card
    names = {param_file.name, parameters.model_file}
    if parameters.convention == "descriptor":
        names.update(file.name for file in descriptor_files(files))
    contents = {
        file.name: user_files.read_bytes(file, "file") for file in files if file.name in names
    }
    wrong = checksum_faults(card, contents) + card_disagreements(card, parameters, descriptor)
    findings.problems += [f"{path}: {fault}" for fault in wrong]
    return card


def _wanted(findings, folder, files, suffix):
    """The files of a suffix; a problem unless there is one."""
    return _one(findings, folder, files, suffix, [f for f in files if f.suffix == suffix])


def _one(findings, folder, files, what, found):
    """The files that were found; a problem unless there is one."""
    if not found:
        findings.problems.append(lacks(folder, what, files))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        findings.problems.append(f"{folder}: {len(found)} {what} files ({names}); only one may be")
    return found


def _descriptor(findings, folder, files, parameters):
    """The descriptor of the folder, if it should have one that can be read."""
    if parameters is None or parameters.convention == "descriptor":
        kind = parameters.descriptor if parameters else None
        found = descriptor_files(files)
        if parameters is None and not found:
            return None  # perhaps it needs none
        descriptor = None
        for file in _one(findings, folder, files, f".dat or {DESCRIPTOR_JSON}", found):
            descriptor = look_into_descriptor(findings, file, kind, labels=False) or descriptor
        return descriptor
    findings.notes += [
        f"{file.name} is not used: the model is a {parameters.convention} one"
        for file in descriptor_files(files)
    ]
    return None


def _model(findings, folder, model_files, parameters):
    """Inspect the model that the .param file names, or all models in the folder."""
    chosen = model_files
    if parameters:
        chosen = [file for file in model_files if file.name == parameters.model_file]
        others = [file.name for file in model_files if file not in chosen]
        if not chosen:
            findings.problems.append(
                f"{folder}: {parameters.model_file}, which the .param file names, is not there; "
                f"the folder has {', '.join(others) or 'no .pt or .pt2 file'}"
            )
        elif others:
            findings.notes.append(f"not used: {', '.join(others)}")
    elif not model_files:
        findings.problems.append(f"{folder}: no .pt or .pt2 file in it")
    facts = None
    for file in chosen:
        facts = look_into_model(findings, file) or facts
    return facts


def _compare_forward(findings, parameters, param_file, facts):
    """Compare what the .param file says about ``forward`` with the model."""
    from torchml_core.portable.forward import mismatch, wrong_form

    wrong = mismatch(facts.forward, parameters)
    if wrong:
        where = f"{param_file}: " if wrong_form(facts.forward, parameters) else ""
        findings.problems.append(where + wrong)
    if facts.n_returned is None:
        return
    if parameters.returns_forces and facts.n_returned == 1:
        findings.problems.append(
            f"{parameters.model_file}: forward returns one tensor, but the .param file says that "
            "it returns forces: an (energy, forces) tuple is needed, or False there"
        )
    if not parameters.returns_forces and facts.n_returned > 1:
        findings.notes.append(
            "the .param file says that no forces are returned, but forward returns "
            f"{facts.n_returned} values; the second one is taken for them"
        )


def _say_dtype(findings, parameters, param_file, card):
    """float64 or float32, and the reason."""
    dtype = "float64; float32 if torch refuses that (--run finds out)"
    if parameters.dtype:
        dtype = f"{parameters.dtype}, because {param_file} says so"
    elif card and card.dtype:
        dtype = f"{card.dtype}, because model.json says so"
    findings.fact("given in", dtype)


def _say_what_is_given(findings, parameters, param_file, facts):
    """Codes or atomic numbers, and the reason."""
    if not parameters.takes_species:
        return
    from ase.data import atomic_numbers

    from torchml_core.portable.species_input import decide, species_argument

    species = parameters.species
    place, argument = species_argument(facts.forward.arguments, parameters.convention)
    found = decide(argument, param_file, stored=parameters.species_input, place=place)
    findings.fact("given for species", found.describe(species))
    largest = max(atomic_numbers[symbol] for symbol in species)
    rows = max(facts.embeddings, default=0)
    if found.kind == "atomic_numbers":
        if 0 < rows <= largest:
            findings.notes.append(
                f"its embedding has {rows} rows, too few for atomic number {largest}: if it was"
                " trained on species codes, load it with species_input='codes'"
            )
    elif rows > max(largest, 3 * len(species), 9):
        findings.notes.append(
            f"its embedding has {rows} rows for {len(species)} species: if it was trained on atomic"
            " numbers, load it with species_input='atomic_numbers'"
        )


def _size(file):
    n = file.stat().st_size
    return f"{n} bytes" if n < 10_000 else f"{n / 1000:.0f} kB"
