"""What is compared: programs that do the same work, in cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchml_core.bench.turns import Seconds


class Agreement(NamedTuple):
    """How far results are from ours.

    Attributes
    ----------
    what : str
        What was compared.
    difference : float
        The largest, relative to the largest value, or absolute where ``what`` says so.
    allowed : float
    """

    what: str
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


class Program(NamedTuple):
    """One of those that are measured.

    Attributes
    ----------
    name : str
        The title of its column.
    run : callable
        Does the work once; its result is dropped.
    peer : str
        The package, by its name in ``peers.PEERS``. Empty: ours.
    against : str
        Of a peer: the name of the program of ours that does the same work.
    check : callable, optional
        Of a peer: returns an Agreement.
    note : str
        What should be known of the figures; of a peer without a check: why there is none.
    seconds : callable, optional
        Measures the work, where this is not all of ``run``: as ``turns.timed``, of repetitions.
    """

    name: str
    run: Callable[[], object]
    peer: str = ""
    against: str = ""
    check: Callable[[], Agreement] | None = None
    note: str = ""
    seconds: Callable[[int], Seconds] | None = None


class Case(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    make : callable
        Of the number of threads; returns how much work there is (atoms, pairs), and programs. Other
        packages are imported when their programs run, not here.
    quick : bool
        Whether it is one of those of ``--quick``.
    """

    make: Callable[[int], tuple[float, list[Program]]]
    quick: bool = False


class Comparison(NamedTuple):
    """A table of the report."""

    name: str
    title: str
    unit: str
    first: str
    text: str
    cases: dict[str, Case]
