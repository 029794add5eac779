from typing import Any

from numpy.typing import DTypeLike, NDArray

from torchml_core.threads import Threads

GOOD: int
NOT_FINITE: int

class ConfigurationView:
    def __init__(
        self,
        positions: NDArray,
        species: NDArray,
        centers: NDArray,
        offsets: NDArray,
        neighbors: NDArray,
    ) -> None: ...

class Kept:
    nbytes: int
    def __init__(
        self, kernel: Kernel, lists: ConfigurationView, dtype: DTypeLike, most_bytes: int
    ) -> None: ...

class Kernel:
    arrays: list[Any]

    @property
    def with_energies(self) -> bool: ...
    def compute(
        self, lists: ConfigurationView, out: NDArray, threads: Threads, kept: Kept | None = None
    ) -> int: ...
    def jvp(self, lists: ConfigurationView, dr: NDArray, out: NDArray, threads: Threads) -> int: ...
    def jacobian(self, lists: ConfigurationView, out: NDArray, threads: Threads) -> int: ...
    def pair_gradients(
        self, lists: ConfigurationView, dE_dD: NDArray, out: NDArray, threads: Threads
    ) -> int: ...
    def vjp(
        self,
        lists: ConfigurationView,
        dE_dD: NDArray,
        out: NDArray,
        virial: NDArray | None,
        threads: Threads,
        energies: NDArray | None = None,
        kept: Kept | None = None,
    ) -> int: ...
