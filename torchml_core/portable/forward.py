"""The arguments of a model's ``forward``, and whether its convention can call it.

A descriptor model has one of two forms, ``forward(descriptor)`` and ``forward(descriptor,
species)``. :meth:`PortableModel.create` finds out which one it is: the arguments without a default
value decide. An argument with a default keeps it, since nothing says what it is for.
"""

import warnings
from dataclasses import dataclass

from torchml_core import checks
from torchml_core.errors import FileFormatError, InputError, ModelError, ModelWarning


@dataclass(frozen=True)
class Forward:
    """What ``forward`` takes.

    Attributes
    ----------
    arguments : tuple of str
        The names, without ``self``.
    n_required : int
        How many of them have no default value.
    """

    arguments: tuple
    n_required: int

    def takes(self, n):
        """Whether it can be called with n tensors."""
        return self.n_required <= n <= len(self.arguments)

    def __str__(self):
        return f"forward({', '.join(self.arguments)})"


def mismatch(forward, parameters):
    """Return why ``forward`` cannot be given the inputs of the convention, as a text, or None."""
    n, convention = parameters.expected_n_inputs, parameters.convention
    if forward.takes(n):
        return None
    if wrong_form(forward, parameters):
        takes = "takes the descriptor alone" if n == 2 else "also takes the species"
        return (
            f"number of inputs = {parameters.n_inputs}: {3 - n} is needed, because {forward} of"
            f" {parameters.model_file} {takes}"
        )
    given = "1 or 2" if convention == "descriptor" else n
    return (
        f"{parameters.model_file}: forward takes {len(forward.arguments)} arguments; "
        f"the {convention} convention gives it {given}"
    )


def wrong_form(forward, parameters):
    """Whether the ``.param`` file says the wrong one of the two forms of descriptor models."""
    n = parameters.expected_n_inputs
    return parameters.convention == "descriptor" and not forward.takes(n) and forward.takes(3 - n)


def check_forward(forward, parameters, folder, param_file):
    """Raise an error unless ``forward`` takes the inputs of the convention.

    Parameters
    ----------
    forward : Forward
    parameters : ModelParameters
    folder : pathlib.Path
        Of the model, for messages.
    param_file : str
        The name of the ``.param`` file.

    Raises
    ------
    FileFormatError
        If the ``.param`` file says 1 input for a model that takes 2, or 2 for one that takes 1.
    ModelError
        If ``forward`` takes a number of arguments that the convention does not have.
    """
    wrong = mismatch(forward, parameters)
    if wrong and wrong_form(forward, parameters):
        raise FileFormatError(wrong, folder / param_file)
    if wrong:
        raise ModelError(f"{folder}: {wrong}")


def check_own_species(species, parameters):
    """Raise InputError if a module says in what order it numbers elements, and it is another one.

    Parameters
    ----------
    species : object
        The module's attribute of this name; anything but a sequence of texts is ignored.
    parameters : ModelParameters
    """
    codes = parameters.takes_species and parameters.species_input in (None, "codes")
    named = isinstance(species, (tuple, list)) and all(isinstance(s, str) for s in species)
    if codes and named and tuple(species) != parameters.species:
        given, own = (checks.shown(list(names)) for names in (parameters.species, species))
        raise InputError(
            f"species = {given}: {own}, the attribute species of the model, is needed: it is the"
            " order of its codes"
        )


def warn_of_equal_centers(forward, parameters, descriptor):
    """Warn if atoms of several species can get the same energy because nothing tells them apart."""
    if len(parameters.species) == 1 or parameters.takes_species or descriptor.tells_centers_apart:
        return
    ignored = "" if len(forward.arguments) == 1 else f" ({forward.arguments[1]} keeps its default)"
    warnings.warn(
        f"{forward} is given the descriptor alone{ignored}, and {type(descriptor).__name__} does"
        f" not tell centers of different species apart: atoms of {' and '.join(parameters.species)}"
        " with the same neighbors get the same energy; forward(descriptor, species) is also given"
        " the species of each atom",
        ModelWarning,
        stacklevel=3,
    )
