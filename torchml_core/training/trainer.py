"""Trainer: networks on descriptors, trained with any optimizer of torch."""

from __future__ import annotations

import copy
import time
import warnings
from typing import TYPE_CHECKING

import torch

from torchml_core import checks
from torchml_core.dataset import Dataset
from torchml_core.errors import InputError, ModelWarning
from torchml_core.nn import DescriptorModel, ElementNetworks, ElementPolynomials, WithLinear
from torchml_core.nn.compiled import uncompiled
from torchml_core.nn.element_networks import SCALINGS
from torchml_core.nn.portable_form import WithReferences
from torchml_core.portable.training_range import Ranges
from torchml_core.torch_threads import torch_threads as so_many_torch_threads
from torchml_core.training.checkpoint import (
    Checkpoint,
    data_text,
    descriptor_text,
    network_text,
    setting_text,
)
from torchml_core.training.epochs import Epoch, Epochs
from torchml_core.training.expected_errors import (
    ExpectedErrors,
    check_expected_errors,
    errors_by_kind,
    find_expected_errors,
)
from torchml_core.training.losses import Loss
from torchml_core.training.optimizers import LEARNING_RATE, OPTIMIZERS
from torchml_core.training.saving import save_model
from torchml_core.training.second_order import KalmanFilter, LevenbergMarquardt
from torchml_core.training.steps import SCHEDULES, Steps, evaluated_totals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import PathLike
    from torchml_core.dataset.batches import Batches
    from torchml_core.descriptors.base import Descriptor
    from torchml_core.portable.model import PortableModel

BATCH_SIZE = 16
EVALUATED_AT_ONCE = 32  # structures


class Trainer:
    """Fit a network on a descriptor to energies, forces and stresses.

    The loss is the sum over the labels of their weight times the mean square (or Huber's penalty)
    of their errors, each divided by what is expected for its label and kind of structure. Labels
    that are missing are left out.

    Parameters
    ----------
    descriptor : Descriptor
    network : torch.nn.Module
        See :class:`~torchml_core.nn.DescriptorModel`. It is trained in place, on the device that
        its parameters are on; the descriptor is computed on the processor.
    reference_energies : dict of str to float, optional
        Energies of free atoms, which the network does not learn. None: those of the data, see
        :meth:`Dataset.reference_energies`, unless the network has its own (WithLinear,
        ElementNetworks with reference_energies).
    optimizer : str, callable, LevenbergMarquardt or KalmanFilter
        "adam", "adamw", or "muon" (for matrices, and Adam for the rest);
        ``optimizer(parameters, lr=learning_rate)``, which returns a torch.optim.Optimizer: a class
        of torch.optim, or a function of your own; or one of our optimizers of second order, which
        have neither learning rate, schedule, clipping nor averages.
    learning_rate : float, optional
        None: 0.003.
    schedule : {"cosine", "constant"} or callable
        The learning rate of each step, relative to the first: down to 0.001 along a cosine, or
        ``schedule(progress)`` with progress from 0 to 1.
    batch_size : int, optional
        Structures in a step. None: 16; with KalmanFilter 1.
    expected_errors : "fit", None, or dict of str to (float or dict of str to float)
        Errors are divided by these: of "energy" (eV/atom), "forces" (eV/Å) and "stress" (eV/Å³),
        for all structures or by kind, as ``LinearFit.expected_errors``. "fit": those of a linear
        model, which is fitted to a part of the data first, in a few seconds. So labels that
        contradict the others lose their weight, such as energies that contain a kinetic energy.
        None: errors are not divided; they are in eV/atom, eV/Å, and, as virials, eV/atom.
    weights : dict of str to float, optional
        Of the squares of errors of "energy" (1; if expected_errors is None: 10), "forces" (1) and
        "stress" (1; 10). Structures have weights too, see :meth:`Dataset.read`.
    loss : {"mse", "huber"}
    huber_delta : float, optional
        Where Huber's penalty becomes linear, relative to what is expected (3); if expected_errors
        is None, in eV/Å for forces (0.1), and for the others divided by the root of their weight.
    max_gradient_norm : float, optional
        Longer gradients are scaled down to this norm.
    average : float, optional
        From 0 to 1, such as 0.99: the decay per step of an exponential moving average of the
        weights, which is then validated and kept.
    patience : int, optional
        Training ends after this many epochs without a lower loss on the validation structures.
    scaling : str or None
        How the first :meth:`fit` scales the inputs of a network with ``fit_scaling``, from the
        training set, see :meth:`ElementNetworks.fit_scaling`; None: it keeps its scaling.
    seed : int
        Of the validation structures, of the order of structures, and of torch's random numbers
        meanwhile (dropout). The network has its first weights already.
    callbacks : sequence of callable
        ``callback(trainer, epoch)`` is called after each epoch with an :class:`Epoch`; training
        ends if one returns True.
    torch_threads : int
        For the network. More than one rarely helps, since networks are small.
    n_threads : int, optional
        For the descriptor.

    Attributes
    ----------
    model : DescriptorModel
    history : list of Epoch
        Of the last :meth:`fit`.
    expected_errors : dict of str to (dict of str to float), or None
        By label and kind, by which the last :meth:`fit` divided errors.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> trainer = tm.training.Trainer(d, tm.nn.ElementNetworks(d))        # doctest: +SKIP
    >>> history = trainer.fit(data, epochs=100)                           # doctest: +SKIP
    >>> model = trainer.save("model")                                     # doctest: +SKIP
    """

    def __init__(
        self,
        descriptor: Descriptor,
        network: torch.nn.Module,
        *,
        reference_energies: Mapping[str, float] | None = None,
        optimizer: str
        | Callable[..., torch.optim.Optimizer]
        | LevenbergMarquardt
        | KalmanFilter = "adam",
        learning_rate: float | None = None,
        schedule: str | Callable[[float], float] = "cosine",
        batch_size: int | None = None,
        expected_errors: str | Mapping[str, float | Mapping[str, float]] | None = "fit",
        weights: Mapping[str, float] | None = None,
        loss: str = "mse",
        huber_delta: float | None = None,
        max_gradient_norm: float | None = None,
        average: float | None = None,
        patience: int | None = None,
        scaling: str | None = "principal_axes",
        seed: int = 0,
        callbacks: Sequence[Callable[[Trainer, Epoch], Any]] = (),
        torch_threads: int = 1,
        n_threads: int | None = None,
    ) -> None:
        self.history: list[Epoch] = []
        self._settings = {
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "batch_size": batch_size,
            "expected_errors": expected_errors,
            "weights": weights,
            "loss": loss,
            "huber_delta": huber_delta,
            "max_gradient_norm": max_gradient_norm,
            "average": average,
            "patience": patience,
            "scaling": scaling,
            "seed": seed,
            "reference_energies": reference_energies,
        }
        self._loss = Loss(weights, loss, huber_delta, relative=expected_errors is not None)
        self._expected = expected_errors
        if expected_errors != "fit":
            self._expected = check_expected_errors(expected_errors)
        self._callbacks = tuple(checks.sequence("callbacks", callbacks, "a sequence of functions"))
        if not all(map(callable, self._callbacks)):
            checks.refuse("callbacks", callbacks, "a sequence of functions")
        self._second_order = isinstance(optimizer, (LevenbergMarquardt, KalmanFilter))
        if self._second_order and isinstance(network, torch.nn.Module):
            network = uncompiled(network)  # many derivatives at a time are not compiled
        self.model = DescriptorModel(
            descriptor, network, reference_energies=reference_energies, n_threads=n_threads
        )
        self._optimizer = optimizer if self._second_order else _first_order(optimizer)
        if self._second_order:
            for name in ("learning_rate", "max_gradient_norm", "average"):
                if self._settings[name] is not None:
                    checks.refuse(name, self._settings[name], f"None, with {optimizer!r},")
        if learning_rate is None:
            learning_rate = LEARNING_RATE
        self._learning_rate = checks.positive("learning_rate", learning_rate)
        if not callable(schedule):
            schedule = SCHEDULES[checks.one_of("schedule", schedule, tuple(SCHEDULES))]
        self._schedule = schedule
        if batch_size is None:
            batch_size = 1 if isinstance(optimizer, KalmanFilter) else BATCH_SIZE
        self._batch_size = checks.whole("batch_size", batch_size, 1)
        self._norm = _or_none(checks.positive, "max_gradient_norm", max_gradient_norm)
        self._average = _or_none(checks.positive, "average", average)
        if self._average is not None and self._average >= 1:
            checks.refuse("average", average, "a number from 0 to 1")
        self._patience = None if patience is None else checks.whole("patience", patience, 1)
        self._scaling = None if scaling is None else checks.one_of("scaling", scaling, SCALINGS)
        self._seed = checks.whole("seed", seed, 0, 2**63 - 1)
        self._torch_threads = checks.whole("torch_threads", torch_threads, 1)
        self._n_threads = n_threads
        self._find_references = reference_energies is None and not _has_references(network)
        self._fitted: Dataset | None = None

    @property
    def descriptor(self) -> Descriptor:
        return self.model.descriptor

    @property
    def network(self) -> torch.nn.Module:
        return self.model.network

    @property
    def expected_errors(self) -> dict[str, dict[str, float]] | None:
        return None if self._loss.expected is None else self._loss.expected.errors

    def fit(
        self,
        data: Dataset,
        *,
        validation: float | Dataset = 0.1,
        epochs: int = 100,
        time_limit: float | None = None,
        checkpoint: PathLike | None = None,
    ) -> list[Epoch]:
        """Train the network; called again, go on with the weights it has.

        At the end it has the weights of the epoch with the lowest loss on the validation
        structures.

        Parameters
        ----------
        data : Dataset
        validation : float or Dataset
            The fraction that is taken at random from each kind of structure, or other structures.
            Without any, the last weights are kept.
        epochs : int
        time_limit : float, optional
            In seconds. After the first epochs, whose time is taken, the number of epochs that fit
            into the limit is fixed, at most ``epochs``. If not even these end in time, the epoch
            stops in the middle at the limit, and if later ones take much longer, at 1.1 times the
            limit. The last Epoch is then that of its first batches, and the better ones of the
            weights before it and after it are kept; LevenbergMarquardt keeps those before it.
        checkpoint : path-like, optional
            A file where the state of the training is kept: it is replaced in one step after epochs,
            at most every three seconds, and at the end. If the file is there, training goes on from
            it, and ends with the same weights as if it had not been interrupted, unless an epoch
            stops in the middle because of the time limit. If that training has ended, its result is
            returned.

        Returns
        -------
        list of Epoch
            Empty if the time limit was too short for anything.

        Raises
        ------
        InputError
            If the data have no labels, or an argument cannot be used; if the checkpoint was made
            with other data, settings (the time limit apart), descriptor or layers of the network.
        FileFormatError
            If the checkpoint is not a whole one.
        ModelError
            If the loss is not finite any more.

        Warns
        -----
        ModelWarning
            If the time limit was too short for anything: the network is as it was.
        """
        began = time.monotonic()
        epochs = checks.whole("epochs", epochs, 1)
        time_limit = _or_none(checks.positive, "time_limit", time_limit)
        train, held_out = self._parts(data, validation)
        file = state = None
        if checkpoint is not None:
            file = Checkpoint(checkpoint, self._texts(train, held_out, epochs))
            state = file.read()
        devices = [self._device] if self._device.type == "cuda" else []
        with so_many_torch_threads(self._torch_threads), torch.random.fork_rng(devices):
            torch.manual_seed(self._seed)
            batches = self._batches(train, self._batch_size, seed=self._seed)
            self._prepare(train, batches, state)
            steps = self._steps()
            evaluated = self._batches(held_out, EVALUATED_AT_ONCE)
            running = Epochs(
                self.model, self._loss, steps, batches, evaluated, epochs, time_limit, began
            )
            if state is not None:
                running.load_state_dict(state["epochs"])
            self.history = running.history
            while not running.finished:
                epoch = running.next()
                told = self._callbacks if epoch is not None else ()
                stops = [callback(self, epoch) is True for callback in told]
                waited = self._patience is not None and running.waited >= self._patience
                running.finished = running.finished or waited or any(stops)
                if file is not None:
                    file.write(self._state(running), at_once=running.finished)
            running.end()
        if not self.history:
            warnings.warn(
                f"time_limit = {time_limit:g}: not even the first epoch ends in that time, so the"
                " network is as it was; a longer one, fewer structures, or an optimizer of first"
                " order is needed",
                ModelWarning,
                stacklevel=2,
            )
        return self.history

    def errors(self, data: Dataset) -> dict[str, float]:
        """Return the root mean square errors on a data set.

        Returns
        -------
        dict of str to float
            Of the labels that there are: "energy" in eV/atom, "forces" in eV/Å, "stress" in eV/Å³.
        """
        check_dataset(data)
        with so_many_torch_threads(self._torch_threads):
            batches = self._batches(data, EVALUATED_AT_ONCE)
            return evaluated_totals(self.model, batches, self._loss).errors()

    def save(self, folder: PathLike, **arguments: Any) -> PortableModel:
        """Write a portable model, with reference energies and the range of the training set.

        Parameters
        ----------
        folder : path-like
        **arguments
            Of :meth:`PortableModel.create`, such as license and citation.

        Returns
        -------
        PortableModel
            With one element its ``forward`` takes the descriptor alone, as the original driver
            calls it.
        """
        species, references = self.model.species, self.model.reference_energies
        module = WithReferences(
            copy.deepcopy(uncompiled(self.network)).cpu().eval(),
            [references[s] for s in species],
            self.model.takes_species,
        )
        return save_model(
            folder,
            module,
            self.descriptor,
            species,
            self._training_range(),
            references,
            **arguments,
        )

    # ----

    def _parts(self, data, validation):
        check_dataset(data)
        if isinstance(validation, Dataset):
            train, held_out = data, validation
        else:
            fraction = checks.number("validation", validation)
            train, held_out = data.split(fraction, seed=self._seed)
        wanted = [name for name, weight in self._loss.weights.items() if weight]
        if not any(map(train.count, wanted)):
            raise InputError("data: energies, forces or stresses are needed")
        if self._patience is not None and not any(map(held_out.count, wanted)):
            raise InputError("validation: structures with labels are needed for patience")
        return train, held_out

    def _batches(self, data, size, seed=None) -> Batches:
        dtypes = {p.dtype for p in self.network.parameters()}
        dtype = torch.float32 if dtypes == {torch.float32} else torch.float64
        species = None if self.descriptor.species else self.model.species
        return data.batches(
            self.descriptor,
            size,
            seed=seed,
            dtype=dtype,
            species=species,
            n_threads=self._n_threads,
            device=self._device,
        )

    @property
    def _device(self):
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    def _prepare(self, train, batches, state):
        """Expected errors; reference energies and scaling, when the network is first trained."""
        if state is not None:
            self.model.reference_energies = dict(state["reference_energies"])
            errors = state["expected_errors"]
            self._loss.expected = None if errors is None else ExpectedErrors(errors)
            self._fitted = train
            return
        if self._fitted is None:
            if self._find_references:
                known = train.reference_energies()
                self.model.reference_energies = {s: known.get(s, 0.0) for s in self.model.species}
            if self._scaling is not None and hasattr(self.network, "fit_scaling"):
                self.network.fit_scaling(*batches.values(), self._scaling)
        if self._expected == "fit":
            errors = find_expected_errors(self.descriptor, train, self._seed, self._n_threads)
            self._loss.expected = ExpectedErrors(errors)
        elif self._expected is not None:
            self._loss.expected = ExpectedErrors(errors_by_kind(self._expected, train))
        self._fitted = train

    def _steps(self):
        if self._second_order:
            return self._optimizer.steps(self.model, self._loss)
        return Steps(
            self.model,
            self._loss,
            self._optimizer,
            self._learning_rate,
            self._schedule,
            self._norm,
            self._average,
        )

    def _state(self, running):
        return {
            "epochs": running.state_dict(),
            "reference_energies": dict(self.model.reference_energies),
            "expected_errors": self.expected_errors,
        }

    def _texts(self, train, held_out, epochs):
        """What a checkpoint is made with."""
        texts = {name: setting_text(value) for name, value in self._settings.items()}
        return texts | {
            "epochs": str(epochs),
            "data": data_text(train),
            "validation": data_text(held_out),
            "descriptor": descriptor_text(self.descriptor),
            "network": network_text(self.network),
        }

    def _training_range(self):
        if self._fitted is None:
            return None
        ranges = Ranges(self.descriptor, self.model.species)
        for k in range(len(self._fitted)):
            c = self._fitted.configuration(k, self.descriptor.cutoff, self.model.species)
            ranges.add(c, self.descriptor.compute(c, n_threads=self._n_threads))
        return ranges.found()


def check_dataset(data):
    """Raise InputError for what is not a Dataset."""
    if not isinstance(data, Dataset):
        checks.refuse("data", data, "a Dataset")


def _first_order(optimizer):
    """The function that makes a torch.optim.Optimizer."""
    if isinstance(optimizer, str):
        return OPTIMIZERS[checks.one_of("optimizer", optimizer, tuple(OPTIMIZERS))]
    if not callable(optimizer) or optimizer in (LevenbergMarquardt, KalmanFilter):
        checks.refuse(
            "optimizer",
            optimizer,
            f"a class of torch.optim, a function, one of {', '.join(OPTIMIZERS)}, or"
            " LevenbergMarquardt() or KalmanFilter()",
        )
    return optimizer


def _or_none(check, name, value):
    return None if value is None else check(name, value)


def _has_references(network):
    """Whether the network's own energies contain those of free atoms."""
    network = uncompiled(network)
    if isinstance(network, WithLinear):
        network = network.linear
    if isinstance(network, ElementPolynomials):
        return bool(network.constant.any())
    if isinstance(network, ElementNetworks):
        return any(bool(own.reference) for own in network.networks)
    return False
