"""What imputers see, and that nothing but holes comes back changed."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import methods
from orchestrator.impute.coding import Coder
from orchestrator.impute.missing import Missing
from orchestrator.impute.prepared import Prepared, Recipe, prepare
from orchestrator.impute.roles import Role
from orchestrator.sweep import RequestError

ALONE = ["id", "note", "currency", "empty"]


def fill(table: pd.DataFrame, method: str = "mice", **how: object) -> pd.DataFrame:
    prepared = prepare(table, **how)
    return restored(prepared, methods.build(method, random_state=0).fit_transform(prepared.frame))


def restored(prepared: Prepared, filled: pd.DataFrame, only=None) -> pd.DataFrame:
    return prepared.put(prepared.take(filled, only))


def same(one: object, other: object) -> bool:
    return type(one) is type(other) and (one == other or (pd.isna(one) and pd.isna(other)))


@pytest.mark.parametrize("seed", range(3))
def test_all_comes_back_as_it_was_and_the_holes_are_filled(seed, everyday):
    table = everyday(seed=seed)
    before = table.copy(deep=True)
    filled = fill(table)
    pd.testing.assert_frame_equal(table, before)
    assert filled.dtypes.equals(table.dtypes)
    assert filled.index.equals(table.index)
    assert filled.index.name == "row"
    assert list(filled.columns) == list(table.columns)
    for name in table.columns:
        holes = table[name].isna()
        assert filled[name].isna().equals(holes) if name in ALONE else not filled[name].isna().any()
        for one, other in zip(table[name][~holes], filled[name][~holes], strict=True):
            assert same(one, other)
    filled.loc[:, "size"] = 0.0
    pd.testing.assert_frame_equal(table, before)


SIZE = np.rint(np.random.default_rng(1).normal(50, 10, 60))
WHEN = pd.Timestamp("2021-03-01") + pd.to_timedelta(SIZE * 30, unit="h")
BIG = np.where(SIZE > 50, "big", "small")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (SIZE, "int64[pyarrow]"),
        (SIZE / 3, "double[pyarrow]"),
        (SIZE, "UInt8"),
        (SIZE, "float16"),
        (SIZE / 3, "Float32"),
        (BIG, "string"),
        (BIG, "string[pyarrow]"),
        (BIG, pd.ArrowDtype(pa.string())),
        (BIG, pd.CategoricalDtype(["small", "big", "huge"], ordered=True)),
        (pd.cut(SIZE, 4), None),
        (np.where(SIZE > 50, 1, 2), pd.CategoricalDtype([2, 1])),
        ([1 if size > 50 else "1" for size in SIZE], pd.CategoricalDtype([1, "1"])),
        (SIZE > 50, "bool[pyarrow]"),
        (SIZE > 50, "object"),
        (WHEN, "datetime64[s]"),
        (WHEN.tz_localize("Europe/Berlin"), None),
        (WHEN, "timestamp[us][pyarrow]"),
        (WHEN.tz_localize("UTC"), "timestamp[us, UTC][pyarrow]"),
        (WHEN.date, "date32[pyarrow]"),
        (WHEN.to_pydatetime(), "object"),
        (WHEN.tz_localize("Europe/Berlin").to_pydatetime(), "object"),
        (pd.to_timedelta(SIZE, unit="min"), None),
        ([decimal.Decimal(f"{value:.2f}") for value in SIZE / 7], pd.ArrowDtype(pa.decimal128(9, 2))),
        (SIZE, pd.SparseDtype("float64")),
    ],
    ids=lambda value: (
        type(value).__name__ if isinstance(value, list) else str(getattr(value, "dtype", value))
    ),
)
def test_every_dtype_is_filled_and_comes_back(values, dtype):
    holes = np.random.default_rng(2).random(60) < 0.3
    column = pd.Series(values, dtype=object).mask(holes, None)
    if isinstance(values, pd.Categorical):
        column = pd.Series(values).mask(holes)
    else:
        column = column.astype(dtype) if dtype else column.infer_objects()
    filled = fill(pd.DataFrame({"x": column, "size": SIZE}), "knn")["x"]
    assert filled.dtype == column.dtype
    assert not filled.isna().any()
    for one, other in zip(column[~holes], filled[~holes], strict=True):
        assert same(one, other)
    assert set(filled[holes]) <= set(filled[~holes]) or filled[~holes].min() <= filled[holes].min()
    assert set(filled[holes]) <= set(filled[~holes]) or filled[holes].max() <= filled[~holes].max()


@pytest.mark.parametrize(
    "values",
    [
        np.array(["1500-01-01", "NaT", "3000-01-01"] * 5, dtype="datetime64[s]"),
        pd.Series(pd.period_range("2020-01", periods=15, freq="M")).mask(np.arange(15) % 3 == 1),
        [None, [1], [2]] * 5,
        np.arange(15) + 1j,
    ],
    ids=["far dates", "periods", "lists", "complex"],
)
def test_what_cannot_be_filled_is_left_alone(values):
    table = pd.DataFrame({"x": values, "y": [1.5, None, 2.5] * 5})
    filled = fill(table)
    assert filled["x"].equals(table["x"])
    assert not filled["y"].isna().any()


def test_fills_are_of_the_kind_of_their_column(everyday):
    table = everyday()
    filled = fill(table)[table.isna()]
    whole = filled["rooms"].dropna()
    assert len(whole)
    assert (whole == whole.round()).all()
    assert all(isinstance(value, datetime.date) for value in filled["born"].dropna())
    assert all(isinstance(value, decimal.Decimal) for value in filled["rent"].dropna())
    assert all(len(value.split(".")[1]) == 1 for value in filled["score"].dropna())
    signed = filled["signed"].dropna()
    assert (signed == signed.dt.normalize()).all()
    seen = filled["seen"].dropna()
    assert (seen == seen.dt.normalize()).all()
    assert str(seen.dt.tz) == "Europe/Berlin"


def test_fills_stay_in_the_observed_range(everyday):
    table = everyday(200)
    filled = fill(table, "knn")
    for name in ("size", "rooms", "floor", "small", "signed", "seen", "born", "rent"):
        observed = table[name].dropna()
        assert filled[name].min() == observed.min()
        assert filled[name].max() == observed.max()


def test_imputers_see_floats_and_categories_alone(everyday):
    prepared = prepare(everyday())
    assert not set(ALONE) & set(prepared.frame.columns)
    for name in prepared.frame.columns:
        dtype = prepared.frame[name].dtype
        assert dtype == np.float64 or isinstance(dtype, pd.CategoricalDtype)
    assert prepared.n_holes == prepared.frame.isna().to_numpy().sum()
    assert isinstance(prepared.frame.index, pd.RangeIndex)


@pytest.mark.parametrize(
    "labels", [["a", "a", "b"], [1, 2, 3], [("x", 1), ("x", 2), ("y", 1)], ["a", 1, "1"]]
)
def test_labels_of_any_kind_come_back(labels):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(20, 3)))
    table[1] = table[1].mask(rng.random(20) < 0.3)
    table.columns = pd.MultiIndex.from_tuples(labels) if isinstance(labels[0], tuple) else pd.Index(labels)
    filled = fill(table)
    assert filled.columns.equals(table.columns)
    assert not filled.isna().to_numpy().any()
    assert filled.iloc[:, [0, 2]].equals(table.iloc[:, [0, 2]])


def test_an_index_said_twice_comes_back(everyday):
    table = everyday(40)
    table.index = [0, 1] * 20
    assert fill(table).index.equals(table.index)


def test_markers_are_holes_and_zeros_where_told():
    table = pd.DataFrame({"a": ["1.5", "?", "2.5", "3.5"] * 5, "b": [0, 4, 5, 6] * 5, "c": [0, 1, 2, 3] * 5})
    filled = fill(table, missing=Missing.parse({"b": 0}))
    assert "?" not in set(filled["a"])
    assert filled["b"].dtype == np.int64
    assert filled["b"].min() == 4
    assert filled["c"].equals(table["c"])
    with_holes = prepare(table, missing=Missing.parse({"b": 0})).with_holes()
    assert with_holes.isna().sum().to_dict() == {"a": 5, "b": 5, "c": 0}


def test_only_some_columns_are_filled_where_asked(everyday):
    table = everyday()
    prepared = prepare(table)
    filled = restored(prepared, methods.build("mean").fit_transform(prepared.frame), only=["size"])
    assert not filled["size"].isna().any()
    assert filled["town"].isna().equals(table["town"].isna())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.integers(-5, 5), st.sampled_from(["?", "a", "b", "2.5", "NA", ""])),
        min_size=2,
        max_size=30,
    )
)
def test_whatever_a_column_mixes_comes_back_where_it_is_no_hole(values):
    table = pd.DataFrame({"x": pd.Series(values, dtype=object), "y": np.arange(len(values)) % 3 + 0.5})
    prepared = prepare(table)
    filled = (
        restored(prepared, methods.build("mean").fit_transform(prepared.frame)) if prepared.n_holes else table
    )
    holes = prepared.holes("x") if "x" in prepared.views else np.zeros(len(table), bool)
    for one, other, hole in zip(table["x"], filled["x"], holes, strict=True):
        assert hole or same(one, other)


class TestOtherTables:
    def test_are_read_as_the_first_one_was(self, everyday):
        first, other = prepare(everyday(60)), everyday(30, seed=1)
        imputer = methods.build("mice", random_state=0).fit(first.frame)
        shuffled = other[other.columns[::-1]].assign(more=1.0)
        prepared = first.recipe.apply(shuffled)
        filled = restored(prepared, imputer.transform(prepared.frame))
        assert list(prepared.frame.columns) == list(first.frame.columns)
        assert not filled.drop(columns=ALONE).isna().to_numpy().any()
        assert filled.dtypes.equals(shuffled.dtypes)

    def test_may_have_a_column_of_holes_and_one_row(self, everyday):
        table = everyday(60)
        recipe = prepare(table).recipe
        one = table.iloc[:1].copy()
        for name in one.columns:
            one[name] = None
        prepared = recipe.apply(one)
        imputer = methods.build("mean").fit(prepare(table).frame)
        filled = restored(prepared, imputer.transform(prepared.frame)).iloc[0]
        assert filled.drop(ALONE).notna().all()
        assert filled["rooms"] == round(filled["rooms"])
        assert filled["town"] in ("Bonn", "Köln", "Trier")
        assert isinstance(filled["signed"], pd.Timestamp)

    def test_keep_a_word_that_was_never_seen(self, everyday):
        table = everyday(60)
        other = table.assign(town=table["town"].where(table["town"] != "Bonn", "Ulm"))
        prepared = prepare(table).recipe.apply(other)
        imputer = methods.build("mode").fit(prepare(table).frame)
        filled = restored(prepared, imputer.transform(prepared.frame))
        assert (filled["town"] == "Ulm").equals(other["town"] == "Ulm")

    def test_that_do_not_fit_are_refused(self, everyday):
        table = everyday(60)
        recipe = prepare(table).recipe
        with pytest.raises(RequestError, match="lacks 'size', which the imputer knows"):
            recipe.apply(table.drop(columns="size"))
        with pytest.raises(
            RequestError, match="'size' is numeric to the imputer, and holds words, such as 'wide'"
        ):
            recipe.apply(table.assign(size="wide"))

    def test_what_was_learned_survives_as_json(self, everyday):
        recipe = prepare(everyday(), "note=category").recipe
        again = Recipe(tuple(Coder.from_json(coder.as_json()) for coder in recipe.coders))
        assert again == recipe


def test_an_empty_table_is_refused():
    with pytest.raises(RequestError, match="empty: 0 rows"):
        prepare(pd.DataFrame({"a": []}))


def test_levels_of_numbers_and_booleans_come_back_as_they_were():
    table = pd.DataFrame(
        {"zip": [10115, None, 80331, 10115] * 5, "on": [1.0, None, 0.0, 1.0] * 5, "y": [1.5, 2, 3, 4] * 5}
    )
    prepared = prepare(table, {"zip": "category"})
    assert [column.role for column in prepared.columns] == [Role.CATEGORY, Role.BOOLEAN, Role.NUMERIC]
    filled = fill(table, "mode", kinds={"zip": "category"})
    assert set(filled["zip"]) == {10115.0, 80331.0}
    assert set(filled["on"]) == {0.0, 1.0}
    assert filled.dtypes.equals(table.dtypes)
