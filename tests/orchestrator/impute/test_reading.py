"""Tables from files of every kind."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from orchestrator.impute.missing import Missing
from orchestrator.impute.reading import read
from orchestrator.sweep import RequestError

CSV = """id;größe;n;when;town;zip
a1;1,50;3;2024-01-31;Köln;01234
b2;?;;NA;Bonn;99999
c3;-0,25;5;2024-02-01;-;01234
"""


OFFICE = "http://schemas.openxmlformats.org"
LINKS = f"{OFFICE}/officeDocument/2006/relationships"


def write_workbook(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    """The least that is a workbook."""
    main = f"{OFFICE}/spreadsheetml/2006/main"
    names = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_rels/.rels", _links({"r1": ("officeDocument", "xl/workbook.xml")}))
        targets = {f"r{i}": ("worksheet", f"worksheets/sheet{i}.xml") for i, _ in enumerate(sheets, 1)}
        archive.writestr("xl/_rels/workbook.xml.rels", _links(targets))
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{LINKS}"><sheets>{names}</sheets></workbook>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            body = "".join(f'<row r="{r}">{_cells(row, r)}</row>' for r, row in enumerate(rows, 1))
            sheet = f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
            archive.writestr(f"xl/worksheets/sheet{i}.xml", sheet)


def _links(targets: dict[str, tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="{name}" Type="{LINKS}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{OFFICE}/package/2006/relationships">{links}</Relationships>'


def _cells(row: list[object], number: int) -> str:
    return "".join(_cell(f"{letter}{number}", value) for letter, value in zip("ABC", row, strict=False))


def _cell(where: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{where}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{where}"><v>{value}</v></c>'


@pytest.fixture
def mixed() -> pa.Table:
    return pa.table(
        {
            "i": pa.array([1, None, 2**60], pa.int64()),
            "u": pa.array([1, 2, 3], pa.uint8()),
            "b": pa.array([True, None, False]),
            "f": pa.array([1.5, None, 2.5], pa.float32()),
            "s": pa.array(["x", None, "y"], pa.large_string()),
            "d": pa.array([0, None, 19000], pa.int32()).cast(pa.date32()),
            "t": pa.array([0, None, 10**12], pa.timestamp("ms", "UTC")),
            "c": pa.array(["p", None, "q"]).dictionary_encode(),
        }
    )


def test_text_is_typed_and_what_was_inferred_is_said(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(CSV, encoding="utf-8")
    loaded = read(path)
    table = loaded.table
    assert list(table.columns) == ["id", "größe", "n", "when", "town", "zip"]
    np.testing.assert_array_equal(table["größe"], [1.5, np.nan, -0.25])
    assert table["n"].dtype == pd.Int64Dtype()
    assert table["n"].tolist() == [3, pd.NA, 5]
    assert table["when"].dtype == "datetime64[ns]"
    assert table["town"].tolist() == ["Köln", "Bonn", None]
    assert table["zip"].tolist() == ["01234", "99999", "01234"]
    assert loaded.found["größe"] == {"?": 1}
    assert loaded.found["n"] == {"": 1}
    assert list(loaded.notes) == ["separated by semicolons", "decimal commas in 'größe'"]


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
def test_compressed_text_is_read(suffix, opener, tmp_path):
    path = tmp_path / f"x.csv{suffix}"
    with opener(path, "wt", encoding="utf-8") as out:
        out.write(CSV)
    assert len(read(path).table) == 3


def test_a_table_without_names_is_read_where_told(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1.5,2\n3,4\n")
    assert list(read(path, header=False).table.columns) == ["column 1", "column 2"]
    named = read(path, header=False, names=["a", "b"]).table
    assert named["a"].tolist() == [1.5, 3.0]
    assert len(read(path, header=True).table) == 1


def test_commas_before_three_digits_may_be_of_thousands_and_are_left(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a;b\n1,000;2,5\n2,500;3,25\n")
    table = read(path).table
    assert table["a"].tolist() == ["1,000", "2,500"]
    assert table["b"].tolist() == [2.5, 3.25]
    assert read(path, decimal=",").table["a"].tolist() == [1.0, 2.5]


def test_parquet_and_arrow_keep_whole_numbers_and_booleans(mixed, tmp_path):
    pyarrow.parquet.write_table(mixed, tmp_path / "x.parquet")
    pyarrow.feather.write_feather(mixed, tmp_path / "x.feather")
    for name in ("x.parquet", "x.feather"):
        table = read(tmp_path / name).table
        assert table["i"].tolist() == [1, pd.NA, 2**60]
        assert table["u"].dtype == np.uint8
        assert table["b"].tolist() == [True, pd.NA, False]
        assert table["f"].dtype == np.float32


def test_a_sheet_is_chosen_and_said(tmp_path):
    data = [["a", "b"], [1.5, "x"], ["?", "NA"], [2.5, None]]
    write_workbook(tmp_path / "x.xlsx", {"notes": [["what"], ["see the other"]], "data": data})
    first = read(tmp_path / "x.xlsx")
    assert list(first.table.columns) == ["what"]
    assert "the first of 2 (notes, data)" in first.notes[0]
    for sheet_name in ("data", "2"):
        table = read(tmp_path / "x.xlsx", sheet=sheet_name).table
        assert table["a"].tolist() == [1.5, "?", 2.5]
        assert table["b"].tolist()[:2] == ["x", "NA"]
    with pytest.raises(RequestError, match=r"'dat'.*'notes', 'data'"):
        read(tmp_path / "x.xlsx", sheet="dat")


@pytest.mark.parametrize(
    ("name", "content", "how", "parts"),
    [
        ("x.csv", "a,b\n", {}, ["no rows"]),
        ("x.csv", "a,b\n1,2\n3\n", {}, ["ragged", "--sep"]),
        ("x.csv", "a,b\n1,2\n", {"names": ["a"]}, ["1 names for 2 columns"]),
        ("x.csv", "a,b\n1,2\n", {"decimal": ";"}, ["--decimal ';'"]),
        ("x.csv", "a,b\n1,2\n", {"decimal": ","}, ["--decimal ','"]),
        ("x.csv.gz", "a,b\n1,2\n", {}, ["cannot be read as text"]),
        ("x.parquet", "PAR1", {}, ["cannot be read as parquet"]),
        ("x.feather", "FEA1", {}, ["cannot be read as arrow"]),
        ("x.xlsx", "PK", {}, ["not a sound workbook"]),
        ("x.sav", "", {}, ["'.sav'", ".parquet"]),
        ("x", "", {}, ["ending ''"]),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name, content, how, parts, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RequestError) as caught:
        read(path, **how)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"gone\.csv does not exist"):
        read(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        read(tmp_path / "folder.csv")


def test_named_markers_decide_what_a_column_is(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a\n1.5\nnot measured\n2.5\n")
    assert read(path).table["a"].dtype == object
    table = read(path, missing=Missing.parse("a=not measured")).table
    np.testing.assert_array_equal(table["a"], [1.5, np.nan, 2.5])
