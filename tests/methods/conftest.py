"""What the tests of the methods share: cheap parameters, tables, masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import methods
from methods.contract import cases

FAST: dict[str, dict[str, Any]] = {
    "csdi_t": {"n_diffusion": 10, "n_samples": 2, "hidden": 16, "epochs": 5, "device": "cpu"},
    "diff_mean": {"n_diffusion": 10, "hidden": 16, "epochs": 5, "device": "cpu"},
    "diffputer": {
        "preset": "fast",
        "n_rounds": 2,
        "n_steps": 4,
        "hidden": 16,
        "epochs": 5,
        "min_steps": 1,
        "device": "cpu",
    },
    "gain": {"n_steps": 20, "hidden": 16, "device": "cpu"},
    "grape": {"hidden": 8, "n_steps": 10, "min_epochs": 1, "device": "cpu"},
    "hyperimpute": {
        "n_inner_iter": 1,
        "regression_seed": ("linear_regression",),
        "classifier_seed": ("logistic_regression",),
    },
    "igrm": {"hidden": 8, "n_steps": 10, "min_epochs": 1, "device": "cpu"},
    "mcflow": {"epochs": 4, "width_g": 8, "device": "cpu"},
    "miracle": {"max_steps": 8, "hidden": 8, "window": 3, "device": "cpu"},
    "missdiff": {"n_diffusion": 10, "n_samples": 2, "hidden": 16, "epochs": 5, "device": "cpu"},
    "missforest": {"n_estimators": 2, "max_iter": 3},
    "remasker": {"width": 8, "n_heads": 2, "max_steps": 10, "min_epochs": 1, "device": "cpu"},
    "sinkhorn": {"n_epochs": 5, "device": "cpu"},
    "sinkhorn_rr": {"n_cycles": 1, "n_inner": 2, "device": "cpu"},
    "miwae": {
        "hidden": 16,
        "latent": 2,
        "n_importance": 3,
        "n_samples": 10,
        "epochs": 5,
        "device": "cpu",
    },
    "newimp": {"n_outer": 1, "dsm_steps": 10, "flow_steps": 10, "hidden": (16, 16), "device": "cpu"},
    "stasy_mean": {"n_steps": 10, "hidden": 16, "epochs": 5, "device": "cpu"},
    "tdm": {"n_steps": 10, "min_visits": 0, "batch_size": 16, "width": 1},
}
"""Parameters under which an expensive method keeps every promise but that of quality."""

ADEQUATE: dict[str, dict[str, Any]] = {
    "csdi_t": {"hidden": 64, "epochs": 100, "n_samples": 10, "device": "cpu"},
    "diffputer": {
        "preset": "fast",
        "n_rounds": 3,
        "n_repeats": 5,
        "hidden": 64,
        "epochs": 60,
        "device": "cpu",
    },
    "gain": {"n_steps": 600, "hidden": 64, "device": "cpu"},
    "grape": {"hidden": 32, "n_steps": 1000, "lr": 5e-3, "device": "cpu"},
    "hyperimpute": {
        "n_inner_iter": 3,
        "regression_seed": ("linear_regression",),
        "classifier_seed": ("logistic_regression",),
    },
    "igrm": {"hidden": 32, "n_steps": 500, "lr": 1e-2, "device": "cpu"},
    "mcflow": {"max_steps": 600, "device": "cpu"},
    "miracle": {"max_steps": 60, "device": "cpu"},
    "missdiff": {"n_steps": 50, "n_samples": 5, "hidden": 64, "epochs": 200, "device": "cpu"},
    "missforest": {"n_estimators": 2, "max_iter": 4},
    "remasker": {"max_steps": 250, "min_epochs": 1, "device": "cpu"},
    "sinkhorn": {"n_epochs": 100, "device": "cpu"},
    "sinkhorn_rr": {"n_cycles": 4, "device": "cpu"},
    "miwae": {"n_importance": 5, "n_samples": 100, "epochs": 60, "device": "cpu"},
    "newimp": {"n_outer": 1, "dsm_steps": 200, "flow_steps": 100, "device": "cpu"},
    "tdm": {"n_steps": 300, "min_visits": 0},
}
"""Parameters just good enough to beat the column mean, where the defaults take long."""


@pytest.fixture(params=methods.names())
def name(request: pytest.FixtureRequest) -> str:
    """Every registered method in turn."""
    return request.param


@pytest.fixture
def make(name: str) -> Callable[..., Any]:
    """Build the method with cheap parameters."""
    return lambda **params: methods.build(name, **{"random_state": 0, **FAST.get(name, {}), **params})


@pytest.fixture
def make_adequate(name: str) -> Callable[..., Any]:
    """Build the method with parameters that impute well."""
    return lambda: methods.build(name, random_state=0, **ADEQUATE.get(name, {}))


@pytest.fixture
def correlated() -> np.ndarray:
    """A matrix with NaN holes and no ties, shape (60, 5)."""
    return with_holes(correlated_values(60, 5), 0.25)


@pytest.fixture(scope="session")
def gaussian_table() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Make a table of which the best imputation is known; see `draw_gaussian_table`."""
    return draw_gaussian_table


@pytest.fixture(scope="session")
def conditional_means() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The best imputation of such a table; see `fill_conditional_means`."""
    return fill_conditional_means


@pytest.fixture
def mixed() -> pd.DataFrame:
    """Every kind of column that a table may have, with holes, and an index with a duplicate."""
    return cases.mixed()


def correlated_values(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Gaussian rows with one strong common factor, shape (n, d); each column has its scale and offset."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, 1))
    return (factor + 0.4 * rng.normal(size=(n, d))) * np.linspace(0.5, 20, d) + np.arange(d)


def with_holes(values: np.ndarray, ratio: float, seed: int = 1) -> np.ndarray:
    """A copy in which each entry is NaN with probability `ratio`."""
    mask = np.random.default_rng(seed).random(values.shape) < ratio
    return np.where(mask, np.nan, values)


def draw_gaussian_table(
    n_rows: int, ratio: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of N(0, Σ) with unit variances, where the holes are, the table with them, and Σ itself.

    Σ is (4, 4), and 0.8 off its diagonal but for signs.
    """
    rng = np.random.default_rng(seed)
    signs = np.array([1, -1, 1, 1])
    covariance = 0.8 * np.outer(signs, signs) + 0.2 * np.eye(4)
    truth = rng.multivariate_normal(np.zeros(4), covariance, size=n_rows)
    mask = rng.random(truth.shape) < ratio
    return truth, mask, np.where(mask, np.nan, truth), covariance


def fill_conditional_means(table: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """E[missing | observed] of N(0, Σ), row by row."""
    filled = table.copy()
    for row in filled:
        m = np.isnan(row)
        row[m] = covariance[np.ix_(m, ~m)] @ np.linalg.solve(covariance[np.ix_(~m, ~m)], row[~m])
    return filled
