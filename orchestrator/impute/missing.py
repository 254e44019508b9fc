"""What stands for a hole: empty cells and null, the usual markers, and what the user adds or takes back."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.sweep import RequestError

_EMPTY = ("", "?", "-", "--")
_NOT_AVAILABLE = ("NA", "na", "N/A", "n/a", "#N/A", "#NA", "<NA>")
_NOT_A_NUMBER = ("NaN", "nan", "NAN", "-nan", "NaT")
MARKERS = frozenset([*_EMPTY, *_NOT_AVAILABLE, *_NOT_A_NUMBER, "NULL", "null", "Null"])
"""Cells that are holes in any column."""

MARKERS_AMONG_NUMBERS = frozenset([".", "..", "*", "x", "X", "None", "none", "missing", "unknown", "Unknown"])
"""Cells that are holes where all others of their column are numbers or dates, and words elsewhere."""


@dataclass(frozen=True)
class Missing:
    """Which cells are holes besides null.

    Parameters
    ----------
    everywhere : frozenset of str
        Further cells that are holes in every column.
    of : mapping of str to frozenset of str
        Further cells that are holes in one column.
    values : frozenset of str
        Markers that are values after all, such as "NA" for Namibia.
    """

    everywhere: frozenset[str] = frozenset()
    of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, missing: object = None, not_missing: str | Iterable[str] | None = None) -> Missing:
        """From what a user wrote.

        Parameters
        ----------
        missing
            Text such as ``"BMI=0,Glucose=0,-999"``; or a mapping of columns to a value or values; or a
            sequence of values for all columns.
        not_missing
            Text such as ``"NA,-"``, or a sequence of such markers.

        >>> Missing.parse("BMI=0,-999").words("BMI") - MARKERS == {"0", "-999"}
        True
        """
        everywhere: set[str] = set()
        of: dict[str, set[str]] = {}
        if isinstance(missing, str):
            for item in items(missing):
                name, equals, value = item.rpartition("=")
                (of.setdefault(name.strip(), set()) if equals else everywhere).add(value.strip())
        elif isinstance(missing, Mapping):
            of = {str(name): set(_texts(values)) for name, values in missing.items()}
        elif missing is not None:
            everywhere = set(_texts(missing))
        values = items(not_missing) if isinstance(not_missing, str) else not_missing or ()
        return cls(
            frozenset(everywhere),
            {name: frozenset(words) for name, words in of.items()},
            frozenset(str(value).strip() for value in values),
        )

    def words(self, column: str) -> frozenset[str]:
        """Cells of this column that are holes whatever else it holds."""
        return (MARKERS - self.values) | self.asked(column)

    def among_numbers(self) -> frozenset[str]:
        """Cells that are holes where all others are numbers or dates."""
        return MARKERS_AMONG_NUMBERS - self.values

    def asked(self, column: str) -> frozenset[str]:
        """Those of them that the user named."""
        return self.everywhere | self.of.get(column, frozenset())

    def numbers(self, column: str) -> list[float]:
        """Those that the user named and that are numbers: a cell of 0.0 is one of "0"."""
        return sorted({number for word in self.asked(column) if (number := _number(word)) is not None})

    def refuse_unknown(self, columns: Iterable[str]) -> None:
        """Raise RequestError if it speaks of a column that is not among `columns`."""
        for name in self.of:
            known_column(name, columns, "--missing")


def items(text: str) -> list[str]:
    """What stands between commas; quotes keep one together.

    >>> items('a, "b, c"=0,')
    ['a', 'b, c=0']
    """
    rows = csv.reader([text], skipinitialspace=True)
    return [item.strip() for row in rows for item in row if item.strip()]


def known_column(name: str, columns: Iterable[str], where: str) -> str:
    """`name`, if it is one of the columns.

    Raises
    ------
    RequestError
        Naming the nearest columns.
    """
    known = {str(column).casefold(): column for column in columns}
    if name in known.values():
        return name
    near = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
    hint = f"did you mean {listed([known[other] for other in near])}?" if near else ""
    raise RequestError(
        f"{where}: unknown column {name!r}; {hint or f'there are {listed(list(known.values()))}'}"
    )


def _texts(values: object) -> list[str]:
    many = values if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    return [str(value).strip() for value in many]


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in quotes, the first ones of many.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
