"""Delimited text: how a file is written, its cells, and writing it back with only the holes changed.

A cell is what stands between two separators. One that begins with a double quote goes on until the quote that
is not doubled, and may hold separators and line ends. Empty lines are no rows.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import functools
import gzip
import io
import itertools
import lzma
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.sweep import RequestError

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}
COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SAMPLE_ROWS = 100
CHUNK = 1 << 22
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Dialect:
    """How a file of delimited text is written."""

    separator: str
    encoding: str
    header: bool
    """Whether the first row names the columns."""
    notes: tuple[str, ...] = ()
    """What was inferred and should be said."""


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content, decompressed by its ending."""
    stream: IO[bytes] = COMPRESSED.get(path.suffix.casefold(), Path.open)(path, "rb")
    return stream


def sniff(
    path: Path, *, separator: str | None = None, encoding: str | None = None, header: bool | None = None
) -> Dialect:
    """How the file is written; what is given is taken as it is, and the rest inferred.

    Raises
    ------
    RequestError
        If the file is empty, no text, or not in `encoding`; if the separator cannot be right; if the first
        row cannot be told to be names or data.
    """
    if separator is not None and len(separator) != 1:
        raise RequestError(f"--sep {separator!r} is not one character, such as ; or tab")
    encoding, notes = _encoding(path, encoding)
    head = _head(path, encoding, separator or ",")
    if separator is None:
        heads = {sign: _head(path, encoding, sign) for sign in SEPARATORS}
        separator = max(SEPARATORS, key=lambda sign: _agreement(heads[sign], sign))
        head = heads[separator]
        if separator != ",":
            notes.append(f"separated by {NAMES[separator]}s")
    rows = [plain(split(line, separator)) for line in head]
    if len(rows[0]) == 1:
        _refuse_wrong_separator(path, head, separator)
    if header is None:
        _refuse_data_as_names(path, rows)
    return Dialect(separator, encoding, header is not False, tuple(notes))


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """The file's text, line ends as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding, newline="")


def records(text: IO[str], separator: str) -> Iterator[str]:
    """The rows of a file as they stand there, line ends included, without the empty lines."""
    return (line for line, is_row in pieces(text, separator) if is_row)


def pieces(text: IO[str], separator: str) -> Iterator[tuple[str, bool]]:
    """All there is in a file, and whether each piece is a row."""
    held = ""
    for line in text:
        if not held and line.startswith("\ufeff"):
            yield "\ufeff", False
            line = line[1:]
        held = held + line if held else line
        if '"' in held and not _row(separator).fullmatch(held):
            continue
        yield held, bool(held.strip("\r\n"))
        held = ""
    if held:
        yield held, True


def split(record: str, separator: str) -> list[str]:
    """The cells of a row as they are written, quotes and blanks included, without the line end.

    >>> split('a,"b, c",', ",")
    ['a', '"b, c"', '']
    """
    record = record.rstrip("\r\n")
    if '"' not in record:
        return record.split(separator)
    return [cell for cell, _ in _cells(separator).findall(record)]


def plain(cells: list[str]) -> list[str]:
    """What cells say: without quotes and blanks around them.

    >>> plain([' x', '"a, b"'])
    ['x', 'a, b']
    """
    return [
        (cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell).strip()
        for cell in cells
    ]


def refilled(cell: str, fill: str, separator: str) -> str:
    """A cell with other content: blanks around it stay, quotes where there were some or must be.

    >>> refilled(' ?', 'Private', ',')
    ' Private'
    """
    quoted = cell.startswith('"')
    if quoted or separator in fill or '"' in fill or "\n" in fill or "\r" in fill:
        return '"' + fill.replace('"', '""') + '"'
    bare = cell.strip(" ")
    if not bare:
        return fill
    before, _, after = cell.partition(bare)
    return before + fill + after


def _encoding(path: Path, asked: str | None) -> tuple[str, list[str]]:
    with open_bytes(path) as stream:
        start = stream.read(CHUNK)
    if not start:
        raise RequestError(f"{path} is empty: it holds no byte")
    marked = next((name for bom, name in BOMS if start.startswith(bom)), None)
    if asked is None and marked is None and b"\0" in start:
        raise RequestError(f"{path} is no text: it holds null bytes; for UTF-16 say --encoding utf-16-le")
    if asked is not None:
        try:
            asked = codecs.lookup(asked).name
        except LookupError:
            raise RequestError(f"--encoding {asked!r} is unknown; such as utf-8, latin-1, cp1252") from None
        wrong = _first_wrong(path, asked)
        if wrong:
            raise RequestError(f"{path}, line {wrong}: not {asked}; leave --encoding out to have it inferred")
        return asked, []
    if marked and not _first_wrong(path, marked):
        return marked, [] if marked == "utf-8" else [f"encoded as {marked}"]
    wrong = _first_wrong(path, "utf-8")
    if not wrong:
        return "utf-8", []
    encoding = "latin-1" if _first_wrong(path, "cp1252") else "cp1252"
    return encoding, [f"line {wrong} is not UTF-8: read as {encoding}; if letters look wrong, say --encoding"]


def _first_wrong(path: Path, encoding: str) -> int:
    """The line with the first byte that is not in this encoding; 0 if there is none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with open_bytes(path) as stream:
        while True:
            chunk = stream.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return line + chunk.count(b"\n", 0, error.start)
            if not chunk:
                return 0
            line += chunk.count(b"\n")


def _head(path: Path, encoding: str, separator: str) -> list[str]:
    with open_text(path, encoding) as text:
        head = list(itertools.islice(records(text, separator), SAMPLE_ROWS))
    if not head:
        raise RequestError(f"{path} holds no row: a table needs a header line and rows")
    return head


def _agreement(head: list[str], separator: str) -> tuple[float, int]:
    """Share of the rows with as many cells as the first, and these cells; nothing for a single cell."""
    counts = [len(split(line, separator)) for line in head]
    return (counts.count(counts[0]) / len(counts), counts[0]) if counts[0] > 1 else (0.0, 1)


def _refuse_wrong_separator(path: Path, head: list[str], separator: str) -> None:
    others = [sign for sign in SEPARATORS if sign != separator]
    counts = {sign: min(len(split(line, sign)) for line in head[:10]) for sign in others}
    best = max(others, key=lambda sign: counts[sign])
    if counts[best] > 1:
        raise RequestError(
            f"{path} has one column by {separator!r}, and {counts[best]} by {best!r}: say --sep {best!r}"
        )


def _refuse_data_as_names(path: Path, rows: list[list[str]]) -> None:
    """A first row of data taken for names would be lost."""
    first = rows[0]
    if first == [str(place) for place in range(len(first))] or first[1:] == [
        str(place) for place in range(len(first) - 1)
    ]:
        return  # a DataFrame without names
    odd = [cell for cell in first if re.fullmatch(r"[+-]?(\d*\.\d+|\d+)|\?", cell) and not _is_year(cell)]
    twice = [cell for cell, count in Counter(first).items() if count > 1 and cell]
    if odd and (twice or len(odd) > len(first) / 4):
        raise RequestError(
            f"{path}: the first line looks like data, not like column names (it holds {odd[0]!r}): say"
            " --header no, with --names A,B,... to name the columns, or --header yes if these are their names"
        )


def _is_year(cell: str) -> bool:
    return bool(re.fullmatch(r"(1[5-9]|20)\d\d", cell))


@functools.cache
def _cells(separator: str) -> re.Pattern[str]:
    sign = re.escape(separator)
    return re.compile(rf'(?:\A|(?<={sign}))((?:"(?:[^"]|"")*+")?[^{sign}]*)({sign}|\Z)')


@functools.cache
def _row(separator: str) -> re.Pattern[str]:
    """Cells none of whose quotes are open."""
    sign = re.escape(separator)
    cell = rf'(?:"(?:[^"]|"")*+"[^{sign}]*+|[^"{sign}][^{sign}]*+|)'
    return re.compile(rf"{cell}(?:{sign}{cell})*+")


def quoted(value: str, separator: str) -> str:
    """A cell of a new file."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow([value])
    return out.getvalue()
