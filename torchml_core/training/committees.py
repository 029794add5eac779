"""Committees: several trainings of the same model, whose spread estimates their error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks, files
from torchml_core.errors import InputError
from torchml_core.portable.folder import MEMBERS_FOLDER, member_folders
from torchml_core.training.trainer import Trainer, check_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from torchml_core.annotations import PathLike
    from torchml_core.dataset import Dataset
    from torchml_core.portable.committee import Committee

MEMBERS = 4


def committee(
    make: Callable[[int], Trainer],
    data: Dataset,
    folder: PathLike,
    *,
    n: int = MEMBERS,
    by: str = "seed",
    seed: int = 0,
    validation: float | Dataset = 0.1,
    epochs: int = 100,
    time_limit: float | None = None,
    checkpoint: PathLike | None = None,
    **arguments: Any,
) -> Committee:
    """Train several models and save them as a committee.

    Parameters
    ----------
    make : callable
        ``make(seed)`` returns a new :class:`Trainer` with a new network, such as
        ``lambda seed: Trainer(d, tm.nn.ElementNetworks(d), seed=seed)``. Torch's random numbers are
        seeded before it is called, so first weights differ. Seeds are ``seed``, ``seed + 1``, ...
    data : Dataset
    folder : path-like
        Members are written to ``folder/members/1``, ..., which must not be there yet; this is what
        :meth:`Committee.load` reads.
    n : int
        Members, at least 2.
    by : {"seed", "bagging"}
        In what they differ: first weights and whatever else ``make`` does with the seed; with
        bagging also in their structures. Each member then gets as many as there are, drawn at
        random with repetitions, and those that were not drawn are its validation structures.
    seed : int
    validation, epochs
        As for :meth:`Trainer.fit`; bagging has validation structures of its own, so there
        validation is ignored.
    time_limit : float, optional
        In seconds, of all members together.
    checkpoint : path-like, optional
        The states of the trainings are kept in this file with ``.1``, ``.2``, ... appended, see
        :meth:`Trainer.fit`: trainings that were interrupted go on.
    **arguments
        Of :meth:`PortableModel.create`, such as license and citation.

    Returns
    -------
    Committee

    Raises
    ------
    InputError
        If an argument cannot be used, or the folder has members.
    Others
        As :meth:`Trainer.fit` and :meth:`Trainer.save`.
    """
    from torchml_core.portable.committee import Committee

    check_dataset(data)
    n, by = checks.whole("n", n, 2), checks.one_of("by", by, ("seed", "bagging"))
    seed = checks.whole("seed", seed, 0, 2**31)
    path = files.as_path("folder", folder)
    if member_folders(path):
        raise InputError(f"folder = {str(path)!r}: one without {MEMBERS_FOLDER} is needed")
    if time_limit is not None:
        time_limit = checks.positive("time_limit", time_limit)
    states = None if checkpoint is None else files.as_path("checkpoint", checkpoint)
    end, trainers = time.monotonic() + (time_limit or 0.0), []
    for k in range(n):
        trainer, (own, held_out) = _made(make, seed + k), (data, validation)
        if by == "bagging":
            own, held_out = _bag(data, seed + k)
        trainer.fit(
            own,
            validation=held_out,
            epochs=epochs,
            time_limit=time_limit and max((end - time.monotonic()) / (n - k), 1e-3),
            checkpoint=states and states.with_name(f"{states.name}.{k + 1}"),
        )
        trainers.append(trainer)
    members = [path / MEMBERS_FOLDER / str(k + 1) for k in range(n)]
    with torch.random.fork_rng(devices=[]):
        return Committee(
            [t.save(member, **arguments) for t, member in zip(trainers, members, strict=True)]
        )


def _made(make, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trainer = make(seed)
    if not isinstance(trainer, Trainer):
        checks.refuse("make", make, "a function of a seed that returns a Trainer")
    return trainer


def _bag(data, seed):
    """Structures drawn with repetitions, and those that were not drawn."""
    drawn = np.random.default_rng(seed).integers(len(data), size=len(data))
    return data.select(np.sort(drawn).tolist()), data.select(
        sorted(set(range(len(data))) - set(drawn.tolist()))
    )
