"""Tables by name: the catalogued ones, and a user's own files.

A catalogued table is parsed once for each machine. The parsed copy lies in the cache as an Arrow file named
after the fingerprint, with the SHA-256 of its content in front; a copy that does not match it is made anew.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from datasets import files, mimic, openml, userfile
from datasets.catalog import ENTRIES
from datasets.entry import Entry, Origin
from datasets.naming import UnknownNameError
from datasets.readers import as_category
from datasets.table import DatasetInfo, Table

_CATALOG = {entry.info.name: entry for entry in ENTRIES}
_ALIASES = {entry.info.short: entry.info.name for entry in ENTRIES if entry.info.short} | {"wine": "wine_red"}
_NAMES = (*_CATALOG, mimic.NAME)
_FOLDED = {name.casefold(): name for name in _NAMES} | {a.casefold(): n for a, n in _ALIASES.items()}

CACHE_FORMAT = 1
_DIGEST_BYTES = 64


@dataclass(frozen=True)
class _Elsewhere:
    """Where tables come from that no catalog entry can pin: functions of a canonical name."""

    load: Callable[[str], Table]
    fingerprint: Callable[[str], str]
    files: Callable[[str], list[Path]]


_USER_FILE = _Elsewhere(
    load=userfile.load,
    fingerprint=lambda name: userfile.fingerprint(Path(name)),
    files=lambda name: [Path(name)],
)
_OPENML = _Elsewhere(openml.load, openml.fingerprint, openml.fetch)
_MIMIC = _Elsewhere(lambda name: mimic.load(), lambda name: mimic.fingerprint(), lambda name: mimic.files())


def _elsewhere(name: str) -> _Elsewhere:
    if name == mimic.NAME:
        return _MIMIC
    return _OPENML if openml.canonical(name) else _USER_FILE


def names() -> tuple[str, ...]:
    """Canonical names of the catalogued tables: NewImp's eight, DiffPuter's, MissDiff's, others."""
    return _NAMES


def aliases() -> dict[str, str]:
    """Short forms and the canonical names that they stand for."""
    return dict(_ALIASES)


def resolve(name: str) -> str:
    """The canonical name of a table.

    Parameters
    ----------
    name : str
        A catalogued name or a short form, in any case; ``openml:<id>``; or the path of a CSV or Parquet file,
        which is its own name.

    Raises
    ------
    UnknownNameError
        When it is none of these; the message names the nearest valid names.

    Examples
    --------
    >>> resolve("BCD"), resolve("Wine")
    ('breast_cancer', 'wine_red')
    """
    name = str(name)
    known = _FOLDED.get(name.casefold())
    if known is not None:
        return known
    numbered = openml.canonical(name)
    if numbered is not None:
        return numbered
    if userfile.is_path(name):
        if Path(name).is_file():
            return name
        raise UnknownNameError("dataset", name, names(), hint="there is no file at this path")
    raise UnknownNameError("dataset", name, (*names(), *_ALIASES))


def info(name: str) -> DatasetInfo:
    """What is known of a table; no data of a catalogued one is read, others are for their counts."""
    name = resolve(name)
    entry = _CATALOG.get(name)
    if entry is not None:
        return _described(entry, _choose(entry))
    return mimic.INFO if name == mimic.NAME else load(name).info


def fetch(name: str) -> list[Path]:
    """Make a table's raw files present and verified.

    Returns
    -------
    list of Path
        The files; none for a table that comes with scikit-learn.

    Raises
    ------
    FetchError
        When a file cannot be had, or is not the one that the catalog names.
    """
    name = resolve(name)
    entry = _CATALOG.get(name)
    return files.fetch_sources(_choose(entry).sources) if entry else _elsewhere(name).files(name)


def fingerprint(name: str) -> str:
    """Hash of what determines a table, without loading it.

    For a catalogued table: the pinned checksums of the official files and the version of their reading, the
    same whichever origin the values come by; a partial origin has its own. For a user's file: the SHA-256 of
    its bytes.

    Returns
    -------
    str
        64 hex digits.
    """
    name = resolve(name)
    entry = _CATALOG.get(name)
    return _fingerprint(entry, _choose(entry)) if entry else _elsewhere(name).fingerprint(name)


def load(name: str) -> Table:
    """A table, fetched and parsed where that has not been done before.

    Parameters
    ----------
    name : str
        As :func:`resolve` takes it.

    Returns
    -------
    Table
        Its frame belongs to the caller, who may change it.

    Raises
    ------
    UnknownNameError
        When there is no such table.
    FetchError
        When a raw file cannot be had, or is not the one that the catalog names.
    ValueError
        When a user's file does not hold a table; the message names file, column or line, and the remedy.
    """
    name = resolve(name)
    entry = _CATALOG.get(name)
    if entry is None:
        return _elsewhere(name).load(name)
    origin = _choose(entry)
    digest = _fingerprint(entry, origin)
    frame = _parsed_once(digest, lambda: _typed(entry, origin))
    about = _described(entry, origin)
    target = frame.pop(about.target) if about.target else None
    return Table(about.name, frame, target, about, digest, identity=about.name)


def content_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of numeric values to nine decimals: what pins a table that has no raw file of its own."""
    values = np.round(frame.to_numpy("<f8"), 9) + 0.0
    return files.sha256(np.ascontiguousarray(values).tobytes())


def _choose(entry: Entry) -> Origin:
    """The origin to take: a whole one at hand, else a partial one in the mirror, else the official."""
    whole = [origin for origin in entry.origins if origin.partial_rows is None]
    partial = [origin for origin in entry.origins if origin.partial_rows is not None]
    for place in (files.in_cache, files.in_mirror):
        for origin in whole:
            if all(place(source) for source in origin.sources):
                return origin
    for origin in partial:
        if all(files.in_mirror(source) for source in origin.sources):
            return origin
    return entry.origins[0]


def _fingerprint(entry: Entry, origin: Origin) -> str:
    pinned = origin if origin.partial_rows is not None else entry.origins[0]
    parts = [
        entry.info.name,
        str(entry.version),
        pinned.content,
        *(source.sha256 for source in pinned.sources),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _described(entry: Entry, origin: Origin) -> DatasetInfo:
    about = replace(entry.info, sources=origin.sources)
    if origin.partial_rows is not None:
        about = replace(about, rows=origin.partial_rows, partial=True)
    return replace(about, notes=(origin.note, *about.notes)) if origin.note else about


def _typed(entry: Entry, origin: Origin) -> pd.DataFrame:
    """Features and, last, the target of an entry, parsed from its raw files."""
    raw = origin.read(files.fetch_sources(origin.sources))
    frame = raw.iloc[:, list(entry.features)].copy()
    if origin.content and (found := content_hash(frame)) != origin.content:
        raise files.FetchError(
            f"{entry.info.name}: the values hash to {found}, not to the catalog's {origin.content}; install a"
            " scikit-learn and numpy as in pyproject.toml"
        )
    for position in entry.discrete:
        column = str(raw.columns[position])
        frame[column] = as_category(raw[column])
    if entry.target is not None:
        frame[entry.info.target] = raw.iloc[:, entry.target]
    return frame


def _parsed_once(digest: str, parse: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """A frame from its parsed copy in the cache, which is made where it is not there or damaged.

    The copy saves time and nothing else: where the cache cannot be written, the frame is parsed each time.
    """
    path = files.cache_dir() / "parsed" / f"{digest}.{CACHE_FORMAT}.arrow"
    frame = _read_parsed(path)
    if frame is not None:
        return frame
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        return parse()
    with FileLock(f"{path}.lock"):
        frame = _read_parsed(path)
        if frame is None:
            frame = parse()
            _write_parsed(path, frame)
    return frame


def _read_parsed(path: Path) -> pd.DataFrame | None:
    from pyarrow import BufferReader, ipc, py_buffer

    try:
        data = memoryview(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if bytes(digest) != files.sha256(body).encode():
        return None
    return ipc.open_file(BufferReader(py_buffer(body))).read_all().to_pandas(use_threads=False)


def _write_parsed(path: Path, frame: pd.DataFrame) -> None:
    import pyarrow as pa

    table = pa.Table.from_pandas(frame)
    stream = BytesIO()
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    body = stream.getvalue()
    # The 64 digits keep Arrow's buffers at their 64-byte alignment.
    files.write_atomically(path, files.sha256(body).encode() + body)
