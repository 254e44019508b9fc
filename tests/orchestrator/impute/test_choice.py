"""A method is chosen on a table's own entries; what goes wrong with one is a row with its reason."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest

from orchestrator.impute.choice import NothingToHideError, choose
from orchestrator.impute.fit import Sheet
from orchestrator.impute.hiding import pattern_bank
from orchestrator.impute.race import Contest, Rung
from orchestrator.impute.scoring import Columns, numbers

PLAIN = ["mean", "median", "mode", "knn", "em", "mice"]


def gaussian(n_rows=200, missing=0.2, seed=0) -> pd.DataFrame:
    """Five correlated columns, of which the first is complete, and a category that follows one of them."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n_rows, 2))
    values = base @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(n_rows, 5))
    frame = pd.DataFrame(values, columns=list("abcde"))
    holes = rng.random(frame.shape) < missing
    holes[:, 0] = False
    frame = frame.mask(holes)
    kinds = np.where(base[:, 0] > 0, "high", "low").astype(object)
    kinds[rng.random(n_rows) < missing] = None
    return frame.assign(kind=pd.Categorical(kinds))


def chosen(frame=None, names=PLAIN, **options):
    """Choose among a few methods, in this process."""
    frame = gaussian() if frame is None else frame
    return choose(frame, methods=names, **{"budget": 120.0, "workers": 0, **options})


@pytest.fixture
def on_ray(ray_cluster):
    """Choose on the two workers of the Ray of the tests."""
    return functools.partial(chosen, workers=2)


def row(choice, method) -> pd.Series:
    return choice.board.set_index("method").loc[method]


def test_the_method_that_fits_the_table_is_chosen_and_the_floor_is_near_one(on_ray):
    said = []
    choice = on_ray(progress=said.append)
    assert choice.method in ("em", "mice")
    assert choice.params == {}
    board = choice.board
    assert board.loc[board["status"].eq("scored"), "error"].is_monotonic_increasing
    assert row(choice, "mean")["error"] == pytest.approx(1, abs=0.15)
    assert row(choice, "em")["error"] < 0.7
    scored = board[board["status"].eq("scored")]
    assert (scored["error_low"] <= scored["error"]).all()
    assert (scored["error"] <= scored["error_high"]).all()
    assert set(board["status"]) <= {"scored", "dropped"}
    assert row(choice, "mean")["accuracy"] == pytest.approx(0.5, abs=0.15)
    assert 0 <= choice.sure <= 1
    assert choice.hidden["folds"] == scored["n_folds"].iloc[0] >= 3
    assert 0.03 < choice.hidden["share"] <= 0.1
    assert "as hard" in choice.hidden["assumption"]
    assert choice.method in choice.why
    assert said[0].startswith("starting Ray")
    assert any("200 rows" in line for line in said)


def test_the_same_seed_gives_the_same_board_on_ray_or_without(on_ray):
    first, second = on_ray(seed=3), chosen(seed=3)
    same = ["method", "status", "rung", "n_folds", "error", "error_low", "error_high", "mae", "accuracy"]
    pd.testing.assert_frame_equal(first.board[same], second.board[same])
    assert (first.method, first.sure) == (second.method, second.sure)
    assert not first.board["error"].equals(chosen(seed=4).board["error"])


def test_a_long_table_is_chosen_for_on_some_of_its_rows_first(awkward):
    names = ["random_noise", "vandal", "softimpute", "em", "mice"]
    choice = chosen(gaussian(3000), names, seed=1, plugins=[str(awkward)])
    assert choice.hidden["rows"] == 3000
    dropped = row(choice, "random_noise")
    assert (dropped["status"], dropped["n_rows"], dropped["rung"]) == ("dropped", 1000, 0)
    assert "of 8 on 1,000 rows" in dropped["reason"]
    assert (choice.board["n_rows"][choice.board["status"].eq("scored")] == 3000).all()


def test_misfits_are_rows_with_reasons_and_stop_nothing(on_ray, awkward):
    names = ["em", "raises", "changes_observed", "out_of_memory", "always_dies", "diverges"]
    choice = on_ray(names=names, plugins=[str(awkward)])
    assert choice.method == "em"
    told = {
        "raises": ("failed", "ValueError: no luck with this <table>"),
        "changes_observed": ("failed", "changed an observed entry"),
        "out_of_memory": ("failed", "MemoryError: cannot hold it"),
        "always_dies": ("failed", "its worker process died"),
        "diverges": ("failed", "ImputationError"),
    }
    for name, (status, reason) in told.items():
        assert row(choice, name)["status"] == status
        assert reason in row(choice, name)["reason"]
        assert pd.isna(row(choice, name)["error"])


def test_a_method_that_hangs_is_ended_and_leaves_time_for_others(on_ray, awkward):
    choice = on_ray(names=["em", "hangs"], plugins=[str(awkward)], budget=15.0)
    assert choice.method == "em"
    assert row(choice, "hangs")["status"] == "skipped"
    assert "not done after" in row(choice, "hangs")["reason"]
    assert row(choice, "em")["rung"] == 1


def test_a_method_that_cannot_hold_the_whole_table_is_skipped(tmp_path):
    plugin = tmp_path / "vast.py"
    plugin.write_text(
        "from methods import MethodInfo\nfrom methods.columns import Mean\n\n\n"
        "class Vast(Mean):\n"
        "    info = MethodInfo(name='vast', title='Vast', family='none', reference='none', inductive=True,\n"
        "                      stochastic=False)\n\n"
        "    def _memory(self, n_rows, n_encoded):\n"
        "        return 1e18\n"
    )
    vast = row(chosen(names=["em", "vast"], plugins=[str(plugin)]), "vast")
    assert vast["status"] == "skipped"
    assert "vast needs about" in vast["reason"]
    assert "200 rows" in vast["reason"]


def test_what_cannot_draw_is_not_chosen_where_draws_are_needed():
    choice = chosen(names=["mean", "knn", "mice"], needs=("stochastic",))
    assert choice.method == "mice"
    assert row(choice, "knn")["status"] == "skipped"
    assert row(choice, "mean")["status"] == "scored"


def test_the_metric_decides():
    choice = chosen(metric="accuracy")
    best = choice.board.iloc[0]
    assert best["error"] == pytest.approx(1 - best["accuracy"])
    assert "categor" in choice.metric


def test_a_table_of_a_few_rows_is_chosen_for():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0, np.nan], "b": [2.0, 4.0, 6.0, np.nan, 10.0, 12.0]})
    choice = chosen(frame, ["mean", "mice"])
    scored = choice.board[choice.board["status"].eq("scored")]
    assert scored["error_low"].notna().all()
    assert 0 < choice.sure <= 1


def test_a_complete_table_is_chosen_for_by_the_holes_of_another():
    frame = gaussian(missing=0.0)
    patterns = gaussian(missing=0.3, seed=5)[["kind", *"edcba"]]
    choice = chosen(frame, patterns=patterns)
    assert choice.method in ("em", "mice")
    with pytest.raises(NothingToHideError, match="no hole"):
        chosen(frame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "maee"}, "unknown metric 'maee'; did you mean 'mae'"),
        ({"budget": 0.5}, "budget=0.5 s is too short"),
        ({"budget": float("nan")}, "budget=nan s"),
        ({"seed": -1}, "seed=-1"),
        ({"methods": ["emm"]}, "unknown method 'emm'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        choose(gaussian(), workers=0, **options)


def test_a_metric_without_holes_of_its_kind_is_refused():
    frame = gaussian()
    with pytest.raises(ValueError, match="all holes are in numeric columns"):
        choose(frame.assign(kind=frame["kind"].fillna("low")), metric="accuracy")


def test_workers_are_handed_no_hidden_value():
    frame = gaussian()
    holes = frame.isna().to_numpy()
    rng = np.random.default_rng(0)
    contest = Contest(frame, Columns.of(frame, holes), pattern_bank(holes, rng), "error", 0)
    fold, visible = contest.fold(contest.rows(Rung(200, 1)), 0, 0)
    assert visible.isna().to_numpy()[fold.row, fold.column].all()
    assert visible.isna().to_numpy().sum() == holes.sum() + fold.row.size
    assert set(Sheet.__dataclass_fields__) == {"visible", "row", "column", "full_rows"}
    known = np.column_stack([numbers(frame[name]) for name in frame])
    assert (fold.truth == known[fold.row, fold.column]).all()
