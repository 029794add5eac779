"""A trial of a portable model on a small crystal, which runs its code."""

import os
from contextlib import contextmanager

from torchml_core.errors import ModelError, TorchMLError


def try_model(findings, folder, *, device=None, trust=False):
    """Load the folder as users do, and evaluate a small crystal."""
    from torchml_core.portable.conventions import ELEMENTS_MAP
    from torchml_core.portable.model import PortableModel

    model = findings.attempt(PortableModel.load, folder, device=device, trust=trust)
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
