"""What a column of text means: numbers, dates or words, and how a fill is written there.

The work is done on distinct cells, so that a million rows of five words cost as little as they should.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orchestrator.impute.missing import Missing

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
DECIMAL_COMMA = r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$"
WHOLE = r"^[+-]?\d+$"
CODE = r"^[+-]?0\d+$"
THOUSANDS = "^[+-]?\\d{1,3}([,'\u00a0\u202f ]\\d{3})+(\\.\\d+)?$"
LONGEST_NUMBER = 15
"""Digits that float64 holds without loss."""

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
DAYS_IN_WORDS = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f")
PATTERNS = tuple(day + time for day in (*DAYS, *DAYS_IN_WORDS) for time in TIMES)
LOOKS_LIKE_A_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[- ][A-Za-z]{3,}[- ]\d{4}|[A-Za-z]{3,} \d"
)
ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")

NS = {"day": 86_400 * 10**9, "minute": 60 * 10**9, "second": 10**9, "fraction": 1}
"""Nanoseconds of a step."""


@dataclass(frozen=True)
class Form:
    """How the cells of a column are written."""

    decimals: int | None = None
    """Digits behind the point; None where they are written in another way, such as 1e-3."""
    comma: bool = False
    """Whether the decimal sign is a comma."""
    pattern: str = ""
    """Of dates, as `strftime` takes it."""

    def write(self, values: NDArray) -> list[str]:
        """The text of numbers, shape (n,), or of datetime64 values."""
        if self.pattern:
            return pd.DatetimeIndex(values).strftime(self.pattern).tolist()
        if self.decimals is None:
            texts = [repr(value) for value in values.tolist()]
        else:
            rounded = np.round(values.astype(float), self.decimals) + 0.0  # no -0.0
            texts = [f"{value:.{self.decimals}f}" for value in rounded.tolist()]
        return [text.replace(".", ",") for text in texts] if self.comma else texts

    @property
    def step(self) -> int:
        """Nanoseconds between two dates that are written differently."""
        return date_step(self.pattern)


@dataclass(frozen=True)
class Content:
    """What a column holds."""

    kind: str
    """"number", "date", "boolean", "words", or "other" for what cannot be filled."""
    values: NDArray
    """Shape (n,): float64 with NaN at holes, datetime64 with NaT, or codes into `levels` with -1."""
    levels: tuple[Any, ...]
    """The distinct words in order, blanks around them removed; none of a number or date."""
    holes: NDArray[np.bool_]
    markers: dict[str, int]
    """How often each marker was met."""
    form: Form = field(default_factory=Form)
    note: str = ""
    """What the user should know of it."""
    written: bool = False
    """Whether it is text, and a fill is to be written as text."""


def understand(cells: pa.Array, missing: Missing, column: str, *, decimal: str = ".") -> Content:
    """What the text of a column means.

    Parameters
    ----------
    cells
        Arrow strings, shape (n,), null where there is no cell.
    missing
        What stands for a hole.
    column
        Its name.
    decimal
        The decimal sign, "." or ",".
    """
    cells = pc.dictionary_encode(cells)
    words = pc.utf8_trim_whitespace(cells.dictionary.cast(pa.string()))
    distinct = _Distinct(words, cells.indices.fill_null(-1).to_numpy(zero_copy_only=False))
    marks = pc.or_(
        pc.is_in(words, pa.array(sorted(missing.words(column)), pa.string())),
        _are_among(pc.replace_substring(words, decimal, "."), missing.numbers(column)),
    )
    numeric = pc.match_substring_regex(words, NUMBER if decimal == "." else DECIMAL_COMMA)
    loose = pc.or_(marks, pc.is_in(words, pa.array(sorted(missing.among_numbers()), pa.string())))
    content = pc.filter(words, pc.invert(loose))
    if len(content) and pc.all(pc.or_(numeric, loose)).as_py() and not _is_code(content):
        return _numbers(distinct, loose, _number_form(content, decimal))
    note = ""
    if len(content) and LOOKS_LIKE_A_DATE.match(content[0].as_py()):
        dates, form, note = read_dates(content.to_pylist())
        if dates is not None:
            values = np.full(len(words), np.datetime64("NaT", "ns"))
            values[~_bools(loose)] = dates
            return distinct.rows("date", values, np.datetime64("NaT", "ns"), loose, form=form)
    kept = pc.invert(marks)
    note = note or _note(pc.filter(words, kept), pc.filter(numeric, kept))
    return _words(distinct, marks, note)


@dataclass(frozen=True)
class _Distinct:
    """The distinct cells of a column."""

    words: pa.Array
    codes: NDArray[np.int64]
    """Of each row the place of its cell among `words`, -1 where it is null."""

    def rows(
        self,
        kind: str,
        values: NDArray,
        none: object,
        marks: pa.Array,
        levels: tuple[str, ...] = (),
        form: Form | None = None,
        note: str = "",
    ) -> Content:
        """From `values` of the distinct cells, of which `marks` are holes, to those of all rows."""
        marked = _bools(marks)
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))
        markers: dict[str, int] = {}
        for code in np.flatnonzero(marked):
            word = self.words[int(code)].as_py()
            markers[word] = markers.get(word, 0) + int(counts[code])
        values = np.append(values, np.array([none], dtype=values.dtype))[self.codes]
        holes = np.append(marked, True)[self.codes]
        return Content(kind, values, levels, holes, markers, form or Form(), note, written=True)


def _numbers(distinct: _Distinct, marks: pa.Array, form: Form) -> Content:
    plain = pc.replace_substring(distinct.words, ",", ".") if form.comma else distinct.words
    numbers = pc.cast(pc.if_else(marks, None, pc.utf8_ltrim(plain, "+")), pa.float64())
    return distinct.rows("number", numbers.to_numpy(zero_copy_only=False), np.nan, marks, form=form)


def _words(distinct: _Distinct, marks: pa.Array, note: str) -> Content:
    words = pc.if_else(marks, None, distinct.words).to_pylist()
    levels = sorted({word for word in words if word is not None})
    place: dict[str | None, int] = {word: code for code, word in enumerate(levels)}
    codes = np.array([place.get(word, -1) for word in words], dtype=np.int64)
    return distinct.rows("words", codes, -1, marks, tuple(levels), note=note)


def read_dates(words: Sequence[str], pattern: str = "") -> tuple[NDArray | None, Form, str]:
    """Dates as datetime64[ns], how they are written, and what kept them from being understood.

    Parameters
    ----------
    words
        Distinct cells, none of them a hole.
    pattern
        As `strptime` takes it; by default that which all cells follow, if there is one alone.
    """
    zones = {found.group() if (found := ZONE.search(word)) and ":" in word else "" for word in words}
    zone = zones.pop() if len(zones) == 1 else ""
    plain = pd.Series([word.removesuffix(zone) for word in words], dtype=object)
    read: dict[str, NDArray] = {}
    for candidate in [pattern] if pattern else PATTERNS:
        if not pattern and _dates(plain.head(20), candidate) is None:
            continue
        dates = _dates(plain, candidate)
        if dates is not None:
            read[candidate] = dates
    if not read:
        return None, Form(), ""
    first, *others = read
    for other in others:
        if not np.array_equal(read[first], read[other]):
            return None, Form(), f"dates that read as {first} and as {other} alike: say which by date:{first}"
    return read[first], Form(pattern=first + zone.replace("%", "%%")), ""


def as_dates(content: Content, pattern: str) -> Content | None:
    """Words or whole numbers as dates that `pattern` describes; None if one of them is none."""
    if content.kind == "number":
        distinct, codes = np.unique(content.values[~content.holes], return_inverse=True)
        words: Sequence[Any] = [f"{number:.0f}" for number in distinct]
    else:
        used, codes = np.unique(content.values[~content.holes], return_inverse=True)
        words = [content.levels[code] for code in used]
    if not all(isinstance(word, str) for word in words):
        return None
    dates, form, _ = read_dates(words, pattern)
    if dates is None:
        return None
    values = np.full(len(content.holes), np.datetime64("NaT", "ns"))
    values[~content.holes] = dates[codes]
    return replace(content, kind="date", values=values, levels=(), form=form, note="")


def date_step(pattern: str) -> int:
    """Nanoseconds between two dates that `pattern` writes differently.

    >>> date_step("%Y-%m-%d") == NS["day"]
    True
    """
    for sign, unit in (("%f", "fraction"), ("%S", "second"), ("%M", "minute")):
        if sign in pattern:
            return NS[unit]
    return NS["day"]


def _dates(words: pd.Series, pattern: str) -> NDArray | None:
    try:
        return pd.to_datetime(words, format=pattern).to_numpy(dtype="datetime64[ns]")
    except (ValueError, TypeError):
        return None


def _are_among(words: pa.Array, numbers: Sequence[float]) -> pa.Array:
    """Which words are one of `numbers`, however written."""
    plain = pc.if_else(pc.match_substring_regex(words, NUMBER), pc.utf8_ltrim(words, "+"), None)
    values = pc.add(pc.cast(plain, pa.float64()), 0.0)  # -0 is 0
    return pc.is_in(values, pa.array(numbers, pa.float64()))


def _is_code(content: pa.Array) -> bool:
    """Whether digits are names: they begin with 0, or are more than a float64 can tell apart."""
    whole = pc.match_substring_regex(content, WHOLE)
    codes = pc.match_substring_regex(content, CODE)
    long = pc.and_(whole, pc.greater(pc.utf8_length(content), LONGEST_NUMBER + 1))
    return bool(pc.all(whole).as_py() and pc.any(pc.or_(codes, long)).as_py())


def _number_form(content: pa.Array, decimal: str) -> Form:
    point = pc.find_substring(content, decimal)
    comma = decimal == "," and bool(pc.any(pc.greater_equal(point, 0)).as_py())
    if pc.any(pc.match_substring_regex(content, "[eE]")).as_py():
        return Form(None, comma)
    digits = pc.subtract(pc.subtract(pc.utf8_length(content), point), 1)
    return Form(pc.max(pc.if_else(pc.greater_equal(point, 0), digits, 0)).as_py() or 0, comma)


def _note(content: pa.Array, numeric: pa.Array) -> str:
    """Of words that are nearly numbers: `numeric` says which are numbers."""
    n_words, n_numbers = len(content), pc.sum(numeric).as_py() or 0
    if n_numbers == n_words:
        return ""
    odd = pc.filter(content, pc.invert(numeric))
    if pc.all(pc.match_substring_regex(odd, THOUSANDS)).as_py():
        return f"{odd[0].as_py()!r} and others have thousands separators: without them, these are numbers"
    if pc.all(pc.match_substring_regex(content, DECIMAL_COMMA)).as_py():
        return f"{odd[0].as_py()!r} and others have a decimal comma: with --decimal , these are numbers"
    if n_numbers > n_words / 2:
        listed = ", ".join(map(repr, odd.to_pylist()[:3])) + (" ..." if len(odd) > 3 else "")
        return f"numbers beside words ({listed}): if those stand for a hole, name them with --missing"
    return ""


def _bools(flags: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(flags.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
