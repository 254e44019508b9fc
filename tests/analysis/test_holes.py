"""Counting holes, against plain ways to count them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import holes


def mask(n_rows: int, n_columns: int, rate: float = 0.3) -> np.ndarray:
    return np.random.default_rng(n_columns).random((n_rows, n_columns)) < rate


@pytest.mark.parametrize("n_columns", [1, 5, 31, 32, 100])
def test_patterns_are_the_distinct_rows(n_columns):
    made = mask(500, n_columns, 0.05)
    found = holes.patterns(made)
    rows, counts = np.unique(made, axis=0, return_counts=True)
    assert dict(zip(map(bytes, rows), counts, strict=True)) == dict(
        zip(map(bytes, np.ascontiguousarray(found.members)), found.counts, strict=True)
    )
    assert (np.diff(found.counts) <= 0).all()


def test_equally_frequent_patterns_stand_as_the_table_has_them():
    made = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    assert holes.patterns(made).members.tolist() == [[False, True], [True, False], [True, True]]


def test_bands_hold_all_rows_once():
    made = mask(103, 4)
    shares = holes.bands(made, 10)
    sizes = np.diff(np.linspace(0, 103, 11).astype(int))
    assert shares.shape == (10, 4)
    assert (shares * sizes[:, None]).sum(axis=0) == pytest.approx(made.sum(axis=0))
    assert holes.bands(made[:3], 10).tolist() == made[:3].astype(float).tolist()


def test_pairs_are_counted_over_all_chunks(monkeypatch):
    made = mask(1000, 6)
    monkeypatch.setattr(holes, "CHUNK", 300)
    assert (holes.both(made) == made.T.astype(int) @ made.astype(int)).all()


def test_correlation_is_pearson_s_of_the_mask():
    made = mask(200, 5)
    phi = holes.correlation(holes.both(made), len(made))
    assert phi == pytest.approx(np.corrcoef(made.T.astype(float)))
    never = np.column_stack([made[:, :1], np.zeros((200, 1), dtype=bool)])
    assert np.isnan(holes.correlation(holes.both(never), 200)[0, 1])


def test_every_null_is_a_hole():
    frame = pd.DataFrame(
        {
            "float": [1.0, np.nan],
            "nullable": pd.array([1, None], dtype="Int64"),
            "category": pd.Categorical(["a", None]),
            "time": [pd.Timestamp(0), pd.NaT],
            "object": ["x", None],
        }
    )
    assert holes.mask_of(frame).tolist() == [[False] * 5, [True] * 5]
