"""What text means."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from orchestrator.impute.missing import Missing
from orchestrator.impute.textual import Content, Form, read_dates, understand


def of(*cells: str | None, missing: object = None, decimal: str = ".", not_missing: str = "") -> Content:
    return understand(pa.array(cells, pa.string()), Missing.parse(missing, not_missing), "x", decimal=decimal)


def test_numbers_are_told_with_their_decimals_and_their_markers():
    content = of("1.50", " 2", "?", "-3.125", None, "NA", "?")
    assert content.kind == "number"
    np.testing.assert_array_equal(content.values, [1.5, 2, np.nan, -3.125, np.nan, np.nan, np.nan])
    assert content.markers == {"?": 2, "NA": 1}
    assert content.form == Form(decimals=3)


@pytest.mark.parametrize("marker", ["", "?", "-", "NA", "n/a", "null", "NaN", "<NA>", "#N/A"])
def test_the_usual_markers_are_holes_in_words_too(marker):
    content = of("red", marker, "blue")
    assert content.holes.tolist() == [False, True, False]
    assert content.levels == ("blue", "red")


@pytest.mark.parametrize("marker", [".", "None", "x", "missing"])
def test_others_are_holes_among_numbers_alone(marker):
    assert of("1", marker, "2").holes.tolist() == [False, True, False]
    assert not of("red", marker, "blue").holes.any()


def test_a_marker_can_be_a_value():
    content = of("NA", "DE", "?", not_missing="NA")
    assert content.levels == ("DE", "NA")
    assert content.markers == {"?": 1}


def test_a_named_number_is_a_hole_however_it_is_written():
    content = of("0", "1.5", "0.0", "00.00", "-0", "10", missing={"x": 0})
    assert content.holes.tolist() == [True, False, True, True, True, False]


@pytest.mark.parametrize("cells", [("01234", "99999"), ("007", "12"), ("12345678901234567", "1")])
def test_digits_that_are_names_stay_words(cells):
    assert of(*cells).kind == "words"


def test_zeros_before_a_decimal_point_are_numbers():
    assert of("0.5", "0", "00.25").kind == "number"


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (("1,000", "2,500", "12"), "thousands"),
        (("1,5", "2,25"), "decimal comma"),
        (("1", "2", "high", "4"), "numbers beside words ('high')"),
        (("01/02/2020", "03/04/2020"), "%d/%m/%Y and as %m/%d/%Y"),
    ],
)
def test_what_is_nearly_understood_is_said_and_left(cells, part):
    content = of(*cells)
    assert content.kind == "words"
    assert part in content.note


@pytest.mark.parametrize(
    ("cells", "pattern", "first"),
    [
        (("2024-01-31", "2024-02-01"), "%Y-%m-%d", "2024-01-31"),
        (("31.01.2024", "01.02.2024"), "%d.%m.%Y", "2024-01-31"),
        (("01/02/2024", "31/01/2024"), "%d/%m/%Y", "2024-02-01"),
        (("01/02/2024", "01/31/2024"), "%m/%d/%Y", "2024-01-02"),
        (("2024-01-31 23:05", "2024-02-01 00:00"), "%Y-%m-%d %H:%M", "2024-01-31T23:05"),
        (("2024-01-31T23:05:01Z", "2024-02-01T00:00:00Z"), "%Y-%m-%dT%H:%M:%SZ", "2024-01-31T23:05:01"),
        (("31 Jan 2024", "1 Feb 2024"), "%d %b %Y", "2024-01-31"),
    ],
)
def test_dates_are_told_and_written_alike(cells, pattern, first):
    content = of(*cells, "NA", None)
    assert content.kind == "date"
    assert content.form.pattern == pattern
    assert content.values[0] == np.datetime64(first)
    assert np.isnat(content.values[2:]).all()
    written = [cell.lstrip("0") for cell in content.form.write(content.values[:2])]
    assert written == [cell.lstrip("0") for cell in cells]


def test_a_day_that_is_none_makes_no_date():
    assert of("2024-02-30", "2024-02-01").kind == "words"
    assert read_dates(["2024-02-30"], "%Y-%m-%d")[0] is None


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (Form(decimals=2), ["1.50", "0.00", "-2.25"]),
        (Form(decimals=0), ["2", "0", "-2"]),
        (Form(decimals=None), ["1.5", "-0.001", "-2.25"]),
        (Form(decimals=1, comma=True), ["1,5", "0,0", "-2,2"]),
    ],
)
def test_numbers_are_written_as_their_column_is(form, texts):
    assert form.write(np.array([1.5, -0.001, -2.25])) == texts


def test_a_decimal_comma_is_read_and_written():
    content = of("1,5", "2", "?", "-3,25", decimal=",")
    assert content.kind == "number"
    np.testing.assert_array_equal(content.values, [1.5, 2, np.nan, -3.25])
    assert content.form.write(np.array([0.5])) == ["0,50"]


def test_nothing_but_holes_is_no_number():
    content = of("?", None, "NA")
    assert content.kind == "words"
    assert content.holes.all()
    assert content.levels == ()
