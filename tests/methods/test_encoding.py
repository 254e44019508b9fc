"""Tables to matrices and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.encoding import TableEncoder, draw_in, draw_out, find_holes

CODES = ["onehot", "joint", "bits"]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Complete tables of numbers, integers, flags and categories with 1 to 9 levels."""
    n = draw(st.integers(2, 25))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=n, max_size=n))

    levels = draw(st.integers(1, 9))
    return pd.DataFrame(
        {
            "float": column(st.floats(-1e6, 1e6)),
            "single": np.array(column(st.floats(-1e3, 1e3, width=32)), dtype=np.float32),
            "integer": pd.array(column(st.integers(-(10**6), 10**6)), dtype="Int64"),
            "flag": pd.array(column(st.booleans()), dtype="boolean"),
            "category": pd.Categorical(column(st.sampled_from("abcdefghi"[:levels]))),
            "text": column(st.sampled_from(["", "word", "Wort", "mot", "ord"])),
        }
    )


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=60, deadline=None)
@given(table=tables(), seed=st.integers(0, 2**16))
def test_round_trip(code, table, seed):
    """A table whose holes are filled from its own complete matrix is the table again."""
    encoder = TableEncoder(categories=code).fit(table)
    matrix = encoder.encode(table)
    assert matrix.shape == (len(table), encoder.width)
    assert np.isfinite(matrix).all()

    mask = np.random.default_rng(seed).random(table.shape) < 0.4
    holed = table.copy()
    for j, name in enumerate(table.columns):
        holed[name] = table[name].mask(mask[:, j])
    restored = encoder.decode(matrix, holed)
    assert (restored.dtypes == holed.dtypes).all()
    for name in ("integer", "flag", "category", "text"):
        assert restored[name].tolist() == table[name].tolist()
    for name, digits in (("float", 1e-12), ("single", 1e-6)):
        size = max(1.0, float(np.abs(table[name]).max()))
        np.testing.assert_allclose(restored[name], table[name], rtol=0, atol=digits * size)


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_matrix_is_standardised_over_observed_entries(table):
    encoder = TableEncoder().fit(table)
    matrix = encoder.encode(table)
    for column in encoder.columns:
        # a spread below rounding of the values' own size cannot be standardised exactly
        if column.encoded and np.ptp(matrix[:, column.slice]) > 1e-3:
            spread = float(column.scale.min()) / (1 + float(np.abs(column.center).max()))
            if spread > 1e-6:
                np.testing.assert_allclose(matrix[:, column.slice].mean(axis=0), 0, atol=1e-6)
                np.testing.assert_allclose(matrix[:, column.slice].std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("code", "n_levels", "width"),
    [
        *(("onehot", 2, 1), ("onehot", 3, 3), ("onehot", 9, 9)),
        *(("joint", 2, 1), ("joint", 9, 9)),
        *(("bits", 2, 1), ("bits", 3, 2), ("bits", 9, 4)),
    ],
)
def test_width_of_codes(code, n_levels, width):
    table = pd.DataFrame({"a": pd.Categorical([f"level {i}" for i in range(n_levels)])})
    assert TableEncoder(categories=code).fit(table).width == width


@pytest.mark.parametrize("n_levels", [2, 3, 9])
def test_a_joint_code_weighs_as_much_as_a_number(n_levels):
    rng = np.random.default_rng(0)
    kinds = np.minimum(rng.geometric(0.4, size=300), n_levels)
    table = pd.DataFrame({"a": pd.Categorical(kinds.astype(str)), "b": rng.normal(size=300)})
    encoder = TableEncoder(categories="joint").fit(table)
    matrix = encoder.encode(table)
    for column in encoder.columns:
        assert matrix[:, column.slice].var(axis=0).sum() == pytest.approx(1)


def test_owners_say_which_column_a_code_is_part_of():
    table = pd.DataFrame({"a": [1.0, 2, 3], "one": ["x"] * 3, "b": [*"xyz"], "c": [*"xyx"], "d": [0.0, 2, 1]})
    assert TableEncoder().fit(table).owners.tolist() == [0, 1, 1, 1, 2, 3]


@pytest.mark.parametrize("code", CODES)
def test_nearest_code_wins(code):
    table = pd.DataFrame({"a": pd.Categorical(["x", "y", "z", "x", "y", "z"])})
    encoder = TableEncoder(categories=code).fit(table)
    matrix = encoder.encode(table) + 0.1 * np.random.default_rng(0).normal(size=(6, encoder.width))
    holed = pd.DataFrame({"a": pd.Categorical([None] * 6, categories=["x", "y", "z"])})
    assert encoder.decode(matrix, holed)["a"].tolist() == ["x", "y", "z", "x", "y", "z"]


@pytest.mark.parametrize("code", CODES)
def test_holes_and_unseen_categories_are_nan(code):
    table = pd.DataFrame({"a": ["x", "y", "z", None], "b": [1.0, 2.0, np.nan, 3.0]})
    encoder = TableEncoder(categories=code).fit(table)
    matrix = encoder.encode(table.assign(a=["x", "unseen", None, "y"]))
    assert np.isnan(matrix[1:3, encoder.columns[0].slice]).all()
    assert np.isfinite(matrix[[0, 3]]).all()
    assert np.isnan(matrix[:, -1]).tolist() == [False, False, True, False]


def test_columns_without_two_values_stay_out():
    table = pd.DataFrame({"constant": [7.0, np.nan, 7.0], "b": [1.0, 2.0, 3.0], "word": ["w", None, None]})
    encoder = TableEncoder().fit(table)
    assert encoder.width == 1
    assert [column.encoded for column in encoder.columns] == [False, True, False]
    restored = encoder.decode(encoder.encode(table), table)
    assert restored["constant"].tolist() == [7.0, 7.0, 7.0]
    assert restored["word"].tolist() == ["w", "w", "w"]


def test_statistics_come_from_observed_entries_alone():
    table = pd.DataFrame({"a": [1.0, 3.0, np.nan, np.nan]})
    column = TableEncoder().fit(table).columns[0]
    assert (column.center[0], column.scale[0]) == (2.0, 1.0)


def test_standardize_false_leaves_numbers_in_their_units():
    table = pd.DataFrame({"a": [10.0, 30.0], "b": ["x", "y"]})
    matrix = TableEncoder(standardize=False).fit(table).encode(table)
    assert matrix[:, 0].tolist() == [10.0, 30.0]
    assert matrix[:, 1].tolist() == [-1.0, 1.0]


def test_subnormal_spread_does_not_divide_by_zero():
    table = pd.DataFrame({"a": [0.0, 5e-324, 0.0]})
    assert np.isfinite(TableEncoder().fit(table).encode(table)).all()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.sampled_from([1.0, 4.0]))
def test_what_is_drawn_in_comes_out_again_in_the_same_order(values, tails):
    values = np.sort(np.array(values))
    inside = draw_in(values, tails)
    assert (np.diff(inside) >= 0).all()
    assert np.abs(inside).max() <= tails + 21
    np.testing.assert_array_equal(inside[np.abs(values) <= tails], values[np.abs(values) <= tails])
    np.testing.assert_allclose(draw_out(inside, tails), values, rtol=1e-6, atol=1e-6)


def test_a_number_that_runs_off_is_drawn_out_to_a_finite_one():
    assert np.isfinite(draw_out(np.array([1e6, -1e6]), 4.0)).all()


def test_tails_are_drawn_in_for_numbers_alone_and_out_again():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": [*rng.normal(size=199), 1e4], "k": pd.Categorical(["a", *"b" * 199])})
    plain, drawn = TableEncoder().fit(table), TableEncoder(tails=4.0).fit(table)
    assert plain.encode(table)[:, 0].max() > 14
    matrix = drawn.encode(table)
    assert matrix[:, 0].max() < 7
    np.testing.assert_array_equal(matrix[:, 1], plain.encode(table)[:, 1])
    back = drawn.decode(matrix, table.assign(x=np.nan))
    np.testing.assert_allclose(back["x"], table["x"], rtol=1e-9)
    # a network that goes far beyond what was observed is not followed
    far = drawn.decode(np.where(np.arange(len(matrix[0])) == 0, 50.0, matrix), table.assign(x=np.nan))
    np.testing.assert_allclose(far["x"], 1e4)


def test_unknown_code_is_refused():
    with pytest.raises(ValueError, match=r"'hash'.*'onehot'.*'joint'.*'bits'"):
        TableEncoder(categories="hash")


def test_find_holes_sees_nan_and_missing_values():
    quotient = pd.Series([0.0, None, 1.0], dtype="Float64") / 0
    assert find_holes(quotient.head(2)).all()
    assert find_holes(pd.Series(["x", None])).tolist() == [False, True]
    assert find_holes(pd.Series([1, 2])).tolist() == [False, False]
