"""Optimizers that use the Jacobian of all residuals with respect to a network's parameters."""

from torchml_core.training.second_order.kalman import KalmanFilter as KalmanFilter
from torchml_core.training.second_order.levenberg_marquardt import (
    LevenbergMarquardt as LevenbergMarquardt,
)

__all__ = ["KalmanFilter", "LevenbergMarquardt"]
