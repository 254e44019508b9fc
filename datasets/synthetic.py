"""Toy distributions: tables whose law is known.

Parameters of the four tables are not published. Chosen here: N = 1000; two columns, as the published
Wasserstein distances suggest; and weak dependence, a correlation of 0.25, since the published errors are near
mean imputation's. Numbers are rounded to nine decimals, so that they are the same on every platform.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from datasets.missingness import generator
from datasets.readers import Reader

ROWS = 1000
CORRELATION = 0.25
DEGREES_OF_FREEDOM = 3
MIXTURE_WEIGHTS = (0.3, 0.4, 0.3)
MIXTURE_MEANS = ((-2.0, 1.0), (0.0, -1.5), (2.0, 1.5))
SKEWNESS = 5.0
# Concentrations of the Dirichlet toy, and its number of points.
RHO = (2.5, 2.5, 5.0)
POINTS = 200


def gaussian(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Two standard normal columns of correlation 0.25; shape (n_rows, 2)."""
    z = rng.standard_normal((n_rows, 2))
    z[:, 1] = CORRELATION * z[:, 0] + np.sqrt(1 - CORRELATION**2) * z[:, 1]
    return z


def student_t(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Two columns of a multivariate Student t with three degrees of freedom; shape (n_rows, 2)."""
    z = gaussian(rng, n_rows)
    chi_square = np.square(rng.standard_normal((n_rows, DEGREES_OF_FREEDOM))).sum(axis=1)
    return z / np.sqrt(chi_square / DEGREES_OF_FREEDOM)[:, None]


def mixture(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Three Gaussian clusters, half the Gaussian toy's variance, at fixed centres; shape (n_rows, 2)."""
    cluster = np.searchsorted(np.cumsum(MIXTURE_WEIGHTS)[:-1], rng.random(n_rows), side="right")
    return np.array(MIXTURE_MEANS)[cluster] + np.sqrt(0.5) * gaussian(rng, n_rows)


def skewed(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Two skew-normal columns of shape parameter 5; shape (n_rows, 2).

    Azzalini and Dalla Valle's construction, delta |u| + sqrt(1 - delta^2) v, with one u for both columns:
    that alone makes them depend strongly, as the published error of this toy, half of the others', says they
    do.
    """
    delta = SKEWNESS / np.sqrt(1 + SKEWNESS**2)
    u = np.abs(rng.standard_normal((n_rows, 1)))
    return delta * u + np.sqrt(1 - delta**2) * gaussian(rng, n_rows)


def dirichlet(rng: np.random.Generator, n_rows: int, rho: Sequence[float] = RHO) -> np.ndarray:
    """Points on the simplex, Dirichlet distributed; shape (n_rows, len(rho)).

    Concentrations are multiples of one half: each is a sum of squared normals, which every platform draws
    alike.
    """
    if any(r <= 0 or 2 * r != round(2 * r) for r in rho):
        raise ValueError(f"{rho=} holds a concentration that is no positive multiple of 0.5")
    gammas = np.column_stack([np.square(rng.standard_normal((n_rows, int(2 * r)))).sum(axis=1) for r in rho])
    return gammas / gammas.sum(axis=1, keepdims=True)


def dirichlet_mode(rho: Sequence[float] = RHO) -> np.ndarray:
    """The most likely point, (rho - 1) / sum(rho - 1), for concentrations above 1; shape (len(rho),).

    Examples
    --------
    >>> dirichlet_mode().round(3).tolist()
    [0.214, 0.214, 0.571]
    """
    excess = np.asarray(rho, dtype=float) - 1
    if (excess <= 0).any():
        raise ValueError(f"{rho=} has no mode inside the simplex; every concentration must be above 1")
    return excess / excess.sum()


def dirichlet_log_density(points: np.ndarray, rho: Sequence[float] = RHO) -> np.ndarray:
    """Log density up to a constant, sum_k (rho_k - 1) log a_k, of points (..., len(rho)); -inf outside."""
    points = np.asarray(points, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(points > 0, np.log(points), -np.inf)
    return (logs * (np.asarray(rho, dtype=float) - 1)).sum(axis=-1)


def toy(name: str, draw: Callable[[np.random.Generator, int], np.ndarray], n_rows: int = ROWS) -> Reader:
    """Reader of a toy table: a draw of fixed seed, columns ``x1``, ``x2``, ..."""

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        values = np.round(draw(generator("toy", name, 0), n_rows), 9)
        return pd.DataFrame(values, columns=[f"x{i}" for i in range(1, values.shape[1] + 1)])

    return read
