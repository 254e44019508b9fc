"""Results by mechanism, ratio, size and kind of column: worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_records import frame, record

import analysis
from analysis.breakdowns import DIMENSIONS, breakdown, breakdown_grid, breakdowns


def errors(values: dict[tuple[str, str, float], dict[str, float | None]], **sizes: tuple[int, int]):
    """Records from {(dataset, mechanism, ratio): {method: MAE}}; None is a failure."""
    return frame(
        [
            record(
                dataset=dataset,
                mechanism=mechanism,
                ratio=ratio,
                method=method,
                n_rows=sizes.get(dataset, (300, 8))[0],
                n_columns=sizes.get(dataset, (300, 8))[1],
                **({"status": "failed"} if mae is None else {"mae": mae}),
            )
            for (dataset, mechanism, ratio), row in values.items()
            for method, mae in row.items()
        ]
    )


VALUES: dict[tuple[str, str, float], dict[str, float | None]] = {
    ("a", "mcar", 0.3): {"em": 0.2, "knn": 0.3, "mean": 1.0},
    ("b", "mcar", 0.3): {"em": 0.4, "knn": 0.3, "mean": 0.5},
    ("a", "mnar", 0.3): {"em": 0.9, "knn": 0.6, "mean": 1.2},
    ("b", "mnar", 0.3): {"em": None, "knn": 0.1, "mean": 0.5},
    ("a", "mnar", 0.5): {"em": 0.5, "knn": 0.6, "mean": 1.0},
}


def test_each_level_is_ranked_over_the_cells_that_all_completed():
    table = breakdown(errors(VALUES), by="mechanism").set_index(["level", "label"])
    assert table.at[("MCAR", "em"), "relative_error"] == pytest.approx(np.median([0.2, 0.8]))
    assert table.at[("MCAR", "knn"), "average_rank"] == 1.5
    # Where em failed, nobody is ranked.
    assert table.at[("MNAR", "knn"), "relative_error"] == pytest.approx(np.median([0.5, 0.6]))
    assert table.loc["MNAR"][["cells", "cells_seen", "datasets"]].drop_duplicates().values.tolist() == [
        [2, 3, 1]
    ]
    assert table["average_rank"].loc["MNAR"].to_dict() == {"em": 1.5, "knn": 1.5, "mean": 3.0}


@pytest.mark.parametrize(
    ("by", "levels"),
    [
        ("mechanism", ["MCAR", "MNAR"]),
        ("ratio", ["30\u202f%", "50\u202f%"]),
        ("rows", ["to 500 rows", "over 10,000 rows"]),
        ("columns", ["to 10 columns", "11 to 30 columns"]),
        ("kind", ["numeric columns"]),
    ],
)
def test_levels_stand_in_their_order(by, levels):
    records = errors(VALUES, b=(20_000, 11))
    assert list(dict.fromkeys(breakdown(records, by=by)["level"])) == levels
    grid = breakdown_grid(breakdown(records, by=by))
    assert [column.title for column in grid.columns] == ["method", *levels]
    assert all(len(row) == len(grid.columns) for row in grid.rows)


def test_a_bound_belongs_to_the_class_below_it():
    records = errors(VALUES, a=(500, 10), b=(501, 31))
    assert list(dict.fromkeys(breakdown(records, by="rows")["level"])) == ["to 500 rows", "501 to 2,000 rows"]
    levels = list(dict.fromkeys(breakdown(records, by="columns")["level"]))
    assert levels == ["to 10 columns", "over 30 columns"]


def test_columns_of_each_kind_by_the_score_that_is_theirs():
    rows = [
        record(dataset=dataset, method=method, mae=mae, accuracy=accuracy)
        for dataset, method, mae, accuracy in [
            ("numeric", "em", 0.4, None),
            ("numeric", "mean", 0.8, None),
            ("mixed", "em", 0.6, 0.7),
            ("mixed", "mean", 0.8, 0.4),
            ("categorical", "em", None, 0.9),
            ("categorical", "mean", None, 0.8),
        ]
    ]
    table = breakdown(frame(rows), by="kind").set_index(["level", "label"])
    assert table.at[("numeric columns", "em"), "relative_error"] == pytest.approx((0.5 + 0.75) / 2)
    assert table.at[("categorical columns", "em"), "relative_error"] == pytest.approx((0.5 + 0.5) / 2)
    assert table["cells"].tolist() == [2, 2, 2, 2]
    assert table.reset_index()["level"].unique().tolist() == ["numeric columns", "categorical columns"]


def test_what_is_missing_is_a_dash_or_a_rank_with_its_reason():
    values = {("a", "mcar", 0.3): {"em": 0.2, "knn": 0.3}, ("a", "mnar", 0.3): {"em": 0.3, "knn": None}}
    grid = breakdown_grid(breakdown(errors(values), by="mechanism"))
    assert [[entry.text for entry in row] for row in grid.rows] == [
        ["em", "rank 1.00", "rank 1.00"],
        ["knn", "rank 2.00", "–"],
    ]
    assert grid.footnotes() == [("a", "no cell completed by all")]
    assert any("mean imputation, which was not run" in remark for remark in grid.remarks)
    assert "MCAR 1 of 1; MNAR 1 of 1" in grid.remarks[0]


def test_the_report_has_those_that_vary(build):
    records = errors(VALUES, b=(20_000, 8))
    found = breakdowns(records)
    assert [table.attrs["by"] for table in found] == ["mechanism", "ratio", "rows"]
    pd.testing.assert_frame_equal(found[2], breakdown(records, by="rows"))
    folder = build(records.drop(columns="label", errors="ignore").to_dict("records"))
    analysis.write(folder, formats=("md",))
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "Where each method is good" in text
    assert "MAE by rows of the table" in text
    assert "MAE by kind of column" not in text


def test_little_gives_little_and_a_wrong_name_all_names():
    with pytest.raises(
        ValueError, match="unknown breakdown 'size'; the breakdowns are mechanism, ratio, rows"
    ):
        analysis.breakdown(frame([record()]), by="size")
    failed = frame([record(status="failed"), record(status="failed", method="em")])
    for by in DIMENSIONS:
        table = breakdown(failed, by=by)
        assert table.empty
        assert breakdown_grid(table).rows == []
    assert breakdown(pd.DataFrame(), by="ratio").empty
