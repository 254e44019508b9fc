"""Every method that learns beats column means by 15 % and more on correlated tables, even when cheap, and the
most frequent category where others tell more."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import datasets
import methods
from orchestrator.isolation import pinned

CONSTANT = ("mean", "median", "mode", "diff_mean", "stasy_mean")
"""Methods that impute a constant of the column, two of them so that they can generate."""

MOST_ROWS = 1500
"""Of letter's 20,000: what a test has time for."""

MORE: dict[tuple[str, str], dict[str, Any]] = {
    ("igrm", "letter"): {"n_steps": 1500, "lr": 0.003},
    ("missdiff", "concrete"): {"n_steps": 20, "n_repeats": 5},
    ("missdiff", "letter"): {"n_steps": 20, "n_repeats": 5},
}
"""Where what is adequate elsewhere is too little."""


@pytest.fixture(autouse=True)
def one_thread():
    """As in a trial: sums in another order are other weights after 1,500 steps."""
    with pinned(1):
        yield


@pytest.mark.parametrize("table", ["breast_cancer", "parkinsons", "concrete", "letter"])
def test_beats_column_means_by_a_seventh(name: str, table: str, make_adequate: Callable[..., Any]):
    if name in CONSTANT:
        pytest.skip(f"{name} imputes a constant of each column")
    if table != "breast_cancer" and not os.environ.get("LACUNA_MIRROR"):
        pytest.skip("LACUNA_MIRROR is not set")
    task = datasets.make_task(datasets.load(table), mechanism="mcar", ratio=0.3, mask_seed=7)
    visible = task.train.visible.iloc[:MOST_ROWS]
    truth = task.train.truth.iloc[:MOST_ROWS].to_numpy(dtype=float)
    hidden = task.train.hidden[:MOST_ROWS]

    def error(imputer: Any) -> float:
        filled = imputer.fit_transform(visible).to_numpy(dtype=float)
        return float((np.abs(filled - truth) / truth.std(axis=0))[hidden].mean())

    imputer = make_adequate().set_params(**MORE.get((name, table), {}))
    assert error(imputer) <= 0.85 * error(methods.build("mean"))


def test_learns_a_category_from_the_others(name: str, make_adequate: Callable[..., Any]):
    """Three columns and a number tell of one kind: what is left of a row says what is missing."""
    if name in CONSTANT:
        pytest.skip(f"{name} imputes a constant of each column")
    rng = np.random.default_rng(0)
    kind = rng.integers(5, size=600)
    truth = pd.DataFrame(
        {
            column: np.array([*letters])[np.where(rng.random(600) < 0.1, rng.integers(5, size=600), kind)]
            for column, letters in (("first", "abcde"), ("second", "vwxyz"), ("third", "mnopq"))
        }
    )
    truth["size"] = kind + rng.normal(size=600)
    hidden = rng.random(truth.shape) < 0.25
    filled = make_adequate().fit_transform(truth.mask(hidden))
    at = hidden[:, :3]
    assert (filled == truth).to_numpy()[:, :3][at].mean() > 0.5, "the most frequent category is right in 0.2"
