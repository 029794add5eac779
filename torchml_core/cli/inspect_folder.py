"""The folder of a portable model: each of its files, how they agree, and a trial."""

import os
from contextlib import contextmanager

from torchml_core.cli.inspect_file import (
    MODEL_SUFFIXES,
    look_into_descriptor,
    look_into_model,
    look_into_parameters,
)
from torchml_core.errors import ModelError, TorchMLError


def look_into_folder(findings, folder, device):
    """Add what the folder holds and everything wrong with it."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    findings.fact("portable model", str(folder))
    findings.fact("files", [f"{file.name}  {_size(file)}" for file in files])
    parameters = None
    for file in _wanted(findings, folder, files, ".param"):
        parameters = look_into_parameters(findings, file) or parameters
    descriptor = _descriptor(findings, folder, files, parameters)
    model_files = [file for file in files if file.suffix in MODEL_SUFFIXES]
    facts = _model(findings, folder, model_files, parameters, device)
    if parameters and descriptor:
        from torchml_core.portable.model import disagreements

        findings.problems += disagreements(parameters, descriptor)
    if parameters and facts:
        _compare_forward(findings, parameters, facts)
    if not findings.problems:
        _try(findings, folder, device)


def _wanted(findings, folder, files, suffix):
    """The files of a suffix; a problem unless there is one."""
    found = [file for file in files if file.suffix == suffix]
    if not found:
        findings.problems.append(f"{folder}: no {suffix} file in it; a portable model needs one")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        findings.problems.append(
            f"{folder}: {len(found)} {suffix} files ({names}); only one may be"
        )
    return found


def _descriptor(findings, folder, files, parameters):
    """The descriptor of the folder, if it should have one and it can be read."""
    if parameters is None or parameters.convention == "descriptor":
        kind = parameters.descriptor if parameters else None
        if parameters is None and not any(file.suffix == ".dat" for file in files):
            return None  # perhaps it needs none
        descriptor = None
        for file in _wanted(findings, folder, files, ".dat"):
            descriptor = look_into_descriptor(findings, file, kind, labels=False) or descriptor
        return descriptor
    findings.notes += [
        f"{file.name} is not used: the model is a {parameters.convention} one"
        for file in files
        if file.suffix == ".dat"
    ]
    return None


def _model(findings, folder, model_files, parameters, device):
    """Look into the model that the .param file names, or into all that are there."""
    chosen = model_files
    if parameters:
        chosen = [file for file in model_files if file.name == parameters.model_file]
        others = [file.name for file in model_files if file not in chosen]
        if not chosen:
            findings.problems.append(
                f"{folder}: {parameters.model_file}, which the .param file names, is not there; "
                f"there is {', '.join(others) or 'no .pt or .pt2 file'}"
            )
        elif others:
            findings.notes.append(f"not used: {', '.join(others)}")
    elif not model_files:
        findings.problems.append(f"{folder}: no .pt or .pt2 file in it")
    facts = None
    for file in chosen:
        facts = look_into_model(findings, file, device) or facts
    return facts


def _compare_forward(findings, parameters, facts):
    """What the .param file says of ``forward`` against what it is."""
    n_arguments, expected = len(facts.arguments), parameters.expected_n_inputs
    if n_arguments != expected:
        findings.problems.append(
            f"{parameters.model_file}: forward takes {n_arguments} arguments; "
            f"the {parameters.convention} convention gives it {expected}"
        )
    if facts.n_returned is None:
        return
    if parameters.returns_forces and facts.n_returned == 1:
        findings.problems.append(
            f"{parameters.model_file}: forward returns one tensor, but the .param file says that "
            "it returns forces: an (energy, forces) tuple is needed, or False there"
        )
    if not parameters.returns_forces and facts.n_returned == 2:
        findings.notes.append(
            "the .param file says that no forces are returned, but forward returns two values; "
            "the second one is taken for them"
        )


def _try(findings, folder, device):
    """Load the folder as users do, and evaluate a small crystal."""
    from torchml_core.portable.conventions import ELEMENTS_MAP
    from torchml_core.portable.model import PortableModel

    model = findings.attempt(PortableModel.load, folder, device=device)
    if model is None:
        return
    crystal = trial_crystal(model.species, model.cutoff)
    name = f"trial on {crystal.get_chemical_formula()}"
    try:
        findings.fact(name, _result(model, crystal))
    except ModelError as error:
        if model.convention == "descriptor" or ELEMENTS_MAP in os.environ:
            findings.problems.append(str(error))
            return
        _try_with_atomic_numbers(findings, model, crystal, name, error)
    except TorchMLError as error:
        findings.problems.append(str(error))


def _try_with_atomic_numbers(findings, model, crystal, name, error):
    """Some models are made for atomic numbers: that is how they are to be used, no fault."""
    from torchml_core.portable.conventions import ELEMENTS_MAP

    try:
        with _environment(ELEMENTS_MAP, "1"):
            result = _result(model, crystal)
    except TorchMLError:
        findings.problems.append(str(error))
        return
    findings.fact(name, f"{result}, with {ELEMENTS_MAP} set")
    reason = str(error).partition(";")[0]
    findings.notes.append(
        f"it takes atomic numbers, not species codes: set the environment variable {ELEMENTS_MAP}"
        f" (to anything) wherever it is used; without, {reason}"
    )


def trial_crystal(species, cutoff):
    """A small cubic crystal of all species, off its ideal sites, with neighbors in the cutoff."""
    from ase.build import bulk
    from ase.data import atomic_numbers, covalent_radii

    largest = max(covalent_radii[atomic_numbers[symbol]] for symbol in species)
    nearest = min(2.2 * largest, 0.8 * cutoff)
    repeat = -(-len(species) // 8)  # 8 sites a cell: room for every species
    crystal = bulk("Si", "diamond", a=nearest * 4 / 3**0.5, cubic=True) * (repeat, 1, 1)
    crystal.set_chemical_symbols([species[k % len(species)] for k in range(len(crystal))])
    crystal.rattle(0.03 * nearest, seed=1)
    return crystal


def _result(model, crystal):
    prediction = model.evaluate(crystal).fold()
    largest = (prediction.forces**2).sum(axis=1).max() ** 0.5
    return f"energy {prediction.energy:.6g} eV, largest force {largest:.3g} eV/Å"


@contextmanager
def _environment(name, value):
    """Set an environment variable that is not set, for as long as this lasts."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _size(file):
    n = file.stat().st_size
    return f"{n} bytes" if n < 10_000 else f"{n / 1000:.0f} kB"
