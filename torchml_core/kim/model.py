"""A portable model for KIM: lengths and results are in the units of the simulator."""

import contextlib
import os
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from torchml_core import checks
from torchml_core.errors import TorchMLError
from torchml_core.kim.extrapolations import Extrapolations
from torchml_core.kim.ranks import device_of_this_rank
from torchml_core.portable.model import PortableModel
from torchml_core.threads import threads_of_text
from torchml_core.torch_threads import torch_threads
from torchml_core.voigt import as_voigt

THREADS = "TORCHML_CORE_KIM_THREADS"


class Results(NamedTuple):
    """The simulator's arrays to be filled; None if not requested.

    Attributes
    ----------
    energy : (1, 1) float64
    particle_energies : (n_particles, 1) float64
    forces : (n_particles, 3) float64
    virial : (1, 6) float64
    particle_virials : (n_particles, 6) float64
        KIM's virials are -sum of x ⊗ f, minus ours, in the order xx yy zz yz xz xy.
    """

    energy: np.ndarray | None
    particle_energies: np.ndarray | None
    forces: np.ndarray | None
    virial: np.ndarray | None
    particle_virials: np.ndarray | None


class KimModel:
    """A portable model under the KIM-API.

    Parameters
    ----------
    folder : path-like
        The model's files. KIM deletes them when the driver has returned, so all are read here.
    length, energy : float
        The values of 1 Å and 1 eV in the simulator's units.

    Attributes
    ----------
    species : tuple of str
        In the order of their codes.
    cutoff, influence_distance : float
        In the simulator's unit of length.
    needs_ghost_rows : bool
        Whether lists of ghosts are needed: for staged graphs.
    gives_particle_virials : bool
        True for descriptor models only: a raw or graph model gives forces on particles, which do
        not determine the virial of each particle.
    n_threads : int
        For descriptors and for torch: 1, since usually each core has its own rank, or the value of
        the environment variable TORCHML_CORE_KIM_THREADS.
    """

    def __init__(self, folder, length=1.0, energy=1.0):
        self._model = PortableModel.load(folder, device=device_of_this_rank())
        self._length, self._energy = length, energy
        self.species = self._model.species
        self.cutoff = self._model.cutoff * length
        self.influence_distance = self._model.influence_distance * length
        self.needs_ghost_rows = self._model.convention == "graph"
        self.gives_particle_virials = self._model.convention == "descriptor"
        self.n_threads = _n_threads()
        self._extrapolations = Extrapolations()

    def compute(self, configuration, results):
        """Evaluate a configuration, in the simulator's units, and fill the results asked for.

        Returns
        -------
        list of str
            Warnings of values outside of the training range, see :class:`Extrapolations`.

        Raises
        ------
        InputError, ModelError, UnsupportedError
            As :meth:`torchml_core.PortableModel.evaluate`.
        ExtrapolationError
            If more values were outside of the training range than are allowed.
        """
        if self._length != 1:
            configuration.positions = configuration.positions / self._length
        virial = results.virial is not None or results.particle_virials is not None
        without_torch = self._model._is_plain  # as networks of ours are evaluated
        with contextlib.nullcontext() if without_torch else torch_threads(self.n_threads):
            found = self._model.evaluate(
                configuration,
                forces=results.forces is not None,
                virial=virial,
                n_threads=self.n_threads,
            )
            self._fill(results, found)
        return self._extrapolations.take(found, configuration, self._length)

    def write(self, folder):
        """Write the model's files into a folder, as they were read; return their names."""
        return self._model.write_files(Path(folder))

    def _fill(self, results, found):
        energy = self._energy
        if results.energy is not None:
            results.energy[...] = found.energy * energy
        if results.particle_energies is not None:
            np.multiply(found.particle_energies[:, None], energy, out=results.particle_energies)
        if results.forces is not None:
            np.multiply(found.forces, energy / self._length, out=results.forces)
        if results.virial is not None:
            results.virial[...] = -energy * as_voigt(found.virial)
        if results.particle_virials is not None:
            results.particle_virials[...] = -energy * as_voigt(found.particle_virials)


def describe(error):
    """A message for logs: one line for our own errors, a whole traceback for others."""
    if isinstance(error, TorchMLError):
        return str(error)
    return "".join(traceback.format_exception(error))


def _n_threads():
    text = os.environ.get(THREADS, "1")
    n_threads = threads_of_text(text)
    if n_threads is None:
        checks.refuse(THREADS, text, "a whole number of threads, at least 1,")
    return n_threads
