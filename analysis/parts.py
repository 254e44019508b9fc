"""Files of records as one Arrow table.

Merged files hold a million rows in a thousand row groups, and most of their columns are one value throughout:
null, for a score that the sweep did not ask for, or the sweep's own name. Their footers tell which, and these
are not read. Text is kept as Arrow's dictionaries, since but for the key its values repeat: to sort it is to
move numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.schema import COLUMNS

_UNIQUE = ("trial_key",)  # text that does not repeat
_LARGE = 1 << 20  # bytes from which a file is read by itself, its empty columns left out
_FLOATS = ("FLOAT", "DOUBLE")
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
        known = _constants(footer)
        file = pq.ParquetFile(part, metadata=footer, read_dictionary=text, page_checksum_verification=True)
        table = file.read(columns=[name for name in schema.names if name not in known])
        wanted = [*COLUMNS, *(name for name in schema.names if name not in COLUMNS)]
        kinds = {field.name: field.type for field in schema} | COLUMNS
        columns = {}
        for name in wanted:
            kind = _coded(name, kinds[name])
            if name in table.column_names:
                columns[name] = table[name] if table[name].type == kind else table[name].cast(kind)
            else:
                columns[name] = _repeated(known.get(name), footer.num_rows, kind)
        return pa.table(columns)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(f"skipped {part}, which cannot be read: {reason}", stacklevel=4)
        return None


def _constants(footer: pq.FileMetaData) -> dict[str, Any]:
    """Columns with the same value in every row, as far as the footer tells, and that value."""
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    found = {}
    for index in range(footer.num_columns):
        # Stops at the first group that differs, so that most columns cost a look or two.
        values = (_only_value(group.column(index).statistics) for group in groups)
        first = next(values, (False, None))
        if first[0] and all(value == first for value in values):
            found[footer.schema.column(index).name] = first[1]
    return found


def _only_value(statistics: pq.Statistics | None) -> tuple[bool, Any]:
    """Whether a group of rows is known to hold one value, and which; None for nulls."""
    if statistics is None or not statistics.has_null_count:
        return False, None
    if statistics.num_values == 0:
        return True, None
    # Of numbers that are no integers the least and the greatest say nothing about NaN among them.
    known = statistics.null_count == 0 and statistics.has_min_max and statistics.physical_type not in _FLOATS
    alike = known and statistics.min == statistics.max
    return alike, statistics.min if alike else None


def _repeated(value: Any, n: int, kind: pa.DataType) -> pa.Array:
    if value is None:
        return pa.nulls(n, kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n), [value])
    return pa.repeat(pa.scalar(value, kind), n)


def _coded(name: str, kind: pa.DataType) -> pa.DataType:
    return _CODED if pa.types.is_string(kind) and name not in _UNIQUE else kind
