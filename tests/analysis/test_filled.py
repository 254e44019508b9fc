"""The page of a filled table, from made-up tables whose answer is known."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_filled import CHOICE, ROLES, board, columns, of, story, tables

from analysis import filled_board, filled_holes, filled_spread, filled_words
from analysis.filled import Story, page
from analysis.story import Counted


def text_of(html: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(style|script|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\u202f", " ")


def test_a_page_is_whole_escaped_and_the_same_each_time():
    html = page(story())
    for name in ("map", "patterns", "together", "forest", "panel-0"):
        assert f'id="{name}-title"' in html
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(svg)
    assert len(ids := re.findall(r'\bid="([^"]+)"', html)) == len(set(ids))
    assert not re.search(r"@import|url\((?!#)|\bsrc=|<link", html)
    for bad in ("<table>.csv", "pay <b>", "</script><i>", "<u>bad", "<em>mind", "<x>"):
        assert bad not in html
    assert html.count("</script>") == 1
    assert "☃" in html
    assert page(story()) == html


def test_what_the_page_names_is_on_the_page():
    html = page(story())
    for target in re.findall(r'(?:href="#|aria-labelledby=")([^" ]+)', html):
        assert f'id="{target}"' in html


def test_the_verdict_counts_what_was_filled_and_says_how_sure():
    told = story()
    holes, left = int(told.before.isna().sum().sum()), int(told.after.isna().sum().sum())
    said = filled_words.verdict(Counted.of(told)).replace("\u202f", " ")
    assert said.startswith(f"{holes - left:,} of {holes:,} missing entries")
    assert "by missforest, in 5 columns" in said
    assert f"the other {left} are left" in said
    assert "Of 2 methods scored to the end on this table it is probably the best (probability 86 %)" in said


@pytest.mark.parametrize(
    ("sure", "word"),
    [(1.0, "almost surely"), (0.6, "more likely than not"), (0.3, "none is clearly the best")],
)
def test_an_unsure_choice_is_called_so(sure, word):
    told = story(choice={**CHOICE, "sure": sure})
    assert word in filled_words.verdict(Counted.of(told))


def test_nothing_is_sure_without_a_rival_or_without_a_choice():
    alone = filled_words.verdict(Counted.of(story(board=board().head(1))))
    assert "No other method was scored to the end" in alone
    for told in (story(board=None, choice=None), story(choice={**CHOICE, "sure": float("nan")})):
        assert "probability" not in filled_words.verdict(Counted.of(told))


def test_a_table_without_holes_has_a_page_that_says_so():
    _, after = tables()
    whole = after.fillna({"notes": "x"})
    said = text_of(page(of(whole, whole, ROLES)))
    assert "Nothing was missing" in said
    assert "(0 with holes)" in said


def test_one_hole_and_a_column_that_was_never_observed():
    before = pd.DataFrame({"a": [1.0, 2.0, None], "b": [None, None, None]}, dtype=float)
    roles = {"a": "numeric", "b": "empty"}
    assert "The one missing entry" in text_of(
        page(of(before[["a"]], before[["a"]].fillna(3.0), {"a": "numeric"}))
    )
    said = text_of(page(of(before, before.fillna(0.0), roles)))
    assert "Nothing of it was observed" in said
    kept = text_of(page(of(before, before, roles)))
    assert "None of 4 missing entries was filled" in kept
    assert "left as it was" in kept


def test_odd_shapes_make_a_page():
    one = pd.DataFrame({"a": [None], "b": [1.0]}, dtype=float)
    assert "1 (50.0 %)" in text_of(page(of(one, one, {"a": "empty", "b": "constant"})))
    rng = np.random.default_rng(0)
    names = [f"a long name of a column, number {number}" for number in range(200)]
    before = pd.DataFrame(rng.normal(size=(300, 200)), columns=names)
    before = before.mask(rng.random(before.shape) < 0.2)
    html = page(of(before, before.fillna(0.0), dict.fromkeys(names, "numeric")))
    assert "the 60 with the most, of 200" in text_of(html)
    assert "72 more columns" in text_of(html)
    assert "104 columns with fewer filled values" in text_of(html)
    assert 'id="patterns-title"' not in html  # every row has its own


def test_a_long_table_makes_a_page_no_larger_than_a_short_one():
    rng = np.random.default_rng(0)
    sizes = []
    for n_rows in (2_000, 200_000):
        before = pd.DataFrame({name: rng.normal(size=n_rows) for name in "abcdef"})
        before = before.mask(rng.random(before.shape) < 0.1)
        sizes.append(len(page(of(before, before.fillna(0.0), dict.fromkeys("abcdef", "numeric")))))
    assert sizes[1] < 1.1 * sizes[0]


def test_parts_that_do_not_fit_are_refused():
    before, after = tables()
    with pytest.raises(ValueError, match=r"\(400, 7\).*\(399, 7\)"):
        page(story(after=after.iloc[1:]))
    with pytest.raises(ValueError, match="6 columns are described"):
        page(story(columns=columns(before).iloc[1:]))


def test_columns_of_equal_names_are_told_apart_by_place():
    before = pd.DataFrame([[1.0, None], [None, 2.0], [3.0, 4.0]], columns=["a", "a"])
    listed = pd.DataFrame({"name": ["a", "a (2)"], "role": "numeric", "reason": "", "n_missing": [1, 1]})
    after = before.set_axis(["x", "y"], axis=1).fillna(9.0).set_axis(["a", "a"], axis=1)
    said = text_of(page(Story("t", "", 1.0, "mean", "", listed, before, after)))
    assert "All 2 missing entries (33.3 % of the table) were filled by mean, in 2 columns" in said


def test_the_board_has_every_method_with_an_error():
    grid = filled_board.board_grid(story())
    rows = {row[0].text: row for row in grid.rows}
    assert list(rows) == ["missforest", "knn (n_neighbors 10)", "gain"]
    assert rows["missforest"][0].mark == "best"
    assert [row[-1].text for row in grid.rows] == [
        "fills the table", "scored to the end", "behind four others"
    ]  # fmt: skip
    assert "compare only equal ones" in grid.remarks[0]


def test_scores_that_no_method_has_are_no_columns():
    grid = filled_board.board_grid(story(board=board().assign(accuracy=np.nan)))
    assert "accuracy" not in [column.title for column in grid.columns]
    assert "MAE" in [column.title for column in grid.columns]


def test_methods_without_an_error_are_told_by_reason():
    more = pd.concat([board(), board().iloc[[3]].assign(method="sinkhorn")], ignore_index=True)
    grid = filled_board.untried_grid(story(board=more))
    assert [[entry.text for entry in row] for row in grid.rows] == [
        ["skipped", "em, sinkhorn", "no categories"],
        ["failed", "tdm", "ValueError: <u>bad"],
    ]
    assert filled_board.untried_grid(story(board=board().head(2))) is None


def test_only_methods_scored_to_the_end_are_set_side_by_side():
    html = page(story())
    forest = next(svg for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL) if "forest-title" in svg)
    assert "missforest" in forest
    assert "gain" not in forest


def test_a_method_that_was_named_is_not_compared():
    html = page(story(board=None, choice=None, why="it was asked for"))
    assert "It was asked for. No other method was tried." in text_of(html)
    assert 'id="forest-title"' not in html


def test_the_widest_spread_is_first_whatever_the_units():
    found = Counted.of(story())
    top = filled_spread.widest_numbers(found).rows[0]
    before = found.story.before
    assert top[0].text == str(before.index[before["pay <b>"].isna()][-1])
    assert top[1].text == "pay <b>"
    assert float(top[5].text) == pytest.approx(
        5 * before["pay <b>"].std() / before["pay <b>"].std(ddof=0), 1e-2
    )
    disputed = filled_spread.disputed_categories(found).rows[0]
    assert (disputed[1].text, disputed[3].text.replace("\u202f", " ")) == ("job", "90 %")


def test_a_spread_of_dates_is_in_days():
    found = Counted.of(story())
    rows = {row[0].text: row for row in filled_spread.uncertain_grid(found).rows}
    assert rows["since"][3].text == "1.5 d"
    days = found.story.before["since"].dropna().astype("int64").std(ddof=0) / 86_400e9
    assert rows["since"][4].value == pytest.approx(1.5 / days, rel=1e-3)


def test_draws_that_hardly_differ_and_no_draws_are_told_apart():
    certain = story().spread.assign(spread=0.0)
    assert filled_spread.widest_numbers(Counted.of(story(spread=certain))) is None
    assert "One imputation was made" in text_of(page(story(spread=None)))
    assert "The draws hardly differ" in text_of(page(story(spread=certain)))
    assert "The draws hardly differ" not in text_of(page(story()))


def test_only_pairs_that_chance_does_not_explain_are_told():
    grid = filled_holes.pair_grid(Counted.of(story()))
    assert [[entry.text for entry in row[:2]] for row in grid.rows] == [["age", "pay <b>"]]
    assert grid.rows[0][4].text == "1.00"
    before, after = tables()
    alone = story(before=before.drop(columns="age"), after=after.drop(columns="age"),
                  columns=columns(before.drop(columns="age")))  # fmt: skip
    assert filled_holes.pair_grid(Counted.of(alone)) is None
    assert "no two more, or less, often than chance has it" in text_of(page(alone))
