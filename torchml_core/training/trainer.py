"""Trainer: networks on descriptors, trained with any optimizer of torch."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from torchml_core import checks
from torchml_core.dataset import Dataset
from torchml_core.errors import InputError
from torchml_core.nn import DescriptorModel, ElementNetworks, ElementPolynomials, WithLinear
from torchml_core.nn.element_networks import SCALINGS
from torchml_core.nn.portable_form import OfOneElement, WithReferences
from torchml_core.portable.training_range import Ranges
from torchml_core.torch_threads import torch_threads as so_many_torch_threads
from torchml_core.training.losses import Loss, Totals, residuals
from torchml_core.training.steps import Best, Steps, diverged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import PathLike
    from torchml_core.dataset.batches import Batches
    from torchml_core.descriptors.base import Descriptor
    from torchml_core.portable.model import PortableModel

LAST_RATE = 1e-3  # of the cosine schedule, relative to the first
EVALUATED_AT_ONCE = 32  # structures


class Epoch(NamedTuple):
    """What :meth:`Trainer.fit` tells of an epoch.

    Attributes
    ----------
    number : int
        From 1.
    learning_rate : float
        At its end.
    loss : float
        Mean of the training set while the weights changed.
    errors : dict of str to float
        Root mean square errors of the training set during the epoch: "energy" in eV/atom, "forces"
        in eV/Å, "stress" in eV/Å³.
    validation_loss : float or None
        At its end, of the averaged weights if there are any; None without validation structures.
    validation_errors : dict of str to float
    seconds : float
    """

    number: int
    learning_rate: float
    loss: float
    errors: dict[str, float]
    validation_loss: float | None
    validation_errors: dict[str, float]
    seconds: float


class Trainer:
    """Fit a network on a descriptor to energies, forces and stresses.

    The loss is the sum over the labels of their weight times the mean square (or Huber's penalty)
    of their errors: energies in eV/atom, force components in eV/Å, virials in eV/atom (the stress
    times the volume per atom). Labels that are missing are left out.

    Parameters
    ----------
    descriptor : Descriptor
    network : torch.nn.Module
        See :class:`~torchml_core.nn.DescriptorModel`. It is trained in place.
    reference_energies : dict of str to float, optional
        Energies of free atoms, which the network does not learn. None: those of the data, see
        :meth:`Dataset.reference_energies`, unless the network has its own (WithLinear,
        ElementNetworks with reference_energies).
    optimizer : callable
        ``optimizer(parameters, lr=learning_rate)`` returns a torch.optim.Optimizer: a class of
        torch.optim, or a function of your own.
    learning_rate : float
    schedule : {"cosine", "constant"} or callable
        The learning rate of each step, relative to the first: down to 0.001 along a cosine, or
        ``schedule(progress)`` with progress from 0 to 1.
    batch_size : int
        Structures in a step.
    weights : dict of str to float, optional
        Of the squares of errors of "energy" (10), "forces" (1) and "stress" (10). Structures
        have weights too, see :meth:`Dataset.read`.
    loss : {"mse", "huber"}
    huber_delta : float
        Where Huber's penalty becomes linear, in eV/Å for forces; for the others it is divided by
        the root of their weight.
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
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        learning_rate: float = 3e-3,
        schedule: str | Callable[[float], float] = "cosine",
        batch_size: int = 16,
        weights: Mapping[str, float] | None = None,
        loss: str = "mse",
        huber_delta: float = 0.1,
        max_gradient_norm: float | None = None,
        average: float | None = None,
        patience: int | None = None,
        scaling: str | None = "principal_axes",
        seed: int = 0,
        callbacks: Sequence[Callable[[Trainer, Epoch], Any]] = (),
        torch_threads: int = 1,
        n_threads: int | None = None,
    ) -> None:
        self.model = DescriptorModel(
            descriptor, network, reference_energies=reference_energies, n_threads=n_threads
        )
        self.history: list[Epoch] = []
        self._loss = Loss(weights, loss, huber_delta)
        if not callable(optimizer):
            checks.refuse("optimizer", optimizer, "a class of torch.optim, or a function,")
        self._callbacks = tuple(checks.sequence("callbacks", callbacks, "a sequence of functions"))
        if not all(map(callable, self._callbacks)):
            checks.refuse("callbacks", callbacks, "a sequence of functions")
        self._optimizer = optimizer
        self._learning_rate = checks.positive("learning_rate", learning_rate)
        if not callable(schedule):
            schedule = SCHEDULES[checks.one_of("schedule", schedule, tuple(SCHEDULES))]
        self._schedule = schedule
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

    def fit(
        self, data: Dataset, *, validation: float | Dataset = 0.1, epochs: int = 100
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

        Returns
        -------
        list of Epoch

        Raises
        ------
        InputError
            If the data have no labels, or an argument cannot be used.
        ModelError
            If the loss is not finite any more.
        """
        epochs = checks.whole("epochs", epochs, 1)
        train, held_out = self._parts(data, validation)
        self.history = []
        with so_many_torch_threads(self._torch_threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            batches = self._batches(train, self._batch_size, seed=self._seed)
            self._prepare(train, batches)
            self._train(batches, self._batches(held_out, EVALUATED_AT_ONCE), epochs)
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
            return self._evaluated(self.model, self._batches(data, EVALUATED_AT_ONCE)).errors()

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
        from torchml_core.portable.model import PortableModel

        species, references = self.model.species, self.model.reference_energies
        module: torch.nn.Module = WithReferences(
            copy.deepcopy(self.network).eval(),
            [references[s] for s in species],
            self.model.takes_species,
        )
        return PortableModel.create(
            folder,
            model=OfOneElement(module) if len(species) == 1 else module,
            species=species,
            descriptor=self.descriptor,
            training_range=self._training_range(),
            reference_energies=references if any(references.values()) else None,
            **arguments,
        )

    # ----

    def _train(self, batches, held_out, epochs):
        steps = Steps(
            self.network,
            self._optimizer,
            self._learning_rate,
            self._schedule,
            epochs * len(batches),
            self._norm,
            self._average,
        )
        best, validated = Best(), copy.copy(self.model)
        validated._modules = {"network": steps.averaged}  # a copy shares the dict of modules
        for number in range(1, epochs + 1):
            start, totals = time.perf_counter(), Totals(self._loss)
            self.model.train()
            for batch in batches.of_epoch(number - 1):
                loss = totals.add(residuals(self._results(self.model, batch), batch))
                if loss is not None:  # it is None if no structure of the batch has a label
                    steps.step(loss)
            evaluated = self._evaluated(validated, held_out)
            found = Epoch(
                number,
                steps.rate,
                totals.loss(),
                totals.errors(),
                evaluated.loss(),
                evaluated.errors(),
                time.perf_counter() - start,
            )
            self.history.append(found)
            best.offer(found.validation_loss, steps.averaged)
            stops = [callback(self, found) is True for callback in self._callbacks]
            if any(stops) or (self._patience is not None and best.waited >= self._patience):
                break
        self.network.load_state_dict(best.weights)
        self.model.eval()

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
        )

    def _prepare(self, train, batches):
        """Scaling and reference energies, when the network is first trained."""
        if self._fitted is None:
            if self._find_references:
                known = train.reference_energies()
                self.model.reference_energies = {s: known.get(s, 0.0) for s in self.model.species}
            if self._scaling is not None and hasattr(self.network, "fit_scaling"):
                self.network.fit_scaling(*batches.values(), self._scaling)
        self._fitted = train

    def _results(self, model, batch):
        forces = bool(self._loss.weights["forces"]) and bool(batch.has_forces.any())
        stress = bool(self._loss.weights["stress"]) and bool(batch.has_stress.any())
        try:
            return model(batch, forces=forces, stress=stress)
        except InputError as error:
            if all(p.isfinite().all() for p in model.network.parameters()):
                raise
            raise diverged("weights are infinite, or not numbers") from error

    def _evaluated(self, model, batches):
        totals = Totals(self._loss)
        model.eval()
        with torch.no_grad():
            for batch in batches:
                totals.add(residuals(self._results(model, batch), batch))
        return totals

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


def _cosine(progress):
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * progress)) / 2


def _constant(_):
    return 1.0


SCHEDULES = {"cosine": _cosine, "constant": _constant}


def _or_none(check, name, value):
    return None if value is None else check(name, value)


def _has_references(network):
    """Whether the network's own energies contain those of free atoms."""
    if isinstance(network, WithLinear):
        network = network.linear
    if isinstance(network, ElementPolynomials):
        return bool(network.constant.any())
    if isinstance(network, ElementNetworks):
        return any(bool(own.reference) for own in network.networks)
    return False
