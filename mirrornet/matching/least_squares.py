"""Bounded, damped least squares: one step of Gauss-Newton."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import lsq_linear


def bounded_step(
    slopes: Float[np.ndarray, "point place"],
    residual: Float[np.ndarray, " point"],
    damping: float,
    low: Float[np.ndarray, " place"],
    high: Float[np.ndarray, " place"],
) -> Float[np.ndarray, " place"]:
    """The step within `low..high` that minimises `|residual - slopes @ step|^2`, with a damping in
    proportion to the mean curvature. `slopes` is the Jacobian."""
    curvature, pull = slopes.T @ slopes, slopes.T @ residual
    curvature += max(damping * curvature.diagonal().mean(), 1e-12) * np.eye(len(pull))
    root = np.linalg.cholesky(curvature)
    # A zero step must lie strictly within the bounds.
    bounds = np.minimum(low, -1e-9), np.maximum(high, 1e-9)
    return lsq_linear(root.T, np.linalg.solve(root, pull), bounds).x
