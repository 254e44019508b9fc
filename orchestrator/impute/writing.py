"""From a filled frame to a file, whole or not at all.

A file is written beside its final name, flushed to disk and renamed: a full disk, a crash or Ctrl-C leaves
the old file or none.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from orchestrator.impute import delimited
from orchestrator.impute.prepared import Fills, Prepared
from orchestrator.impute.reading import Loaded, kind_of
from orchestrator.store import takes_no_more
from orchestrator.sweep import RequestError

ROWS = 1 << 15
"""Rows of text that are filled at a time."""


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place when the body ends well.

    Raises
    ------
    RequestError
        When the disk is full or the folder cannot be written to; `path` is as it was.
    """
    beside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except OSError as error:
        if not takes_no_more(error) and not isinstance(error, PermissionError):
            raise
        left = "it is as it was" if path.exists() else "nothing of it is left"
        raise RequestError(f"{path} cannot be written: {error.strerror}; {left}") from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """A table of ours, whole or not at all; columns of mixed kinds become text in Parquet and Arrow."""
    kind = kind_of(path)
    with whole(path) as beside:
        if kind == "text":
            with _create_text(beside, path, "utf-8") as out:
                frame.to_csv(out, index=False)
            return
        mixed = [name for name in frame.columns if frame[name].dtype == object]
        plain = frame.assign(**{name: frame[name].map(str, na_action="ignore") for name in mixed})
        if kind == "parquet":
            plain.to_parquet(beside, index=False)
        else:
            plain.to_feather(beside)


def write(path: Path, prepared: Prepared, fills: Sequence[Fills], loaded: Loaded, stack: str = "") -> None:
    """Write a filled table, or several on top of each other.

    Parameters
    ----------
    path
        Its ending tells the kind. Text from text keeps every observed cell, the separator and the line ends;
        Parquet and Arrow from their like keep the schema.
    prepared, loaded
        The table, and the file it came from.
    fills
        One for each table; a single one, unless `stack` is given.
    stack
        Name of a first column that numbers the tables from 1.
    """
    kind = kind_of(path)
    with whole(path) as beside:
        if kind == "text" and loaded.dialect:
            with _create_text(beside, path, loaded.dialect.encoding) as out:
                for number, one in enumerate(fills, 1):
                    out.writelines(rewritten(prepared, one, loaded, stack, number))
        elif kind == "text":
            with _create_text(beside, path, "utf-8") as out:
                for number, one in enumerate(fills, 1):
                    table = prepared.put(one)
                    if stack:
                        table.insert(0, stack, number, allow_duplicates=True)
                    table.to_csv(out, index=False, header=number == 1)
        elif kind in ("parquet", "arrow"):
            tables = (as_arrow(prepared, one, loaded, stack, number) for number, one in enumerate(fills, 1))
            first = next(tables)
            with _arrow_writer(beside, kind, first.schema) as writer:
                writer.write_table(first)
                for table in tables:
                    writer.write_table(table.cast(first.schema))
        else:
            raise RequestError(f"{path}: workbooks are read, not written; take .csv or .parquet")


def as_arrow(prepared: Prepared, fills: Fills, loaded: Loaded, stack: str = "", number: int = 1) -> pa.Table:
    """A filled table as Arrow has it; from an Arrow table, all but the filled columns are the very same."""
    filled = prepared.put(fills)
    places = {prepared.place(name) for name in fills}
    stored = loaded.arrow
    if stored is None:
        arrays: list[Any] = [pa.array(filled.iloc[:, i], from_pandas=True) for i in range(filled.shape[1])]
        result = pa.Table.from_arrays(arrays, names=[str(label) for label in filled.columns])
    else:
        result = stored
        for place in sorted(places):
            field = stored.schema.field(place)
            result = result.set_column(place, field, _cast(filled.iloc[:, place], field.type))
    if stack:
        column = pa.array(np.full(len(filled), number, np.int32))
        result = result.add_column(0, pa.field(stack, pa.int32()), column)
    return result


def _cast(series: pd.Series, kind: pa.DataType) -> pa.Array:
    array = pa.array(series, from_pandas=True)
    if not pa.types.is_dictionary(kind):
        return array.cast(kind, safe=False)  # from longer to shorter floats
    indices, levels = array.indices.cast(kind.index_type), array.dictionary.cast(kind.value_type)
    return pa.DictionaryArray.from_arrays(indices, levels, ordered=kind.ordered)


def rewritten(
    prepared: Prepared, fills: Fills, loaded: Loaded, stack: str = "", number: int = 1
) -> Iterator[str]:
    """The source's text piece by piece, its holes replaced; with `stack`, a first column that holds `number`.

    Raises
    ------
    RequestError
        If the file is no longer the one that was read.
    """
    dialect = loaded.dialect
    assert dialect is not None
    refuse_changed(loaded)
    separator = dialect.separator
    edits = _edits(prepared, fills, loaded)
    header = dialect.header
    prefix = f"{number}{separator}" if stack else ""
    with delimited.open_text(loaded.path, dialect.encoding) as text:
        for piece, is_row in delimited.pieces(text, separator):
            if not is_row:
                if number == 1:
                    yield piece
            elif header:
                header = False
                if number == 1:
                    yield f"{delimited.quoted(stack, separator)}{separator}{piece}" if stack else piece
            else:
                row = next(edits, None)
                if row is None:
                    raise _changed(loaded)
                piece = _edited(piece, row, separator, loaded) if row else piece
                if stack and not piece.endswith(("\n", "\r")):
                    piece += "\n"
                yield prefix + piece
    if next(edits, None) is not None:
        raise _changed(loaded)


def refuse_changed(loaded: Loaded) -> None:
    """Raise RequestError if the file is no longer the one that was read."""
    stat = loaded.path.stat()
    if (stat.st_size, stat.st_mtime_ns) != loaded.stamp:
        raise _changed(loaded)


def _changed(loaded: Loaded) -> RequestError:
    return RequestError(f"{loaded.path} has changed since it was read: run the command again")


Edit = tuple[int, str, frozenset[str]]
"""Place of the cell, what it becomes, and what it may have held."""


def _edits(prepared: Prepared, fills: Fills, loaded: Loaded) -> Iterator[Sequence[Edit]]:
    """For each row, what is to be changed in it."""
    n_rows = len(prepared.table)
    done = dict.fromkeys(fills, 0)
    for start in range(0, n_rows, ROWS):
        stop = min(start + ROWS, n_rows)
        rows: list[list[Edit]] = [[] for _ in range(stop - start)]
        for name, values in fills.items():
            holes = np.flatnonzero(prepared.holes(name)[start:stop])
            if not holes.size:
                continue
            fresh = prepared.decode(name, values[done[name] : done[name] + holes.size])
            texts = _texts(fresh, prepared, loaded, name)
            done[name] += holes.size
            place, marks = prepared.place(name), frozenset(loaded.found[name]) | {""}
            for row, text in zip(holes.tolist(), texts, strict=True):
                rows[row].append((place, text, marks))
        yield from rows


def _texts(values: pd.Series, prepared: Prepared, loaded: Loaded, name: str) -> Sequence[str]:
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        view = prepared.views[name]
        form = view.coder.form if view.content.holes.all() else loaded.forms[name]
        return form.write(values.to_numpy())
    return [str(value) for value in values]


def _edited(record: str, row: Sequence[Edit], separator: str, loaded: Loaded) -> str:
    cells = delimited.split(record, separator)
    for place, text, marks in row:
        if place >= len(cells) or delimited.plain([cells[place]])[0] not in marks:
            raise _changed(loaded)
        cells[place] = delimited.refilled(cells[place], text, separator)
    bare = record.rstrip("\r\n")
    return separator.join(cells) + record[len(bare) :]


def _arrow_writer(beside: Path, kind: str, schema: pa.Schema) -> Any:
    if kind == "parquet":
        return pyarrow.parquet.ParquetWriter(beside, schema)
    return pa.ipc.new_file(str(beside), schema)


def _create_text(beside: Path, path: Path, encoding: str) -> IO[str]:
    opener = delimited.COMPRESSED.get(path.suffix.casefold())
    if opener:
        stream: IO[str] = opener(beside, "wt", encoding=encoding, newline="")
        return stream
    return beside.open("w", encoding=encoding, newline="")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
