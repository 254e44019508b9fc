"""What the tests of the methods share: cheap parameters, tables, masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import methods

FAST: dict[str, dict[str, Any]] = {
    "diffputer": {"preset": "fast", "n_rounds": 2, "n_steps": 4, "hidden": 16, "epochs": 5, "device": "cpu"},
    "missdiff": {"n_diffusion": 10, "n_samples": 2, "hidden": 16, "epochs": 5, "device": "cpu"},
    "missforest": {"n_estimators": 2, "max_iter": 3},
    "sinkhorn": {"n_epochs": 5, "device": "cpu"},
    "newimp": {"n_outer": 1, "dsm_steps": 10, "flow_steps": 10, "hidden": (16, 16), "device": "cpu"},
}
"""Parameters under which an expensive method keeps every promise but that of quality."""

ADEQUATE: dict[str, dict[str, Any]] = {
    "diffputer": {
        "preset": "fast",
        "n_rounds": 3,
        "n_repeats": 5,
        "hidden": 64,
        "epochs": 60,
        "device": "cpu",
    },
    "missdiff": {"n_steps": 50, "n_samples": 5, "hidden": 64, "epochs": 200, "device": "cpu"},
    "missforest": {"n_estimators": 2, "max_iter": 4},
    "sinkhorn": {"n_epochs": 100, "device": "cpu"},
    "newimp": {"n_outer": 1, "dsm_steps": 200, "flow_steps": 100, "device": "cpu"},
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


@pytest.fixture
def mixed() -> pd.DataFrame:
    """Every kind of column that a table may have, with holes, and an index with a duplicate."""
    n = 30
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    words = np.array(["red", "green", "blue"])[np.digitize(x, [-0.5, 0.5])]
    frame = pd.DataFrame(
        {
            "float": x + 0.1 * rng.normal(size=n),
            "single": (10 * x).astype(np.float32),
            "whole": np.arange(n) % 7,
            "Int64": pd.array((x * 5).round().astype(int), dtype="Int64"),
            "huge": pd.array(2**60 + rng.integers(0, 1000, n), dtype="Int64"),
            "Float64": pd.array(x**2, dtype="Float64"),
            "boolean": pd.array(x > 0, dtype="boolean"),
            "bool": x > 0.3,
            "truth": pd.Series(x > -0.3, dtype=object),
            "category": pd.Categorical(words, categories=["blue", "green", "never", "red"]),
            "ordered": pd.Categorical(np.digitize(x, [0.0, 1.0]), ordered=True),
            "string": pd.array(words, dtype="string"),
            "object": pd.Series(words, dtype=object),
            7: rng.normal(size=n),
        }
    )
    frame.index = pd.Index([f"row {i % (n - 1)}" for i in range(n)])
    frame.iloc[0, 0] = -0.0
    frame.iloc[1, 0] = 5e-324
    for number, column in enumerate(frame.columns):
        if column not in ("whole", "bool"):
            holes = rng.random(n) < 0.2
            holes[:2] = False
            holes[5 + number] = True
            missing = None if frame[column].dtype == object else pd.NA
            frame[column] = frame[column].mask(holes, missing)
    return frame


def correlated_values(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Gaussian rows with one strong common factor, shape (n, d); each column has its scale and offset."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, 1))
    return (factor + 0.4 * rng.normal(size=(n, d))) * np.linspace(0.5, 20, d) + np.arange(d)


def with_holes(values: np.ndarray, ratio: float, seed: int = 1) -> np.ndarray:
    """A copy in which each entry is NaN with probability `ratio`."""
    mask = np.random.default_rng(seed).random(values.shape) < ratio
    return np.where(mask, np.nan, values)
