"""The stages of a run: least squares, and a network on top of them. Finished ones are stored."""

from __future__ import annotations

import copy
import time

from torchml_core.training.linear import fit_linear
from torchml_core.training.run.candidates import Candidate, network, polynomials
from torchml_core.training.run.errors import Errors, contradicting, errors_of, score
from torchml_core.training.run.recipe import Plan, batch_size, plan
from torchml_core.training.second_order import KalmanFilter, LevenbergMarquardt
from torchml_core.training.trainer import Trainer

PUBLISHED_EVERY = 20.0  # seconds at least, while a network is trained
LEAST_TIME = 3.0  # seconds, for which a network is worth a try
LEAST_EPOCHS = 10
EPOCH = 3.0  # of the time of predictions for the same structures
UNFINISHED = "unfinished network"
MANY_EPOCHS = 100_000
# A network must have a lower score than a linear model by this factor: its best epoch was chosen
# by the validation structures, to which a linear model is still fitted, once all is decided.
BETTER = 0.95
LINEAR = ("linear", "quadratic")
SECOND_ORDER = {"levenberg-marquardt": LevenbergMarquardt, "kalman": KalmanFilter}


class Fits:
    """The stages of one member of a run.

    Parameters
    ----------
    run : Run
    structures : Structures
        Those of this member.
    seed : int
    prefix : str
        Of the names of its files.
    """

    def __init__(self, run, structures, seed, prefix):
        self.run, self.structures, self._seed, self.prefix = run, structures, seed, prefix
        self.candidates: list[Candidate] = []
        self.history: list = []

    @property
    def best(self):
        """The candidate that is published."""
        linear = [candidate for candidate in self.candidates if candidate.stage in LINEAR]
        best = min(linear, key=self.score)
        most = BETTER * self.score(best)
        others = [c for c in self.candidates if c not in linear and self.score(c) < most]
        return min(others, key=self.score, default=best)

    @property
    def expected(self):
        """Errors by label and kind, which scores are relative to.

        Of the fits of least squares, those of the one with the smallest errors of forces: it sees
        most clearly which energies contradict the forces. Of these, errors that all structures of a
        kind have in common, such as a kinetic energy, are expected, too.
        """
        fitted = [c.facts for c in self.candidates if "expected" in c.facts]
        best = min(fitted, key=lambda facts: _squares(facts["expected"].get("forces", {})))
        energy = dict(best["expected"].get("energy", {}))
        for kind in contradicting(best["expected"]):
            error, _ = best["validation"].get(kind, {}).get("energy", (0.0, 0))
            energy[kind] = max(energy[kind], error)
        return best["expected"] | ({"energy": energy} if energy else {})

    def score(self, candidate):
        """Return the score of a candidate on the validation structures; lower is better."""
        return score(candidate.facts["validation"], self.expected)

    def fit(self, stage, deadline, improved):
        """Fit a stage, or take it from the folder; call ``improved()`` if it is the best."""
        key = f"{self.prefix}{stage.name}"
        known = self.run.folder.state["stages"].get(key)
        before = self.best if self.candidates else None
        if stage.degree:
            self._linear(stage, key, known, deadline)
        else:
            self._network(key, known, deadline, improved)
        if known is None:
            self._tell(stage)
        if self.candidates and self.best is not before:
            improved()

    def _plan(self, stage, key, deadline):
        """How a stage is fitted; once it has been decided it stays so, whatever the clock says."""
        run = self.run
        plans = run.folder.state.setdefault("plans", {})
        if key not in plans:
            data, left = self.structures.train, deadline() - time.monotonic()
            plans[key] = plan(stage, run.settings, run.descriptor, data, left, run.n_threads)
            run.folder.save_state()
        return Plan(*plans[key])

    def _linear(self, stage, key, known, deadline):
        run, data = self.run, self.structures
        if known is None:
            start = time.monotonic()
            own = self._plan(stage, key, deadline)
            if own.skipped:
                run.screen.say(f"{stage.name}: data or time are not enough for products")
                run.finish_stage(key, {"skipped": True})
                return
            train = data.train
            if own.fraction < 1:
                train, _ = train.split(1 - own.fraction, seed=self._seed)
                run.screen.say(
                    f"{stage.name}: fitted to {len(train)} of {len(data.train)} structures, since"
                    " time is not enough for all"
                )
            fit = fit_linear(
                run.descriptor,
                train,
                degree=stage.degree,
                components=own.components,
                validation=data.validation,
                isolated=data.reference_energies,
                n_threads=run.n_threads,
            )
            final = fit.refitted if data.held_out else fit.module
            facts = {
                "expected": fit.expected_errors,
                "n_parameters": fit.n_coefficients,
                "ridge": fit.ridge,
                "degree": stage.degree,
                "components": own.components,
                "structures": len(train),
            }
            run.folder.save_tensors(
                f"{key}.pt", {"module": fit.module.state_dict(), "final": final.state_dict()}
            )
            facts["validation"] = self._errors(fit.module)
            known = {**facts, "seconds": time.monotonic() - start}
            run.finish_stage(key, known)
        if known.get("skipped"):
            return
        stored = run.folder.load_tensors(f"{key}.pt")
        module, final = (
            polynomials(run.descriptor, run.species, stage.degree, stored[name])
            for name in ("module", "final")
        )
        self.candidates.append(Candidate(stage.name, module, final, known))

    def _errors(self, module):
        """The errors on the validation structures, by kind."""
        run, data = self.run, self.structures.validation
        start = time.monotonic()
        found = errors_of(module, run.descriptor, data, None, n_threads=run.n_threads)
        run.took(time.monotonic() - start, data)
        return found.by_kind

    def _network(self, key, known, deadline, improved):
        run, own = self.run, self.run.settings.network
        base = self.best.module
        module = network(run.settings, run.descriptor, base, self._seed)
        checkpoint = run.folder.part(f"{key}.checkpoint")
        if known is None:
            start = time.monotonic()
            limit = None if own.epochs else deadline() - time.monotonic()
            if limit is not None and limit < self._least_time() and not checkpoint.exists():
                left = f"{limit:.0f} s are left, too little" if limit > 0 else "no time is left"
                run.screen.say(f"{left} for a network")
                run.finish_stage(key, {"skipped": True})
                return
            self._train(module, checkpoint, limit, improved)
            if not self.history:
                run.screen.say("network: there was no time for an epoch; the linear model stays")
                run.finish_stage(key, {"skipped": True})
                return
            n = sum(p.numel() for p in module.network.parameters())
            facts = {
                "n_parameters": n,
                "epochs": len(self.history),
                "history": [_epoch(epoch) for epoch in self.history],
                "validation": self._errors(module),
                "seconds": time.monotonic() - start,
            }
            run.folder.save_tensors(f"{key}.pt", module.state_dict())
            run.finish_stage(key, facts)
            known = facts
            checkpoint.unlink(missing_ok=True)
        if known.get("skipped"):
            return
        module.load_state_dict(run.folder.load_tensors(f"{key}.pt"))
        module.eval()
        self._forget_unfinished()
        self.candidates.append(Candidate("network", module, module, known))

    def _least_time(self):
        """Seconds without which the training of a network is not worth a try."""
        n_atoms = sum(example.n_atoms for example in self.structures.train)
        return max(LEAST_TIME, LEAST_EPOCHS * EPOCH * n_atoms * self.run.seconds_per_atom)

    def _train(self, module, checkpoint, limit, improved):
        run, own = self.run, self.run.settings.network
        watch = _Watch(self, module.to(run.device), limit, own.epochs, improved)
        trainer = Trainer(
            run.descriptor,
            module,
            **_optimizer(own, batch_size(run.settings, self.structures.train)),
            expected_errors=self.expected,
            weights=run.settings.weights.model_dump(),
            seed=self._seed,
            callbacks=[watch],
            n_threads=run.n_threads,
        )
        with run.screen.epochs():
            try:
                self.history = trainer.fit(
                    self.structures.train,
                    validation=self.structures.validation,
                    epochs=own.epochs or MANY_EPOCHS,
                    time_limit=None if limit is None else max(limit, 0.1),
                    checkpoint=checkpoint,
                )
            except KeyboardInterrupt:
                watch.offer()
                raise
            finally:
                module.cpu()

    def offer(self, module):
        """Take a network in the middle of its training for a candidate; True if it is the best."""
        found = Candidate(UNFINISHED, module, module, {"validation": self._errors(module)})
        if self.score(found) >= self.score(self.best):
            return False
        self._forget_unfinished()
        self.candidates.append(found)
        return True

    def _forget_unfinished(self):
        self.candidates = [c for c in self.candidates if c.stage != UNFINISHED]

    def _tell(self, stage):
        if not self.candidates:
            return
        last = self.candidates[-1]
        if not (last.stage == stage.name and "seconds" in last.facts):
            return
        found = Errors(last.facts["validation"], {}, {}).in_words(contradicting(self.expected))
        self.run.screen.say(
            f"{stage.name}: {last.facts['n_parameters']} parameters in"
            f" {last.facts['seconds']:.1f} s; {found} on validation structures"
        )


def _squares(errors):
    return sum(x**2 for x in errors.values())


class _Watch:
    """Looks at each epoch, and publishes better networks now and then."""

    def __init__(self, fits, module, limit, epochs, improved):
        self._fits, self._module, self._improved = fits, module, improved
        self._limit, self._epochs = limit, epochs
        self._best, self._weights = float("inf"), None
        self._began = self._last = time.monotonic()

    def __call__(self, trainer, epoch):
        now = time.monotonic()
        done = epoch.number / self._epochs if self._epochs else (now - self._began) / self._limit
        self._fits.run.screen.epoch(epoch, min(done, 1.0))
        if epoch.validation_loss is not None and epoch.validation_loss < self._best:
            self._best = epoch.validation_loss
            self._weights = copy.deepcopy(self._module.state_dict())
        if now - self._last > PUBLISHED_EVERY:
            self._last = now
            self.offer()

    def offer(self):
        """Publish the best weights since the last time, if they are the best model so far."""
        if self._weights is None:
            return
        module = copy.deepcopy(self._module).cpu()
        module.load_state_dict(self._weights)
        self._weights = None
        if self._fits.offer(module.eval()):
            self._improved()


def _optimizer(own, n_structures):
    """Arguments of the Trainer; optimizers of second order find their steps by themselves."""
    if own.optimizer in SECOND_ORDER:
        return {"optimizer": SECOND_ORDER[own.optimizer]()}
    return {
        "optimizer": own.optimizer,
        "learning_rate": own.learning_rate,
        "batch_size": n_structures,
        "max_gradient_norm": own.max_gradient_norm,
    }


def _epoch(epoch):
    return {
        "number": epoch.number,
        "loss": epoch.loss,
        "errors": epoch.errors,
        "validation_errors": epoch.validation_errors,
    }
