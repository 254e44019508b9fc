"""Rubin's rules against figures worked out elsewhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from orchestrator.impute.pooling import pool


def test_one_estimate_by_hand():
    """m = 3: W = .5, B = 1, T = W + 4/3 B = 11/6; lambda = (4/3) / T = 8/11; nu = 2 / lambda^2."""
    row = pool([(1.0, np.sqrt(0.4)), (2.0, np.sqrt(0.5)), (3.0, np.sqrt(0.6))]).iloc[0]
    assert row["estimate"] == pytest.approx(2)
    assert row["std_error"] == pytest.approx(np.sqrt(11 / 6))
    assert row["missing"] == pytest.approx(8 / 11)
    assert row["dof"] == pytest.approx(2 / (8 / 11) ** 2)
    half = scipy.stats.t.ppf(0.975, 2 / (8 / 11) ** 2) * np.sqrt(11 / 6)
    assert (row["low"], row["high"]) == pytest.approx((2 - half, 2 + half))


def test_few_rows_lower_the_degrees_of_freedom_as_barnard_and_rubin_say():
    answers = [(1.0, np.sqrt(0.4)), (2.0, np.sqrt(0.5)), (3.0, np.sqrt(0.6))]
    old, observed = 2 / (8 / 11) ** 2, 51 / 53 * 50 * (3 / 11)
    assert pool(answers, dof=50)["dof"].item() == pytest.approx(1 / (1 / old + 1 / observed))


def test_imputations_that_agree_leave_the_error_of_one():
    row = pool([(1.5, 0.2)] * 5).iloc[0]
    assert row["std_error"] == pytest.approx(0.2)
    assert row["missing"] == 0
    assert row["high"] - row["low"] == pytest.approx(2 * 0.2 * scipy.stats.norm.ppf(0.975))


def test_named_estimates_and_fitted_models_keep_their_names():
    names = pd.Index(["intercept", "slope"])
    fits = [
        SimpleNamespace(params=pd.Series([1.0 + m, 2.0], names), bse=pd.Series([0.1, 0.2], names))
        for m in range(3)
    ]
    pooled = pool(fits)
    assert pooled["estimate"].to_dict() == {"intercept": 2.0, "slope": 2.0}
    again = pool([(fit.params, fit.bse) for fit in fits])
    pd.testing.assert_frame_equal(pooled, again)


def test_an_analysis_is_done_on_every_table():
    tables = [pd.DataFrame({"x": [1.0, 2.0, 3.0 + m]}) for m in range(4)]
    pooled = pool(tables, lambda table: (table["x"].mean(), table["x"].sem()))
    assert pooled["estimate"].item() == pytest.approx(np.mean([table["x"].mean() for table in tables]))


def test_intervals_hold_the_mean_as_often_as_they_say():
    """A mean over 200 rows, 40 % of them hidden and drawn by the book (normal, known form), 200 times."""
    held = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        seen = rng.normal(3, 2, 120)
        answers = []
        for _ in range(10):
            variance = seen.var(ddof=1) * 119 / rng.chisquare(119)
            mean = rng.normal(seen.mean(), np.sqrt(variance / 120))
            whole = np.concatenate([seen, rng.normal(mean, np.sqrt(variance), 80)])
            answers.append((whole.mean(), whole.std(ddof=1) / np.sqrt(200)))
        row = pool(answers, dof=199).iloc[0]
        held.append(row["low"] <= 3 <= row["high"])
    assert 0.91 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(
    ("answers", "how", "message"),
    [
        ([(1.0, 0.1)], {}, "at least two"),
        ([(1.0, 0.1), ([1.0, 2.0], [0.1, 0.1])], {}, "same things"),
        ([1.0, 2.0], {}, "float: it should return"),
        ([(1.0, np.nan), (1.0, 0.1)], {}, "not a finite number"),
        ([(1.0, -0.1), (1.0, 0.1)], {}, "not a finite number"),
        ([(1.0, 0.1), (1.0, 0.1)], {"confidence": 95}, "confidence=95"),
    ],
)
def test_what_cannot_be_pooled_is_refused(answers, how, message):
    with pytest.raises(ValueError, match=message):
        pool(answers, **how)
