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
from torchml_core.training.run.errors import contradicting, errors_of
from torchml_core.training.run.fits import Fits
from torchml_core.training.run.folder import RunFolder, digest
from torchml_core.training.run.screen import Screen
from torchml_core.training.run.structures import paths_of, read_all

# Of the time limit, for what comes after the last stage: the check, errors, plots.
RESERVE, RESERVE_SECONDS = 0.05, 5.0


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


def train(settings, *, resume: bool = False, screen: Screen | None = None) -> Finished:
    """Train a model and write it, with a report, to the folder of the settings.

    Parameters
    ----------
    settings : Settings
    resume : bool
        Whether to go on with an interrupted run in that folder.
    screen : Screen, optional
        Where progress is shown. None: standard output.

    Raises
    ------
    InputError
        If settings or data cannot be used.
    KeyboardInterrupt
        After the best model so far has been put into the folder.
    """
    return Run(settings, resume, screen or Screen()).finish()


class Run:
    """A run: what its stages share.

    Attributes
    ----------
    folder : RunFolder
    settings : Settings
    descriptor : Descriptor
    species : tuple of str
    """

    def __init__(self, settings, resume, screen):
        self.began = time.monotonic()
        self.settings, self.screen, self.n_threads = settings, screen, settings.threads
        digests = {path: digest(settings.path(path)) for path in paths_of(settings)}
        self.folder = RunFolder(settings.path(settings.output), settings, digests, resume)
        self.began -= self.folder.state["seconds"]  # of earlier processes
        self.structures = [read_all(settings, member) for member in range(settings.members)]
        first = self.structures[0]
        self._tell(first)
        self.findings = look_at(first.together(), n_threads=self.n_threads)
        for finding in self.findings:
            screen.say(f"note: {finding}")
        self.descriptor = descriptor_of(settings, first.train)
        self.species = tuple(self.descriptor.species) or first.species
        screen.say(f"descriptor: {self.descriptor!r}")
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
            for name, data in zip(("train", "validation", "test"), self.structures[0], strict=False)
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

    def _fit_member(self, member):
        settings, n = self.settings, self.settings.members
        prefix = f"{member + 1}-" if n > 1 else ""
        if n > 1:
            self.screen.say(f"member {member + 1} of {n}")
        fits = Fits(self, self.structures[member], settings.seed + member, prefix)
        self.members.append(fits)
        limit = settings.time_limit * (1 - RESERVE) - RESERVE_SECONDS
        deadline = self.began + limit * (member + 1) / n
        for stage in recipe.stages(settings, self.descriptor, fits.structures.train):
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
