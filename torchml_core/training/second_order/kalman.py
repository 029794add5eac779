"""The extended Kalman filter as an optimizer."""

from __future__ import annotations

import torch

from torchml_core import checks
from torchml_core.training.second_order.shared import SecondOrderSteps

ROWS_AT_ONCE = 256


class KalmanFilter:
    """An optimizer of :class:`Trainer`: the extended Kalman filter, one update for each batch.

    The parameters w are a state with the covariance P (n, n), and each batch is a measurement of
    it. With the rows H, the derivatives of the residuals r with respect to w, weighted as in the
    loss, an update is

        ``K = P Hᵀ (noise λ 1 + H P Hᵀ)⁻¹``,  ``w ← w - K r``,  ``P ← (P - K H P) / λ``

    where the forgetting factor λ goes to 1: after each update 1 - λ is multiplied with ``fading``.

    Parameters
    ----------
    covariance : float
        Of each parameter at first.
    noise : float
        The variance of the measurements, in units of the loss.
    forgetting : float
        λ at first, above 0 and at most 1.
    fading : float
        From 0 to 1.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Notes
    -----
    See :class:`LevenbergMarquardt` for the networks that will do. Small batches are best.

    References
    ----------
    T. B. Blank, S. D. Brown, J. Chemom. 8, 391 (1994); A. Singraber et al., J. Chem. Theory Comput.
    15, 3075 (2019).
    """

    def __init__(
        self,
        covariance: float = 0.01,
        noise: float = 1.0,
        forgetting: float = 0.98,
        fading: float = 0.9987,
    ) -> None:
        self.covariance = checks.positive("covariance", covariance)
        self.noise = checks.positive("noise", noise)
        self.forgetting = checks.positive("forgetting", forgetting)
        self.fading = checks.not_negative("fading", fading)
        for name in ("forgetting", "fading"):
            if getattr(self, name) > 1:
                checks.refuse(name, getattr(self, name), "at most 1")

    def __repr__(self):
        return (
            f"KalmanFilter({self.covariance!r}, {self.noise!r}, {self.forgetting!r},"
            f" {self.fading!r})"
        )

    def steps(self, model, loss):
        return _Steps(self, model, loss)


class _Steps(SecondOrderSteps):
    """The filter of one model; its rate is the forgetting factor."""

    def __init__(self, settings, model, loss):
        super().__init__(settings, model, loss, settings.forgetting)
        self._covariance = settings.covariance * torch.eye(self._rows.n, dtype=torch.float64)

    def epoch(self, batches, number, n_steps, deadline):
        """Update once for each batch, until the deadline; return Totals."""
        totals = self._totals()
        for batch in batches.of_epoch(number):
            if deadline.passed():
                break
            self._update(batch, totals)
            self._finite(totals)
        return totals

    def _update(self, batch, totals):
        """Blocks of rows one after another, at the same weights, are one update.

        The residuals of the later ones change, linearly, by the step of the earlier ones.
        """
        start = self._rows.get()
        step = torch.zeros_like(start)
        noise = self._settings.noise * self.rate
        for own, residuals in _in_parts(self._rows.of_batch(batch, totals)):
            product = own @ self._covariance
            inner = product @ own.T
            inner.diagonal().add_(noise)
            gain = torch.cholesky_solve(product, torch.linalg.cholesky(inner))  # Kᵀ
            step -= gain.T @ (residuals + own @ step)
            self._covariance.addmm_(gain.T, product, alpha=-1)
        self._covariance += self._covariance.T.clone()
        self._covariance /= 2 * self.rate
        self._rows.set(start + step)
        self.rate = 1 - (1 - self.rate) * self._settings.fading

    def state_dict(self):
        return super().state_dict() | {"covariance": self._covariance}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self._covariance = state["covariance"]


def _in_parts(blocks):
    """Rows in parts of a size for which products of matrices are fast."""
    waiting, n = [], 0
    for block in blocks:
        waiting.append(block)
        n += len(block[1])
        if n >= ROWS_AT_ONCE:
            yield _joined(waiting)
            waiting, n = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks):
    rows, residuals = zip(*blocks, strict=True)
    return torch.cat(rows), torch.cat(residuals)
