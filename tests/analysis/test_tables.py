"""Cells, ranks and tables, against values worked out by hand."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pandas as pd
import pytest
from made_records import frame, record

from analysis import grid as render
from analysis.ranking import leaderboard, leaderboard_grid, relative
from analysis.tables import cells, paper_table, strata


def scores(values: dict[tuple[str, str], list[float | None]], **changes):
    """Records from {(dataset, method): one MAE for each mask seed}; None is a failed trial."""
    return frame(
        [
            record(
                dataset=dataset,
                method=method,
                mask_seed=seed,
                **({"mae": mae} if mae else {"status": "failed"}),
            )
            | changes
            for (dataset, method), maes in values.items()
            for seed, mae in enumerate(maes)
        ]
    )


@pytest.mark.parametrize("module", ["schema", "ranking", "plots", "grid"])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(importlib.import_module(f"analysis.{module}"))
    assert result.failed == 0


def test_cells_average_mask_seeds_and_count_what_is_missing():
    records = scores(
        {("a", "em"): [0.2, 0.4, 0.6], ("a", "gain"): [0.5, None, 0.7], ("a", "knn"): [None] * 3}
    )
    table = cells(records).set_index("label")
    assert table.at["em", "mean"] == pytest.approx(0.4)
    assert table.at["em", "std"] == pytest.approx(0.2)  # ddof 1
    assert table.loc["em", ["n", "n_expected", "n_failed", "n_null", "complete"]].tolist() == [
        3,
        3,
        0,
        0,
        True,
    ]
    assert table.loc["gain", ["n", "n_failed", "complete"]].tolist() == [2, 1, False]
    assert table.at["gain", "note"] == "2 of 3 mask seeds, not ranked: 1 failed"
    assert math.isnan(table.at["knn", "mean"])
    assert table.at["knn", "note"] == "3 failed"


def test_one_seed_has_a_mean_and_no_spread():
    table = cells(scores({("a", "em"): [0.2]}))
    assert table["mean"].tolist() == [0.2]
    assert table["std"].isna().all()


def test_a_null_score_keeps_its_reason():
    records = frame([record(wasserstein=None, wasserstein_note="more than 4,000 rows"), record(method="em")])
    table = cells(records, "wasserstein").set_index("label")
    assert table.at["mean", "note"] == "more than 4,000 rows"
    assert table.loc["mean", ["n", "n_null", "n_failed"]].tolist() == [0, 1, 0]


def test_a_failed_trial_without_a_split_is_not_lost():
    records = frame([record(mae=0.2), record(method="em", status="failed", split=None)])
    assert cells(records)["label"].tolist() == ["em", "mean"]


def test_a_mask_seed_that_was_not_run_is_missing_too():
    table = cells(scores({("a", "em"): [0.2, 0.4], ("a", "knn"): [0.3]})).set_index("label")
    assert not table.at["knn", "complete"]
    assert table.at["knn", "note"] == "1 of 2 mask seeds, not ranked: 1 mask seed not yet run"


def test_splits_protocols_and_ratios_are_never_mixed():
    rows = [
        record(mae=value, split=split, ratio=ratio, protocol=protocol)
        for value, split, ratio, protocol in [
            (0.1, "in_sample", 0.3, "default"),
            (0.2, "out_of_sample", 0.3, "default"),
            (0.3, "in_sample", 0.5, "default"),
            (0.4, "in_sample", 0.3, "newimp"),
        ]
    ]
    assert sorted(cells(frame(rows))["mean"]) == [0.1, 0.2, 0.3, 0.4]
    assert len(strata(frame(rows))) == 4


def test_leaderboard_by_hand():
    records = scores(
        {
            ("a", "mean"): [1.0, 1.0],
            ("a", "em"): [0.4, 0.6],  # half of mean imputation
            ("a", "knn"): [0.5, 0.5],  # ties with em once seeds are averaged
            ("b", "mean"): [0.8, 0.8],
            ("b", "em"): [0.2, 0.2],  # a quarter
            ("b", "knn"): [0.6, 0.6],
        }
    )
    board = leaderboard(records)
    assert board["label"].tolist() == ["em", "knn", "mean"]
    assert board["average_rank"].tolist() == [1.25, 1.75, 3.0]
    assert board["wins"].tolist() == [2, 1, 0]
    assert board["relative_error"].tolist() == pytest.approx([0.375, 0.625, 1.0])
    assert board["mae"].tolist() == pytest.approx([0.35, 0.55, 0.9])
    assert (board.attrs["cells_ranked"], board.attrs["cells_seen"]) == (2, 2)
    assert "all 2 cells" in board.attrs["note"]


def test_a_cell_with_a_failure_is_left_out_for_all_and_that_is_said():
    records = scores(
        {
            ("a", "em"): [0.1, None],  # would win, but only on the seed it survived
            ("a", "knn"): [0.5, 0.5],
            ("b", "em"): [0.6, 0.6],
            ("b", "knn"): [0.5, 0.5],
        }
    )
    board = leaderboard(records).set_index("label")
    assert board["average_rank"].to_dict() == {"knn": 1.0, "em": 2.0}
    assert board.at["em", "mae"] == pytest.approx(0.6)
    assert board["failures"].to_dict() == {"knn": 0, "em": 1}
    assert "1 of 2 cells" in leaderboard(records).attrs["note"]


def test_a_method_that_completed_nothing_stands_last_and_stops_no_ranking():
    board = leaderboard(scores({("a", "em"): [0.1], ("a", "knn"): [0.2], ("a", "gain"): [None]}))
    assert board["label"].tolist() == ["em", "knn", "gain"]
    assert board["average_rank"].tolist()[:2] == [1.0, 2.0]
    assert board.iloc[2][["average_rank", "wins", "mae"]].isna().all()
    assert "gain" in board.attrs["note"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {("a", "em"): [None, None]},
        {("a", "em"): [0.1]},
        {("a", "em"): [0.1], ("b", "knn"): [0.2]},
        {("a", "em"): [None], ("a", "mean"): [0.4]},
    ],
    ids=["no record", "all failed", "one method", "disjoint", "one survivor"],
)
def test_leaderboard_stands_little_and_broken_input(values):
    board = leaderboard(scores(values))
    assert len(board) == len({method for _, method in values})
    assert board.attrs["note"]
    table = leaderboard_grid(board)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_leaderboard_takes_records_that_were_never_in_a_file():
    assert leaderboard(pd.DataFrame()).empty
    assert leaderboard_grid(leaderboard(pd.DataFrame())).rows == []
    rows = [record(method="em", status="failed"), record(method="mean", wasserstein=None)]
    kept = (
        "trial_key",
        "dataset",
        "mechanism",
        "ratio",
        "mask_seed",
        "method",
        "params",
        "protocol",
        "split",
    )
    live = pd.DataFrame([{key: row[key] for key in (*kept, "mae", "wasserstein", "status")} for row in rows])
    board = leaderboard(live)
    assert board["label"].tolist() == ["mean", "em"]
    assert board["mae"].tolist()[0] == 0.75
    assert board[["seconds", "wasserstein"]].isna().all().all()


def test_a_score_that_some_lack_is_averaged_where_all_have_it():
    rows = [
        record(dataset=dataset, method=method, mae=mae, wasserstein=wass)
        for dataset, method, mae, wass in [
            ("a", "em", 0.1, 1.0),
            ("a", "knn", 0.2, 2.0),
            ("b", "em", 0.1, None),
            ("b", "knn", 0.2, 200.0),
        ]
    ]
    board = leaderboard(frame(rows))
    assert board["wasserstein"].tolist() == [1.0, 2.0]
    assert board.attrs["scored"] == {"mae": 2, "rmse": 2, "wasserstein": 1}
    assert any("1 ranked cell" in remark for remark in leaderboard_grid(board).remarks)


def test_without_mean_imputation_there_is_no_relative_error():
    board = leaderboard(scores({("a", "em"): [0.1], ("a", "knn"): [0.2]}))
    assert board["relative_error"].isna().all()
    assert relative(cells(scores({("a", "em"): [0.1]})))["relative"].isna().all()


def test_higher_is_better_where_it_is():
    rows = [record(method="mode", accuracy=0.5), record(method="missforest", accuracy=0.8)]
    assert leaderboard(frame(rows), metric="accuracy")["label"].tolist() == ["missforest", "mode"]
    rows = [record(method="a", coverage_90=0.99), record(method="b", coverage_90=0.88)]
    assert leaderboard(frame(rows), metric="coverage_90")["label"].tolist() == ["b", "a"]


def marks(table):
    return {row[0].text: [entry.mark for entry in row[1:]] for row in table.rows}


def test_best_and_second_are_marked_and_ties_share():
    records = scores(
        {
            ("a", "em"): [0.1],
            ("a", "knn"): [0.2],
            ("a", "mean"): [0.3],
            ("b", "em"): [0.20001],  # prints as 0.200, like knn
            ("b", "knn"): [0.2],
            ("b", "mean"): [0.3],
            ("c", "em"): [0.1],
        }
    )
    table = paper_table(records, mechanism="mcar")
    assert marks(table) == {
        "em": ["best", "best", ""],  # alone in c: nothing to be better than
        "knn": ["second", "best", ""],
        "mean": ["", "", ""],
    }
    assert table.rows[1][3].text == "–"
    assert table.rows[1][3].note == "no record"


def test_a_mean_over_fewer_seeds_is_shown_with_its_reason_and_wins_nothing():
    records = scores({("a", "em"): [0.1, None], ("a", "knn"): [0.2, 0.2], ("a", "mean"): [0.3, 0.3]})
    table = paper_table(records, mechanism="mcar")
    assert marks(table) == {"em": [""], "knn": ["best"], "mean": ["second"]}
    assert table.rows[0][1].text == "0.100"
    assert table.footnotes() == [("a", "1 of 2 mask seeds, not ranked: 1 failed")]


def test_a_null_wasserstein_is_a_dash_with_its_reason_and_never_zero():
    rows = [
        record(wasserstein=None, wasserstein_note="too many rows", method=name) for name in ("em", "mean")
    ]
    table = paper_table(frame(rows), metric="wasserstein", mechanism="mcar")
    assert [row[1].text for row in table.rows] == ["–", "–"]
    assert [row[1].value for row in table.rows] == [None, None]
    for text in (render.markdown(table), render.html(table, identifier="t"), render.latex(table)):
        assert "too many rows" in text
        assert "0.000" not in text


def test_paper_table_asks_which_where_several_fit():
    records = frame([record(ratio=0.3), record(ratio=0.5)])
    with pytest.raises(ValueError, match=r"several values of ratio: \[.*0\.3.*0\.5"):
        paper_table(records, mechanism="mcar")
    assert "50" in paper_table(records, mechanism="mcar", ratio=0.5).detail
    with pytest.raises(ValueError, match="mechanism='mar'"):
        paper_table(records, mechanism="mar")
    with pytest.raises(ValueError, match="unknown metric 'mea'"):
        paper_table(records, metric="mea", mechanism="mcar")


def test_rows_follow_the_order_asked_for_and_datasets_their_short_names():
    records = scores({("blood", "em"): [0.1], ("blood", "knn"): [0.2], ("blood", "mean"): [0.3]})
    table = paper_table(records, mechanism="mcar", order=["mean", "knn"], short={"blood": "BT"})
    assert [row[0].text for row in table.rows] == ["mean", "knn", "em"]
    assert [column.title for column in table.columns] == ["method", "BT"]


NASTY = "<script>alert(1)</script> a|b *c* _d_ 50% & \\e"


def test_renderings_escape_what_comes_from_outside():
    table = render.Grid(
        NASTY, [render.Column(NASTY), render.Column("x")], [[render.Entry(NASTY, note=NASTY)] * 2]
    )
    html = render.html(table, identifier="t")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5  # caption, heading, two cells and the note that they share
    markdown = render.markdown(table)
    assert "<script" not in markdown
    assert all(
        line.count("|") - line.count("\\|") == 3 for line in markdown.splitlines() if line.startswith("|")
    )
    latex = render.latex(table)
    assert r"50\% \& \textbackslash{}e" in latex


def test_footnote_marks_run_past_z():
    rows = [[render.Entry("x", note=f"note {index}")] for index in range(28)]
    table = render.Grid("many", [render.Column("x")], rows)
    assert [letter for letter, _ in table.footnotes()][24:] == ["y", "z", "aa", "ab"]


def test_a_table_reads_the_same_at_any_row_order(rows):
    records = frame(rows)
    shuffled = records.sample(frac=1, random_state=np.random.default_rng(0).integers(2**31))
    pd.testing.assert_frame_equal(leaderboard(records), leaderboard(shuffled))
    assert paper_table(records, mechanism="mar") == paper_table(shuffled, mechanism="mar")


def test_a_star_where_the_reference_is_better_mask_by_mask():
    values = {
        ("a", "newimp"): [0.20, 0.30, 0.40],
        ("a", "em"): [0.25, 0.35, 0.46],  # worse by .05, .05, .06: t = 16, p < .05
        ("a", "knn"): [0.10, 0.20, 0.31],  # better, as surely: no star
        ("a", "mice"): [0.10, 0.50, 0.40],  # worse on average, by luck
        ("b", "newimp"): [0.2],
        ("b", "em"): [0.4],  # one seed: no test
    }
    table = paper_table(scores(values), mechanism="mcar", reference="newimp")
    texts = {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}
    assert texts["em"] == ["0.353*", "0.400"]
    assert [text for texts_of in texts.values() for text in texts_of if "*" in text] == ["0.353*"]
    assert table.rows[0][1].value == pytest.approx(0.353333)  # a star is no part of the number
    assert "newimp is better on that table by a paired two-sided t-test" in table.remarks[0]
    assert r"0.353*" in render.latex(table)
    assert r"0.353\*" in render.markdown(table)
    with pytest.raises(ValueError, match="no record is labelled 'gain'"):
        paper_table(scores(values), mechanism="mcar", reference="gain")
