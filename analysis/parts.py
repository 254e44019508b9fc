"""Files of records as one Arrow table.

Merged files hold a million rows in thousands of row groups, and most of their columns are empty: a score that
the sweep did not ask for. Their footers tell which, and these are not read. Text is kept as Arrow's
dictionaries, since but for the key few values repeat: sorting a dictionary is moving numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.schema import COLUMNS

_UNIQUE = ("trial_key",)  # text that does not repeat
_LARGE = 1 << 20  # bytes from which a file is read by itself, its empty columns left out
_CODED = pa.dictionary(pa.int32(), pa.string())


def read(parts: Sequence[Path]) -> pa.Table | None:
    """All rows of `parts`; a part that cannot be read is named in a warning and skipped.

    Returns
    -------
    pyarrow.Table or None
        The columns of `analysis.schema.COLUMNS`, then any others that the parts hold, nulls where a part
        lacks one. Text but the key is dictionary-encoded, with one dictionary for each column. None where no
        part could be read.
    """
    small = [part for part in parts if part.stat().st_size < _LARGE]
    tables = [table for part in parts if part not in set(small) and (table := _read_one(part)) is not None]
    if small:
        try:
            tables.append(_read_many(small))
        except (OSError, pa.ArrowException):  # some part is bad, and the scan does not say which
            tables += [table for part in small if (table := _read_one(part)) is not None]
    if not tables:
        return None
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()


def decoded(table: pa.Table) -> pa.Table:
    """`table` with its text as plain strings."""
    plain = [pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(plain))


def _read_many(parts: Sequence[Path]) -> pa.Table:
    """Parts of a record or a few each, in one scan."""
    schema = pa.schema([(name, _coded(name, kind)) for name, kind in COLUMNS.items()])
    # One writer wrote thousands of parts, so three footers stand for all: first, last and largest.
    for part in (parts[0], parts[-1], max(parts, key=lambda part: part.stat().st_size)):
        for field in pq.read_schema(part):
            if schema.get_field_index(field.name) < 0:
                schema = schema.append(pa.field(field.name, _coded(field.name, field.type)))
    form = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True),
        dictionary_columns={field.name for field in schema if pa.types.is_dictionary(field.type)},
    )
    return ds.dataset([str(part) for part in parts], schema=schema, format=form).to_table()


def _read_one(part: Path) -> pa.Table | None:
    """One file, nulls for the columns that it lacks or that hold nothing."""
    try:
        footer = pq.read_metadata(part)
        schema = footer.schema.to_arrow_schema()
        text = [field.name for field in schema if _coded(field.name, field.type) == _CODED]
        empty = _empty(footer)
        file = pq.ParquetFile(part, metadata=footer, read_dictionary=text, page_checksum_verification=True)
        table = file.read(columns=[name for name in schema.names if name not in empty])
        wanted = [*COLUMNS, *(name for name in schema.names if name not in COLUMNS)]
        kinds = {field.name: field.type for field in schema} | COLUMNS
        return pa.table({name: _column(table, name, _coded(name, kinds[name])) for name in wanted})
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(f"skipped {part}, which cannot be read: {reason}", stacklevel=4)
        return None


def _empty(footer: pq.FileMetaData) -> set[str]:
    """Columns without a value, as far as the footer tells."""
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]

    def is_empty(column: int) -> bool:
        # Stops at the first group with a value, so that a footer of many groups is walked once at most.
        known = (group.column(column).statistics for group in groups)
        return all(s is not None and s.has_null_count and s.num_values == 0 for s in known)

    return {footer.schema.column(index).name for index in range(footer.num_columns) if is_empty(index)}


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, kind)
    column = table[name]
    return column if column.type == kind else column.cast(kind)


def _coded(name: str, kind: pa.DataType) -> pa.DataType:
    return _CODED if pa.types.is_string(kind) and name not in _UNIQUE else kind
