"""Results that an interrupted run has already written, so that they are not computed again.

They are found in the output itself: its frames are the structures that were evaluated, in their
order. A frame counts if it is complete up to its last line end, wherever the run was killed.
"""

import numpy as np

from torchml_core.cli.output import reference_results
from torchml_core.errors import InputError
from torchml_core.structure_files.frames import BadFrameError, parse_frame, scan_frames

ROUNDING = 1e-7  # of positions in Å and forces in eV/Å: eight decimals are written
AGREEMENT = 1e-4  # relative, of energies: other processors and numbers of threads, in float32


class ResumeError(InputError):
    """The run cannot continue with this output."""


class EarlierResults:
    """The complete frames at the beginning of an output, taken one after the other.

    Parameters
    ----------
    path : str
        The output; it need not exist.

    Attributes
    ----------
    path : str
    n_taken, n_atoms : int
        How many frames were taken, and atoms in them.
    end : int
        Number of bytes of the output up to the end of the last of them.
    used_up : bool
        Whether none is left.
    """

    def __init__(self, path):
        self.path = path
        self.end = self.n_taken = self.n_atoms = 0
        self._frames = _complete_frames(path)
        self._frame, self._atoms = next(self._frames, (None, None))

    def results_of(self, item, evaluate):
        """Return the results of an Item, or None if they are still to be computed.

        Parameters
        ----------
        item : Item
        evaluate : callable
            A function that returns the present results of Atoms. Called for the last frame, whose
            results must be the same, and for structures without a frame, which must fail again.

        Raises
        ------
        ResumeError
            The output was written for other structures, by another model, or with other options.
        """
        if self.used_up:
            return None
        if not _same_structure(item.structure, self._atoms):
            evaluate(item.structure)
            raise ResumeError(
                f"--resume: frame {self.n_taken} of {self.path} is not {item.label}, which can be"
                " evaluated: the file was written for other structures; remove it, or omit --resume"
            )
        results = reference_results(self._atoms)
        self.end, self.n_taken = self._frame.end, self.n_taken + 1
        self.n_atoms += len(self._atoms)
        self._frame, self._atoms = next(self._frames, (None, None))
        if self.used_up:
            self._require_same(item, results, evaluate(item.structure))
        return results

    @property
    def used_up(self):
        return self._frame is None

    def require_used_up(self):
        """Raise ResumeError where a frame is left after all structures."""
        if not self.used_up:
            raise ResumeError(
                f"--resume: frame {self.n_taken} of {self.path} is none of the structures: the file"
                " was written for other structures; remove it, or omit --resume"
            )

    def _require_same(self, item, earlier, now):
        if set(earlier) != set(now):
            had, has = (", ".join(sorted(names)) for names in (earlier, now))
            raise ResumeError(
                f"--resume: {self.path} has {had} for {item.label}, but this run computes {has}:"
                " the same options are needed"
            )
        was, value = earlier["energy"], now["energy"]
        if abs(was - value) > AGREEMENT * max(abs(was), 1):
            raise ResumeError(
                f"--resume: {self.path} has the energy {was:.8f} for {item.label}, but this model"
                f" gives {value:.8f}: the same model is needed"
            )


def _complete_frames(path):
    """Yield each complete frame with its Atoms; one that is not complete must be the last."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        return
    with file:
        broken = None
        for frame in scan_frames(file):
            try:
                atoms = parse_frame(frame) if frame.text.endswith(b"\n") else None
            except BadFrameError:
                atoms = None
            if atoms is None:
                broken = broken or frame
            elif broken is not None:
                raise ResumeError(
                    f"--resume: {path}:{broken.line}: frame {broken.place} is damaged but is not"
                    " the last one: an interrupted run does not write such a file"
                )
            else:
                yield frame, atoms


def _same_structure(atoms, written):
    return (
        len(atoms) == len(written)
        and np.array_equal(atoms.numbers, written.numbers)
        and np.array_equal(atoms.pbc, written.pbc)
        and np.allclose(atoms.cell, written.cell, rtol=0, atol=ROUNDING)
        and np.allclose(atoms.positions, written.positions, rtol=1e-15, atol=ROUNDING)
    )
