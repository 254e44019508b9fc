"""A user's own CSV or Parquet file as a table.

Numbers stay numbers; text and true/false columns become categories; holes of the file stay holes and are
never scored. Columns that cannot be features (dates, identifiers, all holes of no type) are left out, and the
table's notes say so.
"""

import csv
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from datasets.files import gunzip, sha256
from datasets.table import DatasetInfo, Table

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".parquet.gz")
DELIMITERS = (",", ";", "\t")
MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A")
# A text column of at least so many values, no two alike, names its rows and describes nothing.
IDENTIFIER_ROWS = 20
# Bytes of a CSV that are typed together; Arrow takes no more than two billion.
MAX_BLOCK = 1 << 30
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)


def is_path(name: str) -> bool:
    """Whether a name can only be a user's file."""
    return name.casefold().endswith(SUFFIXES)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return sha256(path.read_bytes())


def load(name: str) -> Table:
    """Read a user's file.

    Parameters
    ----------
    name : str
        Path of a .csv or .parquet file, perhaps with .gz added. A CSV is UTF-8 with a header line, its
        delimiter a comma, semicolon or tab, whichever the header line has most of.

    Raises
    ------
    ValueError
        When the file holds no table of numbers: empty, ragged, not UTF-8, column names twice, infinite
        values, no numeric column. The message names file, column or line, and the remedy.
    """
    data = Path(name).read_bytes()
    digest = sha256(data)
    if not data:
        raise ValueError(f"{name} is empty (0 bytes); give a CSV with a header line, or a Parquet file")
    if name.casefold().endswith(".gz"):
        data = gunzip(data, name)
    plain = name.casefold().removesuffix(".gz")
    raw = _read_parquet(data, name) if plain.endswith(".parquet") else _read_csv(data, name)
    _refuse_bad_names(raw, name)
    if raw.empty:
        raise ValueError(f"{name} has a header and no rows; a table needs at least one")
    frame, left_out, notes = as_features(raw, name)
    numeric, categorical = kinds(frame)
    about = DatasetInfo(
        name=name,
        title=Path(name).name,
        rows=len(frame),
        numeric=numeric,
        categorical=categorical,
        licence="the user's",
        citation="",
        url="",
        notes=tuple(notes),
        left_out=tuple(left_out),
    )
    return Table(name, frame, None, about, digest, identity=f"sha256:{digest}")


def kinds(frame: pd.DataFrame) -> tuple[int, int]:
    """Counts of numeric and of categorical columns."""
    categorical = sum(isinstance(dtype, pd.CategoricalDtype) for dtype in frame.dtypes)
    return frame.shape[1] - categorical, categorical


def _read_csv(data: bytes, name: str) -> pd.DataFrame:
    # Arrow's reader is strict: it refuses ragged rows, which pandas pads or cuts in silence.
    from pyarrow import ArrowInvalid, BufferReader
    from pyarrow import csv as arrow_csv

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}, line {line}: byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from None
    header = next((line for line in StringIO(text) if line.strip()), "")
    if not header:
        raise ValueError(f"{name} holds only blank lines; give a CSV with a header line")
    delimiter = max(DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign))))
    try:
        table = arrow_csv.read_csv(
            BufferReader(text.encode()),
            # One block: all rows of a column tell its type. One thread: many loaders run at once.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=min(len(data) + 1, MAX_BLOCK)),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
        )
    except ArrowInvalid as error:
        raise ValueError(
            f"{name} is ragged or not delimited by {delimiter!r} ({error});"
            " every row needs as many fields as the header"
        ) from None
    return table.to_pandas(use_threads=False)


def _read_parquet(data: bytes, name: str) -> pd.DataFrame:
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        return parquet.read_table(BufferReader(data), use_threads=False).to_pandas()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{name} is not a sound Parquet file ({error}); write it anew") from None


def _refuse_bad_names(raw: pd.DataFrame, name: str) -> None:
    columns = raw.columns
    twice = list(dict.fromkeys(map(str, columns[columns.duplicated()])))
    if twice:
        raise ValueError(f"{name} has two columns named {twice[0]!r}; rename one")
    unnamed = [i for i, column in enumerate(columns, 1) if not str(column).strip()]
    if unnamed:
        raise ValueError(f"{name}: column {unnamed[0]} has no name; give it one in the header line")


def as_features(raw: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The columns that can be imputed, typed; the names of the others; and what is to be said of them."""
    kept: dict[str, pd.Series] = {}
    left_out: list[str] = []
    notes: list[str] = []
    for label, column in raw.items():
        label = str(label)
        if column.dtype == object and _all_match(column, _DECIMAL_COMMA):
            raise ValueError(
                f"{name}, column {label!r}: numbers with a decimal comma; write them with a point"
            )
        reason = _no_feature(column)
        if reason:
            left_out.append(label)
            notes.append(f"column {label!r} is left out: {reason}")
        else:
            kept[label] = _typed(column, label, name)
    frame = pd.DataFrame(kept, index=pd.RangeIndex(len(raw)))
    if not any(pd.api.types.is_numeric_dtype(t) for t in frame.dtypes):
        raise ValueError(
            f"{name} has no numeric column ({', '.join(map(str, raw.columns[:5]))} are text); encode at least"
            " one as numbers, and check that numbers are written with a decimal point"
        )
    return frame, left_out, notes


def _all_match(column: pd.Series, pattern: re.Pattern[str]) -> bool:
    observed = column.dropna()
    return len(observed) > 0 and all(
        isinstance(value, str) and pattern.fullmatch(value) for value in observed
    )


def _no_feature(column: pd.Series) -> str:
    observed = column.dropna()
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        return "it holds dates or times"
    if column.dtype != object:
        return ""
    if observed.empty:
        return "it is empty"
    if all(isinstance(value, str) for value in observed):
        if len(observed) >= IDENTIFIER_ROWS and observed.is_unique:
            return "it holds text that differs in every row, as an identifier does"
    elif not all(isinstance(value, bool | np.bool_) for value in observed):
        kinds = sorted({type(value).__name__ for value in observed})
        return f"it holds {' and '.join(kinds)} values, neither numbers nor text"
    return ""


def _typed(column: pd.Series, label: str, name: str) -> pd.Series:
    column = column.reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if (
        column.dtype == object
        or pd.api.types.is_string_dtype(column.dtype)
        or pd.api.types.is_bool_dtype(column)
    ):
        return column.astype("category")
    if pd.api.types.is_extension_array_dtype(column.dtype):
        column = pd.Series(
            column.to_numpy(dtype="float64" if column.hasnans else column.dtype.name.lower(), na_value=np.nan)
        )
    if column.dtype.kind == "f" and np.isinf(column.to_numpy()).any():
        row = int(np.isinf(column.to_numpy()).argmax())
        raise ValueError(
            f"{name}, column {label!r}, row {row + 1}: infinite value; replace it or leave it empty"
        )
    return column
