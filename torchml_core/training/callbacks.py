"""Callbacks of Trainer that write what happens into files."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from torchml_core import files
from torchml_core.dataset.example import NAMES
from torchml_core.errors import UnsupportedError

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.annotations import PathLike
    from torchml_core.training.epochs import Epoch
    from torchml_core.training.trainer import Trainer

UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
COLUMNS = (
    *("epoch", "learning rate", "loss", "validation loss", "seconds"),
    *(f"{name} ({UNITS[name]})" for name in NAMES),
    *(f"validation {name} ({UNITS[name]})" for name in NAMES),
)


class CSVFile:
    """A callback of :class:`Trainer`: a table with a row for each epoch.

    A training that goes on from a checkpoint gets a whole table, too. Numbers that there are not,
    such as errors of labels that the data do not have, are empty.

    Parameters
    ----------
    path : path-like
        A file that is there is replaced.

    Examples
    --------
    >>> trainer = tm.training.Trainer(d, network, callbacks=[CSVFile("x.csv")])   # doctest: +SKIP
    """

    def __init__(self, path: PathLike) -> None:
        self.path = files.as_path("path", path)
        files.require_place("path", self.path)

    def __call__(self, trainer: Trainer, epoch: Epoch) -> None:
        """Write the epochs so far."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_row(own) for own in trainer.history)
        files.replace_bytes("path", str(self.path), text.getvalue().encode())


class TensorBoard:
    """A callback of :class:`Trainer`: losses, errors and the learning rate for TensorBoard.

    Parameters
    ----------
    folder : path-like
        Where TensorBoard looks for runs.

    Raises
    ------
    UnsupportedError
        If the package tensorboard is not installed.
    """

    def __init__(self, folder: PathLike) -> None:
        self.folder = files.as_path("folder", folder)
        self._writer: Any = None
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise UnsupportedError(
                f"TensorBoard: the package tensorboard is needed (pip install tensorboard): {error}"
            ) from None

    def __call__(self, trainer: Trainer, epoch: Epoch) -> None:
        """Write what is new."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=epoch.number)
        for name, value in zip(COLUMNS[1:], _row(epoch)[1:], strict=True):
            if value != "":
                self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def __getstate__(self):
        return {"folder": self.folder, "_writer": None}  # a writer has threads


def _row(epoch):
    values = [epoch.number, epoch.learning_rate, epoch.loss, epoch.validation_loss, epoch.seconds]
    for errors in (epoch.errors, epoch.validation_errors):
        values += [errors.get(name) for name in NAMES]
    return ["" if value is None else value for value in values]
