"""What goes along with holes: found where it was planted, and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.companions import companions

ROLES = ["numeric", "numeric", "category", "text"]


def table(n: int = 2000, seed: int = 0) -> tuple[pd.DataFrame, np.random.Generator]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.exponential(size=n),
            "c": pd.Categorical(rng.choice(["x", "y", "z"], n)),
            "t": [f"text {number}" for number in range(n)],
        }
    )
    return frame, rng


def found_in(frame: pd.DataFrame):
    mask = frame.isna().to_numpy()
    return companions(frame, ROLES, mask, np.flatnonzero(mask.any(axis=0)).tolist())


def test_holes_by_pure_chance_have_no_companion():
    for seed in range(20):
        frame, rng = table(seed=seed)
        assert found_in(frame.mask(rng.random(frame.shape) < 0.2)) == []


def test_many_columns_are_no_reason_to_find_something():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2000, 100))).mask(rng.random((2000, 100)) < 0.1)
    frame[100] = pd.Categorical(rng.choice(list("abcdefgh"), 2000))
    mask = frame.isna().to_numpy()
    assert companions(frame, ["numeric"] * 100 + ["category"], mask, range(100)) == []


def test_a_number_that_drives_holes_is_found_with_its_sign():
    frame, rng = table()
    frame["a"] = frame["a"].mask(rng.random(len(frame)) < 0.5 * (frame["b"] > 1))
    (one,) = found_in(frame)
    assert (one.hole, one.other, one.level) == (0, 1, None)
    hole = frame["a"].isna()
    assert one.there == pytest.approx(frame.loc[hole, "b"].median())
    assert one.elsewhere == pytest.approx(frame.loc[~hole, "b"].median())
    pairs = frame.loc[hole, "b"].to_numpy()[:, None] > frame.loc[~hole, "b"].to_numpy()
    assert one.strength == pytest.approx(pairs.mean() - 0.5)


def test_a_category_that_drives_holes_is_found_with_its_level():
    frame, rng = table()
    frame["b"] = frame["b"].mask((rng.random(len(frame)) < 0.4) & (frame["c"] == "y"))
    (one,) = found_in(frame)
    assert (one.hole, one.other, one.level) == (1, 2, "y")
    assert one.there == 1.0
    assert one.elsewhere == pytest.approx((frame.loc[frame["b"].notna(), "c"] == "y").mean())
    assert one.strength == pytest.approx((one.there - one.elsewhere) / 2)


def test_few_rows_prove_nothing():
    frame, _ = table(n=2 * 19)
    frame["a"] = frame["a"].mask(frame["b"] > frame["b"].median())
    assert found_in(frame) == []


def test_a_long_table_is_looked_at_in_part(monkeypatch):
    frame, rng = table(n=5000)
    frame["a"] = frame["a"].mask(rng.random(len(frame)) < 0.5 * (frame["b"] > 1))
    whole = found_in(frame)
    monkeypatch.setattr("analysis.companions.LOOKED_AT", 2500)
    part = found_in(frame)
    assert [(one.hole, one.other) for one in part] == [(one.hole, one.other) for one in whole]
    assert part[0].strength == pytest.approx(whole[0].strength, abs=0.05)
    assert part != whole
