"""Every metric against a value computed by hand or by another route."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import datasets
from orchestrator import metrics


def scored(truth, imputed, hidden, *, center=None, scale=None) -> metrics.Scored:
    truth, imputed = pd.DataFrame(truth), pd.DataFrame(imputed)
    hidden = np.asarray(hidden, dtype=bool)
    numeric = tuple(c for c in truth if truth[c].dtype.kind == "f")
    split = datasets.Split("in_sample", truth.mask(hidden), truth, hidden)
    task = datasets.Task(
        dataset="made",
        mechanism="mcar",
        protocol="default",
        ratio=0.5,
        mask_seed=0,
        train=split,
        test=None,
        numeric=numeric,
        categorical=tuple(c for c in truth if c not in numeric),
        center=np.zeros(len(numeric)) if center is None else np.asarray(center),
        scale=np.ones(len(numeric)) if scale is None else np.asarray(scale),
        mask_hash="",
        realised_ratio=0.5,
    )
    return metrics.Scored(split, imputed, task)


def test_mae_and_rmse_pool_hidden_entries_in_standardised_units():
    case = scored(
        {"a": [0.0, 1.0], "b": [10.0, 20.0]},
        {"a": [3.0, 9.0], "b": [10.0, 40.0]},
        [[True, False], [False, True]],
        center=[5.0, 5.0],
        scale=[1.0, 10.0],
    )
    # the errors are 3 / 1 and 20 / 10; a's second entry is observed and its difference not scored
    assert metrics.mae(case).value == pytest.approx(2.5)
    assert metrics.rmse(case).value == pytest.approx(np.sqrt((9 + 4) / 2))


def test_accuracy_pools_hidden_categories():
    case = scored(
        {"k": pd.Categorical(["x", "y", "x"]), "a": [1.0, 2.0, 3.0]},
        {"k": pd.Categorical(["x", "x", "y"]), "a": [1.0, 2.0, 3.0]},
        [[True, False], [True, False], [False, False]],
    )
    assert metrics.accuracy(case).value == 0.5
    assert metrics.mae(case).value is None
    assert "numeric" in metrics.mae(case).note


def test_macro_f1_averages_over_categories_then_columns():
    case = scored(
        {"k": pd.Categorical(["x", "x", "x", "y"]), "l": pd.Categorical(["u", "v", "u", "v"])},
        {"k": pd.Categorical(["x", "x", "y", "y"]), "l": pd.Categorical(["u", "v", "u", "v"])},
        np.ones((4, 2)),
    )
    # of k: x has precision 1 and recall 2/3, y has precision 1/2 and recall 1; of l: all right
    of_k = np.mean([2 * 1 * (2 / 3) / (1 + 2 / 3), 2 * 0.5 * 1 / (0.5 + 1)])
    assert metrics.macro_f1(case).value == pytest.approx((of_k + 1) / 2)


def test_relative_scores_divide_by_those_of_the_reference():
    case = scored({"a": [0.0, 4.0]}, {"a": [1.0, 4.0]}, [[True], [False]])
    scores = metrics.score(case.task, case.split, case.imputed)
    ratios = metrics.relative(case.task, case.split, scores, pd.DataFrame({"a": [4.0, 4.0]}))
    assert ratios["mae_relative"] == 0.25
    assert ratios["rmse_relative"] == 0.25
    assert ratios["accuracy_relative"] is None
    perfect = metrics.relative(case.task, case.split, scores, pd.DataFrame({"a": [0.0, 4.0]}))
    assert perfect["mae_relative"] is None


def test_wasserstein_is_the_optimal_assignment_over_rows_with_holes():
    rng = np.random.default_rng(1)
    truth = pd.DataFrame(rng.normal(size=(40, 3)))
    hidden = rng.random((40, 3)) < 0.3
    imputed = truth.mask(hidden, rng.normal(size=(40, 3)))
    rows = hidden.any(axis=1)
    cost = 0.5 * cdist(imputed[rows], truth[rows], "sqeuclidean")
    best = linear_sum_assignment(cost)
    case = scored(truth, imputed, hidden)
    assert metrics.wasserstein(case).value == pytest.approx(cost[best].mean(), rel=1e-9)


def test_wasserstein_is_null_with_a_reason_past_the_limit():
    n_rows = metrics.MAX_EXACT_ROWS + 1
    truth = pd.DataFrame({"a": np.zeros(n_rows)})
    result = metrics.wasserstein(scored(truth, truth, np.ones((n_rows, 1))))
    assert result.value is None
    assert str(n_rows) in result.note


def test_a_value_that_is_not_finite_becomes_null_with_a_note():
    case = scored({"a": [0.0, 1e308]}, {"a": [0.0, -1e308]}, [[False], [True]])
    result = metrics.score(case.task, case.split, case.imputed)["rmse"]
    assert result.value is None
    assert "not finite" in result.note


def test_entries_missing_from_the_start_are_not_scored():
    case = scored({"a": [1.0, np.nan, 3.0]}, {"a": [1.0, 7.0, 4.0]}, [[False], [False], [True]])
    assert metrics.mae(case).value == 1.0
    assert metrics.wasserstein(case).value == 0.5
