"""Values outside of the training range, in a simulation under the KIM-API."""

import os

from torchml_core import checks
from torchml_core.errors import ExtrapolationError
from torchml_core.portable.extrapolation import ExtrapolationMonitor
from torchml_core.text_numbers import parse_whole

SHOW = "TORCHML_CORE_KIM_SHOW_EXTRAPOLATIONS"
MOST = "TORCHML_CORE_KIM_MAX_EXTRAPOLATIONS"
SHOWN = ("first", "all", "none")


class Extrapolations:
    """Counts values outside of the training range, on this rank, in all steps; warns or stops.

    The environment variables that say what is done are read when it is made:

    ``TORCHML_CORE_KIM_SHOW_EXTRAPOLATIONS``: ``first`` (default), one warning for each component of
    each element; ``all``, one for each value; ``none``.

    ``TORCHML_CORE_KIM_MAX_EXTRAPOLATIONS``: an ExtrapolationError is raised for more values than
    this. Not set: never.
    """

    def __init__(self):
        self._shown = os.environ.get(SHOW, "first")
        if self._shown not in SHOWN:
            checks.refuse(SHOW, self._shown, f"one of {', '.join(SHOWN)}")
        self._most = os.environ.get(MOST)
        if self._most is not None:
            self._most = parse_whole(MOST, self._most.strip(), least=0)
        self._monitor = ExtrapolationMonitor("ignore")

    def take(self, prediction, configuration, length):
        """Return the new warnings of a prediction.

        ``length``: 1 Å in the simulator's unit, in which positions are shown.
        """
        if not any(map(len, prediction._outside or ())):
            return []
        positions = configuration.positions * length
        records = self._monitor.take(prediction)
        if self._shown == "all":
            records = prediction.extrapolation
        warnings = [_place(record, positions) for record in records]
        n = self._monitor.counts.total()
        if self._most is not None and n > self._most:
            last = _place(prediction.extrapolation[-1], positions)
            raise ExtrapolationError(
                f"{n} values outside of the training range, {self._most} are allowed ({MOST}); the"
                f" last one: {last}"
            )
        return warnings if self._shown != "none" else []


def _place(record, positions):
    place = ", ".join(f"{x:.6g}" for x in positions[record.atom])
    return f"particle {record.atom} ({record.element}) at ({place}): {record.excess}"
