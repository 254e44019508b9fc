"""Cost: medians over trials, growth with size, told apart by device."""

from __future__ import annotations

import numpy as np
import pytest
from made_records import frame, record

from analysis.cost import cost_grids, costs, growth
from analysis.cost_plots import accuracy_against_cost, growth_plot


def sized(exponents: tuple[float, float], sizes, **changes):
    """Records whose seconds are rows^a columns^b / 10^6."""
    a, b = exponents
    return [
        record(dataset=f"{n}x{d}", method="em", n_rows=n, n_columns=d, fit_seconds=n**a * d**b / 1e6,
               impute_seconds=0.0, **changes)
        for n, d in sizes
    ]  # fmt: skip


def test_costs_are_medians_over_successful_trials():
    rows = [record(mask_seed=seed, fit_seconds=fit, impute_seconds=1.0, peak_rss_mb=mb)
            for seed, (fit, mb) in enumerate([(1.0, 100.0), (2.0, 300.0), (9.0, 200.0)])]  # fmt: skip
    rows += [record(mask_seed=3, status="failed")]
    (row,) = costs(frame(rows)).to_dict("records")
    assert (row["seconds"], row["least"], row["most"]) == (3.0, 2.0, 10.0)
    assert (row["rss_mb"], row["trials"]) == (200.0, 3)
    assert np.isnan(row["gpu_mb"])


def test_a_trial_of_two_splits_fits_once():
    rows = [record(split=split, fit_seconds=5.0, impute_seconds=seconds, n_rows=n)
            for split, seconds, n in (("in_sample", 1.0, 70), ("out_of_sample", 2.0, 30))]  # fmt: skip
    (row,) = costs(frame(rows)).to_dict("records")
    assert (row["seconds"], row["n_rows"], row["trials"]) == (8.0, 100, 1)


def test_devices_and_threads_are_told_apart():
    rows = [record(device="cuda", peak_gpu_mb=900.0, threads=2), record(mask_seed=1)]
    grids = cost_grids(costs(frame(rows)), ["mean"], {})
    assert [grid.detail.partition(";")[0] for grid in grids] == [
        "cpu, 1 thread",
        "cpu, 1 thread",
        *["cuda, 2 threads"] * 3,
    ]
    assert "Peak memory of the GPU in MB" in [grid.caption for grid in grids]


def test_a_table_that_a_method_never_finished_is_a_dash_with_its_reason():
    rows = [record(method="em", dataset="a"), record(dataset="a"), record(dataset="b")]
    rows += [record(method="em", dataset="b", status="timeout")]
    seconds = cost_grids(costs(frame(rows)), ["em", "mean"], {})[0]
    assert [entry.text for entry in seconds.rows[0]] == ["em", "0.003", "–"]
    assert seconds.rows[0][2].note == "no successful trial"


@pytest.mark.parametrize(
    ("sizes", "rows", "columns"),
    [
        ([(n, d) for n in (100, 400, 1600) for d in (4, 16)], 1.5, 2.0),
        ([(100, 8), (400, 8), (1600, 8)], 1.5, np.nan),
        ([(100, 4), (100, 8), (100, 16)], np.nan, 2.0),
        ([(100, 8), (120, 8), (150, 8)], np.nan, np.nan),  # too alike in size
        ([(100, 8), (1000, 8)], np.nan, np.nan),  # too few
    ],
)
def test_growth_finds_the_exponents(sizes, rows, columns):
    table = growth(costs(frame(sized((1.5, 2.0), sizes))))
    if np.isnan(rows) and np.isnan(columns):
        assert table.empty
        return
    assert table[["rows", "columns"]].iloc[0].tolist() == pytest.approx([rows, columns], nan_ok=True)
    assert table["r2"].iloc[0] == pytest.approx(1)


def test_rows_and_columns_that_grow_together_are_not_told_apart():
    table = growth(costs(frame(sized((1.0, 1.0), [(100, 4), (400, 16), (1600, 64), (6400, 256)]))))
    assert table[["rows", "columns"]].notna().sum(axis=1).tolist() == [1]


def test_pictures_are_drawn_where_there_is_something_to_see():
    text = growth_plot(costs(frame(sized((1.5, 2.0), [(100, 8), (400, 8), (1600, 8)]))))
    assert text is not None and "em (rows 1.5)" in text
    assert growth_plot(costs(frame([record()]))) is None
    pair = frame([record(method="em", mae=0.4), record()])
    assert "em" in (accuracy_against_cost(pair) or "")
    assert accuracy_against_cost(frame([record()])) is None
    assert accuracy_against_cost(frame([record(status="failed")])) is None
