"""look_at: what is unusual or wrong in a data set, before a model is fitted to it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchml_core import checks

if TYPE_CHECKING:
    from torchml_core.dataset.dataset import Dataset

MOST_SHOWN = 6


@dataclass(frozen=True)
class Finding:
    """Something about a data set that one should know before a model is fitted to it.

    Attributes
    ----------
    kind : str
        What it is about, see :func:`look_at`.
    message : str
        What was found, and what can be done.
    labels : tuple of str
        The structures that it is about, ``file@index``; empty if it is about all of them.
    """

    kind: str
    message: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" ({shortened(self.labels)})" if self.labels else ""
        return f"{self.kind}: {self.message}{where}"


def look_at(data: Dataset, *, n_threads: int | None = None) -> list[Finding]:
    """Look for what is unusual or wrong in a data set.

    Parameters
    ----------
    data : Dataset
    n_threads : int, optional
        For the descriptor.

    Returns
    -------
    list of Finding
        Empty if nothing was found. Kinds of findings:

        - ``"empty"``: structures without atoms;
        - ``"close atoms"``: atoms closer than 0.55 times the sum of their covalent radii;
        - ``"fragments"``: parts of a structure that are so far away from each other that a model
          does not see one from the other;
        - ``"rare elements"``: elements with few atoms, or pairs of them that are neighbors in no
          structure or only a few;
        - ``"duplicates"``: the same structure several times, also moved, rotated, or with its atoms
          in another order;
        - ``"contradictions"``: duplicates with different labels;
        - ``"net force"``: forces whose sum is not zero;
        - ``"large forces"``;
        - ``"energy outliers"``: single energies that are far from what the others suggest;
        - ``"energies and forces"``: energies of a kind of structures that are not those whose
          derivatives the forces are, or have another zero than the others; forces of the wrong
          sign or unit;
        - ``"stress"``: stresses in another order, of another sign, or in another unit.

    Notes
    -----
    Energies and stresses are compared with those of a small linear model that is fitted to the
    forces of up to 150 structures. Errors that are not larger than the error of this model are not
    found. See docs/training.md.
    """
    from torchml_core.dataset.dataset import Dataset
    from torchml_core.dataset.look import labels, structures

    if not isinstance(data, Dataset):
        checks.refuse("data", data, "a Dataset")
    found = structures.empty(data)
    data = data.select([k for k, example in enumerate(data) if example.n_atoms])
    found += labels.net_forces(data) + labels.large_forces(data)
    if any(example.n_atoms > 1 or example.atoms.pbc.any() for example in data):
        from torchml_core.dataset.look.compared import compare  # imports torch

        found += compare(data, n_threads)
    return found


def shortened(labels):
    """Return ``a.xyz@0,3,4 b.xyz@7 and 12 more`` of labels ``file@index``."""
    by_file = defaultdict(list)
    for label in labels[:MOST_SHOWN]:
        file, at, index = label.partition(" (line ")[0].rpartition("@")
        by_file[file + at].append(index)
    shown = " ".join(f"{file}{','.join(indices)}" for file, indices in by_file.items())
    rest = len(labels) - MOST_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
