"""Delimited text: its cells as they are written, and how a file is written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.impute.delimited import Dialect, open_text, pieces, plain, refilled, sniff, split
from orchestrator.sweep import RequestError

CELLS = st.text(st.sampled_from('ab ,;"\n\r\té'), max_size=6)
ROWS = st.integers(2, 4).flatmap(
    lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6)
)


def written(rows: list[list[str]], separator: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


@given(ROWS, st.sampled_from(",;\t"))
def test_cells_are_those_of_pythons_and_arrows_readers(rows, separator):
    text = written(rows, separator)
    found = [
        split(piece, separator)
        for piece, is_row in pieces(io.StringIO(text, newline=""), separator)
        if is_row
    ]
    values = [
        [cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell for cell in cells] for cells in found
    ]
    assert values == rows
    names = [str(place) for place in range(len(rows[0]))]
    arrow = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()),
        read_options=pyarrow.csv.ReadOptions(column_names=names),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    assert [list(row.values()) for row in arrow.to_pylist()] == rows


@given(ROWS, st.sampled_from(",;\t"))
def test_pieces_together_are_the_file(rows, separator):
    text = "\ufeff" + written(rows, separator) + "\n\n"
    assert "".join(piece for piece, _ in pieces(io.StringIO(text, newline=""), separator)) == text


@given(CELLS, CELLS.filter(bool), st.sampled_from(",;\t"))
def test_a_refilled_cell_says_the_fill_and_nothing_else_moves(before, fill, separator):
    cell = written([[before, "end"]], separator)[: -len(f"{separator}end\r\n")]
    row = f"start{separator}{refilled(cell, fill, separator)}{separator}end"
    assert next(csv.reader(io.StringIO(row, newline=""), delimiter=separator))[0] == "start"
    _, middle, end = split(row, separator)
    assert end == "end"
    assert plain([middle]) == [fill.strip()]


def test_a_quote_inside_a_cell_opens_nothing():
    text = '5" pipe,1\nplain,2\n'
    assert [split(piece, ",") for piece, _ in pieces(io.StringIO(text, newline=""), ",")] == [
        ['5" pipe', "1"],
        ["plain", "2"],
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_empty_lines_are_kept_apart_from_rows(end, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(end.join(["a,b", "", '1,"x', 'y"', "2,z"]).encode())
    with open_text(path, "utf-8") as text:
        rows = [split(piece, ",") for piece, is_row in pieces(text, ",") if is_row]
    assert rows == [["a", "b"], ["1", f'"x{end}y"'], ["2", "z"]]


def file(tmp_path: Path, content: str | bytes, name: str = "x.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "separator", "encoding"),
    [
        ("a,b\n1,2\n", ",", "utf-8"),
        ("a;b\n1,5;2\n", ";", "utf-8"),
        ("a\tb, c\n1\t2\n", "\t", "utf-8"),
        ("a|b\n1|2\n", "|", "utf-8"),
        ('"a;x","b;y"\n1,2\n', ",", "utf-8"),
        ("a\n1\n2\n", ",", "utf-8"),
        ("\ufeffa,b\n1,ö\n", ",", "utf-8"),
        ("a,b\n1,ö\n".encode("latin-1"), ",", "cp1252"),
        ("a,b\n1,ö\x81\n".encode("latin-1"), ",", "latin-1"),
        ("\ufeffa,b\n1,ö\n".encode("utf-16-le"), ",", "utf-16-le"),
    ],
)
def test_how_a_file_is_written_is_told(content, separator, encoding, tmp_path):
    dialect = sniff(file(tmp_path, content))
    assert (dialect.separator, dialect.encoding, dialect.header) == (separator, encoding, True)


def test_what_is_given_is_not_inferred(tmp_path):
    path = file(tmp_path, "a;b,c\n1;2,3\n")
    assert sniff(path, separator=",", encoding="latin1", header=False) == Dialect(",", "iso8859-1", False)


@pytest.mark.parametrize(
    ("content", "given", "parts"),
    [
        ("", {}, ["is empty"]),
        ("\n\n", {}, ["no row"]),
        (b"a,b\n1,\x002\n", {}, ["null bytes"]),
        (b"a,b\n1,2\n3,\xf6\n", {"encoding": "utf-8"}, ["line 3", "not utf-8"]),
        ("a,b\n", {"encoding": "utf-9"}, ["'utf-9'"]),
        ("a;b\n1;2\n", {"separator": ","}, ["2 by ';'", "--sep ';'"]),
        ("a,b\n", {"separator": ",,"}, ["not one character"]),
        ("1.5,2\n3,4\n", {}, ["looks like data", "'1.5'", "--header no"]),
        ("5,1,1,1\n3,4,5,6\n", {}, ["looks like data"]),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(content, given, parts, tmp_path):
    with pytest.raises(RequestError) as caught:
        sniff(file(tmp_path, content), **given)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("first", ["country,2010,2011", "0,1,2,3", ",0,1,2", "x1,x2,x3"])
def test_names_that_are_numbers_may_be_names(first, tmp_path):
    assert sniff(file(tmp_path, f"{first}\n{first}\n")).header
