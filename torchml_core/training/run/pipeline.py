"""A run from the files of structures to the checked folder."""

from __future__ import annotations

import time
from typing import NamedTuple

from torchml_core.dataset.findings import look_at
from torchml_core.portable.model import PortableModel
from torchml_core.portable.training_range import Ranges
from torchml_core.training.run import recipe, report
from torchml_core.training.run.candidates import Mean, write_model
from torchml_core.training.run.check import check
from torchml_core.training.run.descriptor import descriptor_of
from torchml_core.training.run.device import device_of
from torchml_core.training.run.errors import contradicting, errors_of
from torchml_core.training.run.fits import Fits
from torchml_core.training.run.folder import RunFolder, digest
from torchml_core.training.run.screen import Screen
from torchml_core.training.run.structures import paths_of, read_all

# Of the time limit, for what comes after the last stage: the check and plots, and the errors of
# training structures; where there is no time for all of these, the report has those of a part.
RESERVE, RESERVE_SECONDS, EVALUATED = 0.02, 5.0, 0.05
RESERVE_OF_SHORT = 0.2  # of a short limit, instead of RESERVE_SECONDS
SHORT = 60.0  # seconds, of which it is told if they are not enough
LEAST_END = 4.0  # seconds for the check, the report with its pictures, and the end of the process
SLOWER = 1.3  # than what was measured, where other programs run
SMALLER = {"large": ("medium", "small"), "medium": ("small",), "small": ()}
CHECKED_ATOMS = 500  # the check takes as long as predictions for so many


class Finished(NamedTuple):
    """What :func:`train` returns.

    Attributes
    ----------
    model : PortableModel
    errors : dict of str to Errors
        Of "train", "validation" and "test", if there are tests.
    stage : str
        Whose model was the best one.
    seconds : float
    """

    model: PortableModel
    errors: dict
    stage: str
    seconds: float


def train(
    settings, *, resume: bool = False, screen: Screen | None = None, began: float | None = None
) -> Finished:
    """Train a model and write it, with a report, to the folder of the settings.

    Parameters
    ----------
    settings : Settings
    resume : bool
        Whether to go on with an interrupted run in that folder.
    screen : Screen, optional
        Where progress is shown. None: standard output.
    began : float, optional
        Since when the time is counted, by ``time.monotonic()``. None: now.

    Raises
    ------
    InputError
        If settings or data cannot be used.
    KeyboardInterrupt
        After the best model so far has been put into the folder.
    """
    return Run(settings, resume, screen or Screen(began=began), began).finish()


class Run:
    """A run: what its stages share.

    Attributes
    ----------
    folder : RunFolder
    settings : Settings
    descriptor : Descriptor
    species : tuple of str
    device : torch.device
        Of networks, while they are trained.
    """

    def __init__(self, settings, resume, screen, began=None):
        self.began = time.monotonic() if began is None else began
        self.seconds_per_atom = 0.0  # of predictions of energies and forces
        self.settings, self.screen, self.n_threads = settings, screen, settings.threads
        if not resume:  # before there is a folder
            device_of(settings.device)
        digests = {path: digest(settings.path(path)) for path in paths_of(settings)}
        self.folder = RunFolder(settings.path(settings.output), settings, digests, resume)
        self.began -= self.folder.state["seconds"]  # of earlier processes
        self.device = device_of(settings.device, self.folder.state.get("device"))
        self.folder.state["device"] = str(self.device)
        self.structures = [read_all(settings, member) for member in range(settings.members)]
        first = self.structures[0]
        self._tell(first)
        self.findings = look_at(first.together(), n_threads=self.n_threads)
        for finding in self.findings:
            screen.say(f"note: {finding}")
        self.descriptor = self._descriptor(first.train)
        self.species = tuple(self.descriptor.species) or first.species
        screen.say(f"descriptor: {self.descriptor!r}")
        self._tell_if_too_short()
        self.members: list[Fits] = []
        self._card = None

    def finish(self) -> Finished:
        """Fit all stages of all members, check the model, and write the report."""
        for member in range(self.settings.members):
            self._fit_member(member)
        module, stage = self._final()
        model = PortableModel.load(self.folder.model)
        checked = check(model, module, self.descriptor, self.structures[0].train)
        errors = {
            name: errors_of(module, self.descriptor, data, None, self.n_threads)
            for name, data in self._evaluated().items()
            if len(data)
        }
        finished = Finished(model, errors, stage, self.seconds())
        report.write(self, finished, checked)
        self.folder.state["result"] = {
            "stage": stage,
            "errors": {name: own.by_kind for name, own in errors.items()},
        }
        self.folder.save_state()
        odd = contradicting(self.members[0].expected)
        for name, own in errors.items():
            self.screen.say(f"errors on {name} structures: {own.in_words(odd)}")
        self.screen.say(f"{self.folder.model}: the model ({stage}); report.md has its errors")
        return finished

    def seconds(self):
        """Seconds since the start, those of earlier processes included."""
        return time.monotonic() - self.began

    def finish_stage(self, key, facts):
        """Remember a stage that is finished."""
        self.folder.state["stages"][key] = facts
        self.folder.state["seconds"] = self.seconds()
        self.folder.save_state()

    def _descriptor(self, data):
        """That of the settings, or a smaller one if there is no time for one of the usual size."""
        known = self.folder.state.get("size")
        found = descriptor_of(self.settings, data, known)
        if self.settings.descriptor is None and known is None:
            size = self.settings.size
            for smaller in SMALLER[size]:
                left = self.began + self.settings.time_limit - self._reserve() - time.monotonic()
                if not recipe.is_too_wide(found, data, left, self.n_threads):
                    break
                self.screen.say(f"time is short: the descriptor is {smaller}, not {size}")
                size, found = smaller, descriptor_of(self.settings, data, smaller)
            self.folder.state["size"] = size
            self.folder.save_state()
        return found

    def _tell_if_too_short(self):
        """Say so at once if the limit will not be kept, and why."""
        limit, spent = self.settings.time_limit, self.seconds()
        if limit > SHORT or self.folder.state["stages"]:
            return
        first, *_ = recipe.stages(self.settings, self.descriptor)
        left, end = limit - spent, max(self._reserve(), LEAST_END)
        model = recipe.least_seconds(
            first, self.descriptor, self.structures[0].train, left, self.n_threads
        )
        model *= self.settings.members
        if model + end > left:
            self.screen.say(
                f"time_limit = {limit:g} s is too short: {spent:.1f} s went into imports, reading"
                f" and looking at the data, a first model takes {model:.1f} s at least, its check"
                f" and the report about {end:.0f} s; about {spent + model + end:.0f} s are needed"
            )

    def took(self, seconds, data):
        """Learn how long predictions for a data set took."""
        n_atoms = max(1, sum(example.n_atoms for example in data))
        self.seconds_per_atom = max(self.seconds_per_atom, seconds / n_atoms)

    def _evaluated(self):
        """The data sets whose errors are reported; those of training may be a part of it."""
        train, validation, test = self.structures[0][:3]
        most = EVALUATED * self.settings.time_limit / max(self.seconds_per_atom, 1e-9)
        fraction = most / max(1, sum(example.n_atoms for example in train))
        if fraction < 1:
            train, _ = train.split(1 - fraction, seed=self.settings.seed)
        return {"train": train, "validation": validation, "test": test}

    def _reserve(self):
        """Seconds of the limit for what comes after the last stage, and for errors of stages."""
        _, validation, test = self.structures[0][:3]
        parts = (validation, validation, test)
        n_atoms = CHECKED_ATOMS + sum(e.n_atoms for part in parts for e in part)
        limit = self.settings.time_limit
        seconds = SLOWER * self.seconds_per_atom * n_atoms + EVALUATED * limit
        return seconds + RESERVE * limit + min(RESERVE_SECONDS, RESERVE_OF_SHORT * limit)

    def _fit_member(self, member):
        settings, n = self.settings, self.settings.members
        prefix = f"{member + 1}-" if n > 1 else ""
        if n > 1:
            self.screen.say(f"member {member + 1} of {n}")
        fits = Fits(self, self.structures[member], settings.seed + member, prefix)
        self.members.append(fits)

        def deadline():
            return self.began + (settings.time_limit - self._reserve()) * (member + 1) / n

        for stage in recipe.stages(settings, self.descriptor):
            fits.fit(stage, deadline, self._publish)

    def _final(self):
        """The module that is published, and the stage that it comes from."""
        fitted = [fits.best for fits in self.members if fits.candidates]
        if len(fitted) == 1:
            return fitted[0].final, fitted[0].stage
        stages = ", ".join(dict.fromkeys(candidate.stage for candidate in fitted))
        return Mean([candidate.final for candidate in fitted]), f"mean of {len(fitted)}: {stages}"

    def _publish(self):
        """Put the best model so far into the folder."""
        module, _ = self._final()
        card = self._card_settings()

        def write(folder):
            write_model(folder, module, self.descriptor, self.species, **card)
            if self.settings.members > 1:
                for k, fits in enumerate(f for f in self.members if f.candidates):
                    place = folder / "members" / str(k + 1)
                    write_model(place, fits.best.final, self.descriptor, self.species, **card)

        first = not self.folder.model.exists()
        self.folder.publish(write)
        if first:
            self.screen.say(f"{self.folder.model}: a first model, which better ones replace")

    def _card_settings(self):
        if self._card is None:
            ranges = Ranges(self.descriptor, self.species)
            first = self.structures[0]
            for data in (first.train, first.validation) if first.held_out else (first.train,):
                for k in range(len(data)):
                    c = data.configuration(k, self.descriptor.cutoff, self.species)
                    ranges.add(c, self.descriptor.compute(c, n_threads=self.n_threads))
            references = {s: first.reference_energies.get(s, 0.0) for s in self.species}
            self._card = {
                "training_range": ranges.found(),
                "reference_energies": references if any(references.values()) else None,
            }
        return self._card

    def _tell(self, structures):
        for name, data in zip(("training", "validation", "test"), structures, strict=False):
            if len(data):
                self.screen.say(f"{name}: {repr(data).removeprefix('<Dataset: ')[:-1]}")
