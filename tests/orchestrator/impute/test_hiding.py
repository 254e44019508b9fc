"""Hidden entries look like the table's own holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.impute.hiding import LEAST, SHARE, NothingToHideError, hide, pattern_bank


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(holes: np.ndarray, seed: int = 0, share: float = SHARE) -> np.ndarray:
    return hide(holes, pattern_bank(holes, rng(seed)), rng(seed + 1), share=share)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_rows=st.integers(4, 60),
    n_columns=st.integers(2, 8),
    missing=st.floats(0.05, 0.8),
)
def test_only_observed_entries_of_columns_with_holes_are_hidden_and_some_stay(
    seed, n_rows, n_columns, missing
):
    holes = rng(seed).random((n_rows, n_columns)) < missing
    holes[:, 0] = False
    try:
        hidden = drawn(holes, seed)
    except NothingToHideError:
        return
    assert not (hidden & holes).any()
    assert not hidden[:, 0].any()
    observed = (~holes).sum(axis=0)
    assert (hidden.sum(axis=0) <= np.maximum(SHARE * observed, 1)).all()
    assert ((~holes & ~hidden).sum(axis=0) >= np.minimum(observed, 1)).all()


def test_a_complete_row_takes_the_whole_pattern_of_another():
    patterns = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]], dtype=bool)
    holes = np.zeros((600, 4), dtype=bool)
    holes[:60] = patterns[rng().integers(3, size=60)]
    hidden = drawn(holes)
    taken = {tuple(row) for row in hidden[60:][hidden[60:].any(axis=1)].tolist()}
    assert taken == {tuple(pattern) for pattern in patterns.tolist()}


def test_what_is_left_of_a_row_is_what_is_left_beside_a_real_hole():
    holes = rng(3).random((2000, 6)) < 0.3
    hidden = drawn(holes)
    touched = hidden.any(axis=1)
    real = holes[holes.any(axis=1)].sum(axis=1).mean()
    at_random = (holes | (holes[rng(4).permutation(2000)])).sum(axis=1).mean()
    left = (holes | hidden)[touched].sum(axis=1).mean()
    assert abs(left - real) < abs(left - at_random)


def test_patterns_are_lent_as_often_as_the_table_has_them():
    holes = np.zeros((5000, 3), dtype=bool)
    holes[:300, 1] = True
    holes[300:400, 2] = True
    counts = drawn(holes).sum(axis=0)
    assert counts[0] == 0
    assert 2 < counts[1] / counts[2] < 4.5


def test_a_column_with_few_holes_gets_entries_to_score():
    holes = np.zeros((1000, 3), dtype=bool)
    holes[:300, 1] = True
    holes[999, 2] = True
    assert drawn(holes).sum(axis=0)[2] == LEAST


def test_no_row_is_blinded_by_a_pattern_that_leaves_something():
    holes = np.zeros((200, 2), dtype=bool)
    holes[:100, 0] = True
    holes[100:, 1] = True
    with pytest.raises(NothingToHideError, match="of 200 rows none"):
        drawn(holes)


def test_the_draw_is_that_of_its_seed():
    holes = rng(5).random((300, 5)) < 0.2
    assert (drawn(holes, 1) == drawn(holes, 1)).all()
    assert (drawn(holes, 1) != drawn(holes, 2)).any()


def test_patterns_of_another_table_hide_a_complete_one():
    bank = pattern_bank(np.array([[False, True, True]]), rng())
    hidden = hide(np.zeros((100, 3), dtype=bool), bank, rng())
    assert hidden.sum(axis=0).tolist() == [0, 10, 10]


def test_a_table_without_holes_has_no_patterns():
    with pytest.raises(NothingToHideError, match="no hole"):
        pattern_bank(np.zeros((5, 2), dtype=bool), rng())


def test_one_row_has_nothing_to_hide():
    holes = np.array([[True, False, False]])
    with pytest.raises(NothingToHideError, match="of 1 rows none"):
        drawn(holes)
