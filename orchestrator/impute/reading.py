"""From a file to a frame, with what is needed to write it back as it was.

CSV and its like (.csv, .tsv, .txt, compressed or not), Parquet, Feather and Arrow files, and Excel workbooks.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from orchestrator.impute.delimited import (
    COMPRESSED,
    Dialect,
    open_bytes,
    open_text,
    plain,
    records,
    sniff,
    split,
)
from orchestrator.impute.missing import Missing, listed
from orchestrator.impute.roles import unique_names
from orchestrator.impute.textual import Content, Form, understand
from orchestrator.sweep import RequestError

TEXT = (".csv", ".tsv", ".tab", ".txt", ".data")
PARQUET = (".parquet", ".pq")
ARROW = (".feather", ".arrow", ".ipc")
EXCEL = (".xlsx", ".xls", ".xlsb", ".xlsm", ".ods")
BLOCK = 1 << 24
"""Bytes of text that are read at a time; no row may be longer."""
EXACT = 2.0**53


@dataclass(frozen=True)
class Loaded:
    """A table from a file."""

    path: Path
    table: pd.DataFrame
    """Typed: whole numbers with holes are `Int64`, dates in text are datetimes, words are text."""
    dialect: Dialect | None = None
    """Of delimited text."""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """Of delimited text: how the numbers and dates of a column are written."""
    found: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of delimited text: what stood for a hole in a column, and how often."""
    arrow: pa.Table | None = None
    """Of Parquet and Arrow files: the table as it was stored."""
    notes: Sequence[str] = ()
    """What was inferred and should be said."""
    stamp: tuple[int, int] = (0, 0)
    """Size and time of change of the file when it was read."""


def kind_of(path: Path) -> str:
    """ "text", "parquet", "arrow" or "excel", by the file's ending.

    >>> kind_of(Path("my.csv.gz"))
    'text'
    """
    plain_name = path.name[: -len(path.suffix)] if path.suffix.casefold() in COMPRESSED else path.name
    suffix = Path(plain_name).suffix.casefold()
    for kind, suffixes in (("text", TEXT), ("parquet", PARQUET), ("arrow", ARROW), ("excel", EXCEL)):
        if suffix in suffixes:
            return kind
    known = ", ".join((*TEXT, *PARQUET, *ARROW, *EXCEL))
    raise RequestError(
        f"{path}: the ending {suffix!r} tells no kind of table; known are {known} (text also .gz)"
    )


def read(
    path: str | Path,
    *,
    missing: Missing | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    names: Sequence[str] | None = None,
    decimal: str | None = None,
    sheet: str | None = None,
) -> Loaded:
    """Read a table from a file.

    Parameters
    ----------
    path
        Of a kind that its ending tells.
    missing
        What stands for a hole.
    separator, encoding, header, names, decimal
        Of delimited text: by default inferred. `names` replace the header's.
    sheet
        Of a workbook, by name or by number from 1; by default the first.

    Raises
    ------
    RequestError
        Naming the file, what is wrong with it, and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise RequestError(f"{path} {what}")
    missing = missing or Missing()
    kind = kind_of(path)
    stat = path.stat()
    stamp = (stat.st_size, stat.st_mtime_ns)
    try:
        if kind == "text":
            dialect = sniff(path, separator=separator, encoding=encoding, header=header)
            return _read_text(path, dialect, missing, names, decimal, stamp)
        if kind == "excel":
            return _read_excel(path, sheet, stamp)
        reader = pyarrow.parquet.read_table if kind == "parquet" else pyarrow.feather.read_table
        arrow = reader(path)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise RequestError(f"{path} cannot be read as {kind}: {_first_line(error)}") from error
    return Loaded(path, to_pandas(arrow), arrow=arrow, stamp=stamp)


def to_pandas(arrow: pa.Table) -> pd.DataFrame:
    """A frame whose whole numbers and booleans stay what they are where there are holes."""
    frame = arrow.to_pandas(ignore_metadata=True)
    frame.columns = arrow.column_names
    nullable = {
        place: arrow.column(place).to_pandas(types_mapper=_NULLABLE.get)
        for place, kind in enumerate(arrow.schema.types)
        if kind in _NULLABLE and arrow.column(place).null_count
    }
    if not nullable:
        return frame
    whole = [nullable.get(place, frame.iloc[:, place]) for place in range(frame.shape[1])]
    result = pd.concat(whole, axis=1)
    result.columns = arrow.column_names
    return result


def _read_text(
    path: Path,
    dialect: Dialect,
    missing: Missing,
    names: Sequence[str] | None,
    decimal: str | None,
    stamp: tuple[int, int],
) -> Loaded:
    if decimal not in (None, ".", ",") or decimal == dialect.separator:
        raise RequestError(f"--decimal {decimal!r} is neither . nor , or separates the cells")
    with open_text(path, dialect.encoding) as text:
        first = plain(split(next(records(text, dialect.separator)), dialect.separator))
    if names is not None and len(names) != len(first):
        raise RequestError(f"--names gives {len(names)} names for {len(first)} columns")
    labels = list(names or (first if dialect.header else [f"column {i}" for i, _ in enumerate(first, 1)]))
    cells = _cells(path, dialect, len(first))
    if not cells.num_rows:
        raise RequestError(f"{path} has a header and no rows: a table needs at least one")
    typed, forms, found, commas = [], {}, {}, []
    columns = cells.columns
    del cells
    columns.reverse()
    for name in unique_names(labels):
        content = _understand(columns.pop().combine_chunks(), missing, name, decimal, dialect.separator)
        typed.append(_typed(content))
        forms[name], found[name] = content.form, content.markers
        commas += [name] * (content.form.comma and decimal is None)
    table = pd.concat([pd.Series(column) for column in typed], axis=1)
    table.columns = pd.Index(labels)
    notes = [*dialect.notes, *([f"decimal commas in {listed(commas)}"] if commas else [])]
    return Loaded(path, table, dialect, forms, found, None, notes, stamp)


def _understand(cells: pa.Array, missing: Missing, name: str, decimal: str | None, separator: str) -> Content:
    """A column; where none is told, the decimal sign is a comma if that makes numbers of it.

    Not where commas separate the cells, nor where each is before three digits, as those of thousands are.
    """
    content = understand(cells, missing, name, decimal=decimal or ".")
    if decimal or separator == "," or content.kind != "words":
        return content
    other = understand(cells, missing, name, decimal=",")
    return other if other.kind == "number" and other.form.comma and other.form.decimals != 3 else content


def _cells(path: Path, dialect: Dialect, width: int) -> pa.Table:
    """All cells as text, shape (n_rows, width)."""
    # Arrow's reader is strict: it refuses ragged rows, which pandas pads or cuts in silence
    names = [str(place) for place in range(width)]
    if dialect.encoding == "utf-8":
        source = open_bytes(path)
    else:
        with open_text(path, dialect.encoding) as text:
            source = io.BytesIO(text.read().encode())
    try:
        with source:
            return pyarrow.csv.read_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=names, skip_rows_after_names=int(dialect.header), block_size=BLOCK
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
    except pa.ArrowInvalid as error:
        raise RequestError(
            f"{path} is ragged or not separated by {dialect.separator!r} ({_first_line(error)}): every row"
            " needs as many cells as the first; --sep tells another separator"
        ) from None


def _typed(content: Content) -> Any:
    """The values of a column in the narrowest dtype that holds them."""
    values, holes = content.values, content.holes
    if content.kind == "number":
        observed = values[~holes]
        if content.form.decimals != 0 or not len(observed) or np.abs(observed).max() >= EXACT:
            return values
        if not holes.any():
            return values.astype(np.int64)
        return pd.arrays.IntegerArray(np.where(holes, 0, values).astype(np.int64), holes.copy())
    if content.kind == "date":
        return values
    return np.array([*content.levels, None], dtype=object)[values]


def _read_excel(path: Path, sheet: str | None, stamp: tuple[int, int]) -> Loaded:
    try:
        with pd.ExcelFile(path, engine="calamine") as book:
            sheets = [str(name) for name in book.sheet_names]
            chosen = _sheet(path, sheets, sheet)
            table = book.parse(chosen, keep_default_na=False, na_values=[""])
    except RequestError:
        raise
    except Exception as error:  # calamine raises kinds of its own
        raise RequestError(f"{path} is not a sound workbook: {_first_line(error)}") from error
    notes = []
    if len(sheets) > 1 and sheet is None:
        notes.append(
            f"sheet {chosen!r}, the first of {len(sheets)} ({', '.join(sheets)}); --sheet takes another"
        )
    return Loaded(path, table, notes=notes, stamp=stamp)


def _sheet(path: Path, sheets: Sequence[str], asked: str | None) -> str:
    if asked is None:
        return sheets[0]
    if asked in sheets:
        return asked
    if asked.isdecimal() and 1 <= int(asked) <= len(sheets):
        return sheets[int(asked) - 1]
    raise RequestError(f"--sheet {asked!r}: {path} has {', '.join(map(repr, sheets))}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300] or type(error).__name__


_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
