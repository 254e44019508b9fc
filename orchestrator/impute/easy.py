"""The verb's steps by themselves, for use from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from orchestrator.impute import reading
from orchestrator.impute.missing import Missing
from orchestrator.impute.prepared import prepare

if TYPE_CHECKING:
    from orchestrator.impute.choice import Choice


def read(
    path: str | Path, *, missing: object = None, not_missing: str | Sequence[str] | None = None, **how: Any
) -> pd.DataFrame:
    """A table from a file, its markers of holes (?, NA, -, and those of `missing`) as nulls.

    `how` is what :func:`orchestrator.impute.reading.read` takes: separator, encoding, header, names, decimal,
    sheet; all of it is inferred by default.
    """
    return reading.read(path, missing=Missing.parse(missing, not_missing), **how).table


def choose(
    table: pd.DataFrame | str | Path,
    *,
    kinds: Mapping[str, str] | str | None = None,
    missing: object = None,
    not_missing: str | Sequence[str] | None = None,
    **how: Any,
) -> Choice:
    """Which method suits a table; `how` is what :func:`orchestrator.impute.choice.choose` takes.

    `choose(table).board` has a row for every method.
    """
    from orchestrator.impute.choice import choose as choose_prepared

    frame = (
        table if isinstance(table, pd.DataFrame) else read(table, missing=missing, not_missing=not_missing)
    )
    prepared = prepare(frame, kinds, Missing.parse(missing, not_missing))
    return choose_prepared(prepared.frame, **how)
