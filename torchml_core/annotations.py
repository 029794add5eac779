"""Types of public arguments and results, for annotations alone: not imported at run time."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from torchml_core.configuration import Configuration
from torchml_core.structure import Structure

PathLike: TypeAlias = str | os.PathLike[str]
StructureLike: TypeAlias = Atoms | Structure
Evaluated: TypeAlias = Atoms | Structure | Configuration
Floats: TypeAlias = NDArray[np.floating[Any]]
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer[Any]]
Array: TypeAlias = NDArray[Any]
# one for all pairs of species, or one for each pair
Cutoffs: TypeAlias = float | Mapping[tuple[str, str], float]
# a type, "g1" ... "g5", and the rows of its parameters
Functions: TypeAlias = Sequence[tuple[str, Sequence[Sequence[float]]]]
Convention: TypeAlias = Literal["raw", "descriptor", "graph"]
SpeciesInput: TypeAlias = str
