"""Observed against filled values of a column."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from analysis.contrast import BINS, FEW, LEVELS, contrast
from analysis.contrast_plots import contrast_plot


def column(values, share: float = 0.3, seed: int = 0) -> tuple[pd.Series, pd.Series]:
    """A column with holes, and whole."""
    after = pd.Series(values)
    return after.mask(np.random.default_rng(seed).random(len(after)) < share), after


def test_shares_means_and_spreads_are_of_each_side():
    before, after = column(np.random.default_rng(1).normal(5, 2, 1000))
    holes = before.isna()
    after[holes] = after[holes] / 4
    found = contrast("x", "numeric", before, after)
    assert (found.n_observed, found.n_filled) == ((~holes).sum(), holes.sum())
    assert found.observed.sum() == pytest.approx(1)
    assert found.filled.sum() == pytest.approx(1)
    assert found.means == pytest.approx((after[~holes].mean(), after[holes].mean()))
    assert found.narrowing == pytest.approx(after[holes].std(ddof=0) / after[~holes].std(ddof=0))
    assert found.shift == pytest.approx((found.means[1] - found.means[0]) / found.deviations[0])
    assert len(found.edges) == BINS + 1
    assert found.distance > 0.5


def test_values_far_out_are_counted_in_the_last_bin():
    before, after = column(np.r_[np.linspace(0, 1, 2000), 1e9])
    found = contrast("x", "numeric", before, after)
    assert found.edges[-1] < 2
    assert found.clipped
    assert found.observed.sum() == pytest.approx(1)


def test_few_whole_numbers_have_a_bin_each():
    before, after = column([0.0, 1, 1, 2, 2, 2, 5] * 20)
    found = contrast("x", "integer", before, after)
    assert found.edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert found.observed[3] == 0
    many = contrast("x", "integer", *column(np.arange(10_000.0)))
    assert len(many.edges) <= BINS + 2
    assert np.unique(np.diff(many.edges) % 1).tolist() == [0]


def test_a_handful_of_fills_is_drawn_one_by_one():
    before, after = column(np.arange(200.0), share=0.05)
    found = contrast("x", "numeric", before, after)
    assert found.n_filled <= FEW
    assert found.few.tolist() == sorted(after[before.isna()])
    assert contrast_plot(found, "p")


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[ns, Europe/Berlin]", "object", "text"])
def test_dates_are_dates_however_they_are_kept(dtype):
    days = pd.Series(pd.date_range("2020-01-01", periods=100))
    if dtype == "text":
        days = days.dt.strftime("%d/%m/%Y").astype(object)
    elif "Berlin" in dtype:
        days = days.dt.tz_localize("Europe/Berlin")
    else:
        days = days.astype(dtype)
    before, after = column(days)
    found = contrast("x", "date", before, after)
    assert found.kind == "date"
    assert pd.Timestamp(int(found.edges[0])).date().isoformat() in ("2019-12-31", "2020-01-01")
    assert "observed" in contrast_plot(found, "p")


def test_rare_categories_are_added_up():
    levels = [f"level {number:02d}" for number in range(20)]
    before, after = column([level for number, level in enumerate(levels) for _ in range(60 - number)])
    found = contrast("x", "category", before, after)
    assert len(found.labels) == LEVELS + 1
    assert found.labels[-1] == f"all others ({20 - LEVELS})"
    assert found.observed.sum() == pytest.approx(1)
    assert found.filled.sum() == pytest.approx(1)
    assert (np.diff(found.observed[:-1]) <= 0).all()


def test_categories_that_read_alike_are_one():
    before = pd.Series([1, "1", None, 2], dtype=object)
    found = contrast("x", "category", before, before.fillna(2))
    assert list(found.labels) == ["1", "2"]
    assert found.observed.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_what_is_no_number_after_all_is_a_category():
    before = pd.Series(["1", "two", None])
    assert contrast("x", "numeric", before, before.fillna("1")).kind == "category"


def test_what_was_not_filled_is_not_contrasted():
    before = pd.Series([1.0, None])
    assert contrast("x", "numeric", before, before) is None


@pytest.mark.parametrize("role", ["numeric", "integer", "date", "category", "boolean", "empty"])
def test_a_column_that_was_never_observed_has_no_picture(role):
    fill = pd.Timestamp("2020-01-01") if role == "date" else 1.0
    before = pd.Series([None, None], dtype=object)
    found = contrast("x", role, before, pd.Series([fill, fill]))
    assert (found.n_observed, found.n_filled) == (0, 2)
    assert np.isnan(found.distance)
    assert contrast_plot(found, "p") is None


def test_one_value_throughout_still_has_bins():
    before = pd.Series([3.5, 3.5, None])
    found = contrast("x", "numeric", before, before.fillna(3.5))
    assert found.observed.sum() == found.filled.sum() == 1
    assert np.isnan(found.shift)
    assert contrast_plot(found, "p")


def test_fills_that_pile_up_leave_the_observed_ones_in_sight():
    before, after = column(np.random.default_rng(0).normal(size=1000))
    after[before.isna()] = 0.1
    picture = contrast_plot(contrast("x", "numeric", before, after), "p")
    assert "100\u202f% ↑" in picture
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', picture)]
    assert max(heights) > 40


def test_whole_numbers_have_whole_ticks():
    picture = contrast_plot(contrast("x", "integer", *column([0.0, 1, 2, 3, 4, 5, 6, 7] * 20)), "p")
    texts = re.findall(r">([^<>]+)</text>", picture)
    assert texts
    assert all(float(text).is_integer() for text in texts)
