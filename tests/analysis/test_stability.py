"""Ranks in other views of the same results, against ranks counted by hand."""

from __future__ import annotations

import pytest
from made_records import frame, record

from analysis import stability


def scores(table: dict[str, dict[str, tuple[float, float] | None]]):
    """Records of (mae, wasserstein) by dataset and method; None is a failure."""
    rows = []
    for dataset, methods in table.items():
        for method, found in methods.items():
            facts = {"status": "failed"} if found is None else {"mae": found[0], "wasserstein": found[1]}
            rows.append(record(dataset=dataset, method=method, rmse=None, **facts))
    return frame(rows)


def rank(table, view, label):
    return table.loc[table["view"].eq(view) & table["label"].eq(label), "rank"].item()


def test_each_view_gives_the_ranks_that_a_hand_count_gives():
    table = stability.stability(
        scores(
            {
                "a": {"mean": (1.0, 1.0), "em": (0.5, 3.0), "knn": (0.6, 2.0)},
                "b": {"mean": (1.0, 1.0), "em": (0.7, 3.0), "knn": (0.6, 2.0)},
                "c": {"mean": (1.0, 1.0), "em": (0.5, 3.0), "knn": None},
            }
        )
    )
    main = "MAE, cells that every method completed"
    assert [rank(table, main, name) for name in ("em", "knn", "mean")] == [1.5, 1.5, 3.0]
    assert [rank(table, "by WASS", name) for name in ("em", "knn", "mean")] == [3.0, 2.0, 1.0]
    assert [rank(table, "without a", name) for name in ("em", "knn")] == [2.0, 1.0]
    worst = "a missing cell counts as the worst error on that data set"
    assert rank(table, worst, "knn") == pytest.approx((2 + 1 + 2.5) / 3)
    assert table["kind"].unique().tolist() == ["main", "score", "policy", "dataset"]


def test_the_table_says_where_a_method_moves_most():
    table = stability.stability(scores({name: {"mean": (1.0, 1.0), "em": (0.5, 3.0)} for name in ("a", "b")}))
    text = [[entry.text for entry in row] for row in stability.grid(table).rows]
    assert text[0] == ["em", "1.00", "2.00", "1.00", "2.00, by WASS", "3 of 4"]
    assert stability.picture(table)


@pytest.mark.parametrize(
    "rows", [{"a": {"em": (0.5, 1.0)}}, {"a": {"em": None, "mean": None}}], ids=["one method", "failures"]
)
def test_where_nothing_can_be_compared_there_is_no_table_and_no_picture(rows):
    table = stability.stability(scores(rows))
    assert stability.grid(table) is None
    assert stability.picture(table) is None
