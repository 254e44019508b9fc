"""Errors of columns add up to those of a table, and a bootstrap says how sure they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.impute.scoring import DRAWS, Board, Columns, Fold, numbers, pick


@pytest.fixture
def table():
    """Two numeric columns, the second with more holes and in other units, and a categorical one."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=400),
            "b": 1000 + 50 * rng.normal(size=400),
            "kind": pd.Categorical(rng.choice(["x", "y", "z"], size=400, p=[0.6, 0.3, 0.1])),
        }
    )
    frame.loc[:9, "a"] = np.nan
    frame.loc[10:49, "b"] = np.nan
    frame.loc[50:59, "kind"] = None
    return frame


@pytest.fixture
def contest(table):
    columns = Columns.of(table, table.isna().to_numpy())
    mask = np.random.default_rng(1).random(table.shape) < 0.15
    mask[table.isna().to_numpy()] = False
    folds = [
        Fold.of(table, mask),
        Fold.of(table, np.roll(mask, 100, axis=0) & ~table.isna().to_numpy()),
    ]
    return columns, folds


def board(contest, **filled) -> Board:
    """A board of candidates, each a function of a fold to its filled values."""
    columns, folds = contest
    return Board(
        columns,
        folds,
        {
            name: [columns.distance(fold.truth, fill(fold), fold.column) for fold in folds]
            for name, fill in filled.items()
        },
    )


def noisy(size, seed=0):
    """The truth with noise on numbers and some categories wrong."""

    def fill(fold):
        rng = np.random.default_rng([seed, fold.row.size])
        off = rng.normal(size=fold.truth.size) * np.where(fold.column == 1, 50, 1) * size
        wrong = rng.random(fold.truth.size) < size / 2
        return np.where(fold.column == 2, np.where(wrong, 2 - fold.truth, fold.truth), fold.truth + off)

    return fill


def test_the_truth_has_no_error_and_constants_have_about_one(contest):
    scores = board(contest, truth=lambda fold: fold.truth, constant=lambda fold: fold.constant)
    assert scores.value("truth", "error") == scores.value("truth", "rmse") == 0
    assert scores.value("constant", "error") == pytest.approx(1, abs=0.02)


def test_metrics_are_those_of_the_columns_weighted_by_their_holes(contest):
    columns, folds = contest
    fill = noisy(0.4)
    scores = board(contest, method=fill)

    def mean(column, power=1):
        apart = [
            np.abs(fill(fold) - fold.truth)[fold.column == column] / columns.scale[column] for fold in folds
        ]
        return (np.concatenate(apart) ** power).mean()

    assert scores.value("method", "mae") == pytest.approx((10 * mean(0) + 40 * mean(1)) / 50)
    squared = (10 * mean(0, 2) + 40 * mean(1, 2)) / 50
    assert scores.value("method", "rmse") == pytest.approx(np.sqrt(squared))
    wrong = np.concatenate([(fill(fold) != fold.truth)[fold.column == 2] for fold in folds])
    assert scores.value("method", "accuracy") == pytest.approx(wrong.mean())


def test_the_unit_of_a_column_changes_nothing(table, contest):
    before = board(contest, method=noisy(0.4)).value("method", "error")
    scaled = table.assign(b=table["b"] * 1e-6)
    columns = Columns.of(scaled, scaled.isna().to_numpy())

    def shrunk(fold):
        unit = np.where(fold.column == 1, 1e-6, 1)
        return Fold(fold.row, fold.column, fold.truth * unit, fold.constant * unit)

    folds = [shrunk(fold) for fold in contest[1]]
    fill = {id(small): noisy(0.4)(fold) for small, fold in zip(folds, contest[1], strict=True)}
    after = board(
        (columns, folds), method=lambda fold: fill[id(fold)] * np.where(fold.column == 1, 1e-6, 1)
    ).value("method", "error")
    assert after == pytest.approx(before)


def test_a_metric_without_columns_is_none(contest):
    columns, folds = contest
    at = [fold.column == 2 for fold in folds]
    only = [
        Fold(*(getattr(fold, name)[chosen] for name in ("row", "column", "truth", "constant")))
        for fold, chosen in zip(folds, at, strict=True)
    ]
    scores = board((columns, only), method=lambda fold: fold.truth)
    assert scores.value("method", "mae") is None
    assert scores.value("method", "accuracy") == 0


def test_resamples_are_paired_and_centred_on_the_value(contest):
    scores = board(contest, good=noisy(0.3), same=noisy(0.3), worse=noisy(0.4, seed=1))
    names = ["good", "same", "worse"]
    draws = scores.resampled(names, "error", np.random.default_rng(0))
    assert draws.shape == (3, DRAWS)
    assert (draws[0] == draws[1]).all()
    assert draws[0].mean() == pytest.approx(scores.value("good", "error"), rel=0.02)
    assert (draws[0] < draws[2]).mean() > 0.9
    again = scores.resampled(names, "error", np.random.default_rng(0))
    assert (draws == again).all()


def test_the_interval_covers_the_error_of_many_tables():
    """Of 95 % intervals over rows, about so many hold the mean that they are for."""
    rng = np.random.default_rng(3)
    columns = Columns(np.array([False]), np.ones(1), np.zeros(1), np.ones(1), np.ones(1, dtype=np.int64))
    held = 0
    for _ in range(60):
        folds = []
        for _ in range(4):
            truth = rng.normal(size=50)
            rows = rng.choice(400, 50, replace=False)
            folds.append(Fold(rows, np.zeros(50, dtype=np.intp), truth, np.zeros(50)))
        scores = board((columns, folds), zero=lambda fold: np.zeros(fold.truth.size))
        low, high = np.percentile(scores.resampled(["zero"], "mae", rng)[0], [2.5, 97.5])
        held += low <= np.sqrt(2 / np.pi) <= high
    assert held >= 54


def test_constants_are_those_of_what_is_left():
    frame = pd.DataFrame({"a": [1.0, 2.0, 9.0, np.nan], "k": pd.Categorical(["x", "y", "y", "y"])})
    fold = Fold.of(frame, np.array([[0, 0], [0, 1], [1, 0], [0, 0]], dtype=bool))
    assert fold.truth.tolist() == [1.0, 9.0]
    assert fold.constant.tolist() == [1.0, 1.5]
    assert fold.column.tolist() == [1, 0]


def test_entries_are_picked_as_numbers_and_codes(table):
    filled = table.fillna({"a": 0.5, "b": 0.0, "kind": "z"})
    assert pick(filled, np.array([0, 55]), np.array([0, 2])).tolist() == [0.5, 2.0]
    assert np.isnan(numbers(table["kind"])[50:60]).all()
