"""A trial of a portable model on a small crystal, which runs its code."""

from torchml_core.errors import ModelError, TorchMLError
from torchml_core.portable.trial_crystal import trial_crystal


def try_model(findings, folder, *, device=None, trust=False):
    """Load the folder as users do, and evaluate a small crystal."""
    from torchml_core.portable.model import PortableModel

    options = {"device": device, "trust": trust}
    model = findings.attempt(PortableModel.load, folder, **options)
    if model is None:
        return
    crystal = trial_crystal(model.species, model.parameters.cutoff)
    name = f"trial on {crystal.get_chemical_formula()}"
    try:
        findings.fact(name, _result(model, crystal))
    except ModelError as error:
        if model.species_input is None or model.species_input.kind == "atomic_numbers":
            findings.problems.append(str(error))
            return
        _try_with_atomic_numbers(findings, folder, options, crystal, name, error)
    except TorchMLError as error:
        findings.problems.append(str(error))


def _try_with_atomic_numbers(findings, folder, options, crystal, name, error):
    """Try again with atomic numbers: a model made for them is not wrong."""
    from torchml_core.portable.model import PortableModel

    try:
        model = PortableModel.load(folder, species_input="atomic_numbers", **options)
        result = _result(model, crystal)
    except TorchMLError:
        findings.problems.append(str(error))
        return
    findings.fact(name, f"{result}, given atomic numbers")
    reason = str(error).partition(";")[0]
    findings.notes.append(
        "it takes atomic numbers, not species codes: load it with species_input='atomic_numbers',"
        " or add this line to its .param file: '# torchml_core: species_input = atomic_numbers';"
        f" without, {reason}"
    )


def _result(model, crystal):
    prediction = model.evaluate(crystal).fold()
    largest = (prediction.forces**2).sum(axis=1).max() ** 0.5
    dtype = str(model.dtype).removeprefix("torch.")
    return f"energy {prediction.energy:.6g} eV, largest force {largest:.3g} eV/Å, in {dtype}"
