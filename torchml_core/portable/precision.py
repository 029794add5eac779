"""The floating type that a model is given, which is decided once.

The original driver feeds float64, in a process whose default type of torch is float32 (the type of
tensors that a model creates without naming one). So float64 comes first, whatever the type of the
weights: many networks of float32 compute distances in float64, and a few constants of float32 do
not make a float32 model. Only if torch refuses ("expected ... to have the same dtype") does the
model get something else. The choices, in this order:

1. float64;
2. float64, with a default type of float64: if the weights are float64. Models that were written
   under ``torch.set_default_dtype(torch.float64)`` create float64 tensors without saying so;
3. float32, and then the type of the weights.

The first evaluation decides, and all later ones are done in the same way, even if torch then
refuses: results of one model never have different numbers of digits. Structures without neighbors
do not decide, since models may treat them in a special way, and a refusal may be due to a special
structure. In these cases a small cluster, the same each time, is evaluated too.
"""

from typing import NamedTuple

import torch

from torchml_core.errors import ModelError
from torchml_core.portable.evaluation import refuses_dtype

F32, F64 = torch.float32, torch.float64


class Choice(NamedTuple):
    """The type of positions or descriptors, and torch's default type while the model runs."""

    dtype: torch.dtype
    default: torch.dtype = F32


class Precision:
    """The choices that are left; see the module's docstring.

    Parameters
    ----------
    weights_dtype : torch.dtype
    asked : str, optional
        The type that is asked for, "float64" or "float32".

    Attributes
    ----------
    choice : Choice
        The one that is used, or tried first.
    decided : bool
    """

    def __init__(self, weights_dtype, asked=None):
        dtypes = (F64, F32, weights_dtype) if asked is None else (getattr(torch, asked),)
        choices = [Choice(dtype) for dtype in dict.fromkeys(dtypes)]
        if weights_dtype == F64 and choices[0].dtype == F64:
            choices.insert(1, Choice(F64, default=F64))
        self._choices = tuple(choices)
        self._asked = asked
        self._trials = {}

    @property
    def choice(self):
        return self._choices[0]

    @property
    def decided(self):
        return len(self._choices) == 1

    def run(self, attempt, trial=None):
        """Evaluate in the decided way, or find the first one that torch does not refuse.

        Parameters
        ----------
        attempt : callable
            Takes a Choice and returns an Outcome, or raises ModelError.
        trial : callable, optional
            The same, for the small cluster. None: every structure may decide.

        Returns
        -------
        Outcome

        Raises
        ------
        ModelError
        """
        refused, found = None, None
        choices, decided = self._choices, self.decided  # another thread may decide meanwhile
        for choice in choices:
            try:
                outcome = attempt(choice)
            except ModelError as error:
                if not refuses_dtype(error):
                    raise
                if not decided and trial and self._passes(trial, choice):
                    self._choices, decided = (choice,), True
                if decided:
                    raise self._explained(error, choice) from error.__cause__
                refused = refused or error
                continue
            found = found or outcome
            if decided:
                return outcome
            if trial is None or outcome.inputs.interacting or self._passes(trial, choice):
                self._choices = (choice,)
                return outcome
        if found is None:
            raise refused
        return found  # the cluster cannot be evaluated in any way: the next structure may decide

    def _passes(self, trial, choice):
        """Whether the cluster can be evaluated in this way; remembered."""
        if choice not in self._trials:
            try:
                trial(choice)
            except ModelError:
                self._trials[choice] = False
            else:
                self._trials[choice] = True
        return self._trials[choice]

    def _explained(self, error, choice):
        if self._asked:
            return error
        name = str(choice.dtype).removeprefix("torch.")
        return ModelError(
            f"{error}; the model is given {name}, which it takes for other structures"
            " (dtype=... of PortableModel.load gives it another type)"
        )
