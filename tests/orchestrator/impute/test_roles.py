"""What columns are taken for."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from orchestrator.impute.missing import Missing
from orchestrator.impute.roles import Role, infer, unique_names
from orchestrator.sweep import RequestError

N = 40
RNG = np.random.default_rng(0)
WORDS = [f"w{i}" for i in range(N)]


def role(values: object, name: str = "x") -> Role:
    return infer(pd.DataFrame({name: values}))[0].role


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (RNG.normal(size=N), Role.NUMERIC),
        ([1.0, None, 5.0, 7.0] * 10, Role.INTEGER),
        (pd.array([1, None, 5, 7] * 10, dtype="Int64"), Role.INTEGER),
        ([0, 1] * 20, Role.BOOLEAN),
        ([2, 4, None, 4] * 10, Role.BOOLEAN),
        (pd.array([True, None, False, True] * 10, dtype="boolean"), Role.BOOLEAN),
        ([True, None, False, True] * 10, Role.BOOLEAN),
        (["yes", None, "No", "yes"] * 10, Role.BOOLEAN),
        (["a", "b", None, "c"] * 10, Role.CATEGORY),
        (pd.Categorical(["a", "b", None, "c"] * 10), Role.CATEGORY),
        (WORDS, Role.IDENTIFIER),
        ([f"{word} and more words" for word in WORDS], Role.TEXT),
        ([*WORDS[:30], *WORDS[:10]], Role.TEXT),
        (pd.date_range("2020-01-01", periods=N), Role.DATE),
        (pd.date_range("2020-01-01", periods=N, tz="Asia/Tokyo"), Role.DATE),
        ([datetime.date(2020, 1, 1 + i % 20) for i in range(N)], Role.DATE),
        ([f"2020-01-{1 + i % 28:02d}" for i in range(N)], Role.DATE),
        (pd.to_timedelta(np.arange(N) ** 2, unit="s"), Role.INTEGER),
        ([decimal.Decimal("1.25"), None, decimal.Decimal("3.5"), decimal.Decimal(7)] * 10, Role.NUMERIC),
        (["1.5", "?", "2", "x"] * 10, Role.NUMERIC),
        ([1.5, "?", 2.0, 7] * 10, Role.NUMERIC),
        ([1, "low", 3.5, None] * 10, Role.TEXT),
        ([[1], [2], [3], [4]] * 10, Role.TEXT),
        ([7.0, None] * 20, Role.CONSTANT),
        (["a", None] * 20, Role.CONSTANT),
        ([None] * N, Role.EMPTY),
        (["?", "NA"] * 20, Role.EMPTY),
        (np.arange(N), Role.IDENTIFIER),
        (np.arange(1, N + 1), Role.IDENTIFIER),
        (np.arange(1990, 1990 + N), Role.INTEGER),
        (np.arange(9), Role.INTEGER),
    ],
)
def test_the_role_of(values, expected):
    assert role(values) is expected


@pytest.mark.parametrize("name", ["id", "customer_id", "No", "customerId", "Sample code number", "uuid"])
def test_names_tell_identifiers_among_whole_numbers(name):
    values = np.arange(N)[::-1] ** 2 + 1000
    assert role(values, name) is Role.IDENTIFIER
    assert role(values % 7, name) is Role.INTEGER
    assert role(values, "area") is Role.INTEGER


@pytest.mark.parametrize("name", ["paid", "amino", "humid", "piano"])
def test_names_that_only_end_alike_do_not(name):
    assert role(np.arange(N)[::-1] ** 2 + 1000, name) is Role.INTEGER


def test_many_words_are_no_category_until_told():
    frame = pd.DataFrame({"town": [f"t{i % 150}" for i in range(1500)]})
    column = infer(frame)[0]
    assert column.role is Role.TEXT
    assert "150 different values" in column.reason
    assert infer(frame, {"town": "category"})[0].role is Role.CATEGORY


def test_overrides_hold_and_say_so():
    frame = pd.DataFrame({"zip": [10115, 80331, 10115] * 10, "when": ["01/02/2020", "03/04/2020", None] * 10})
    zip_, when = infer(frame, "zip=category,when=date:%d/%m/%Y")
    assert (zip_.role, zip_.reason) == (Role.CATEGORY, "as told")
    assert (when.role, when.pattern, when.n_missing) == (Role.DATE, "%d/%m/%Y", 10)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ("zap=category", ["'zap'", "'zip'"]),
        ("ZIP=category", ["'ZIP'", "'zip'"]),
        ("zip=categry", ["'categry'", "category"]),
        ("zip", ["'zip' is not COLUMN=ROLE"]),
        ("town=numeric", ["'town' cannot be numeric", "'Bonn'"]),
        ("town=date:%d", ["'town' cannot be date"]),
        ("town=date:nonsense", ["date:%d/%m/%Y"]),
        ("zip=boolean", ["'zip' cannot be boolean", "more than two"]),
        ("none=category", ["'none'", "nothing of it is observed"]),
    ],
)
def test_overrides_that_cannot_be_are_refused(overrides, parts):
    frame = pd.DataFrame({"zip": [1, 2, 3], "town": ["Bonn", "Bonn", "Köln"], "none": [None] * 3})
    with pytest.raises(RequestError) as caught:
        infer(frame, overrides)
    for part in parts:
        assert part in str(caught.value)


def test_inf_is_refused_unless_it_is_a_hole():
    frame = pd.DataFrame({"x": [1.5, np.inf, 2.5]})
    with pytest.raises(RequestError, match="--missing x=inf"):
        infer(frame)
    assert infer(frame, missing=Missing.parse("x=inf"))[0].n_missing == 1


def test_markers_are_counted_by_column():
    frame = pd.DataFrame({"a": ["?", "1", "2", "NA"], "b": [0, 0, 4, 5]})
    a, b = infer(frame, missing=Missing.parse({"b": 0}))
    assert (a.n_missing, a.markers) == (2, {"?": 1, "NA": 1})
    assert (b.n_missing, b.markers) == (2, {"0": 2})


def test_an_unknown_column_among_the_missing_is_refused():
    with pytest.raises(RequestError, match=r"--missing: unknown column 'bmi'; did you mean 'BMI'"):
        infer(pd.DataFrame({"BMI": [1, 2]}), missing=Missing.parse("bmi=0"))


def test_names_alike_are_told_apart():
    assert unique_names(["a", "a", "a (2)", 3, " ", "3"]) == [
        "a",
        "a (2)",
        "a (2) (2)",
        "3",
        "column 5",
        "3 (2)",
    ]
