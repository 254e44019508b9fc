"""A fingerprint of results: equal results have the same, whoever computed them, when and where."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from analysis.schema import IDENTITY, METRICS


def results_hash(records: pd.DataFrame) -> str:
    """A fingerprint of the results alone.

    SHA-256 over what was asked and what came out: identity, status, masks and scores of every row. Times,
    machines, attempts, error texts and the order of the rows leave it as it is; any score that moves changes
    it.
    """
    # What is null is left out, so that a score that did not exist yet changes nothing.
    told = [name for name in (*IDENTITY, "status", "n_missing", "mask_hash", *METRICS) if name in records]
    columns = [_entries(name, records[name]) for name in told if records[name].notna().any()]
    lines = sorted("{" + ", ".join(filter(None, row)) + "}" for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _entries(name: str, column: pd.Series) -> list[str]:
    """A column as the entries of JSON objects, one a row; empty where it is null.

    >>> _entries("mae", pd.Series([0.25, None]))
    ['"mae": 0.25', '']
    """
    codes, distinct = pd.factorize(column)
    values = [_plain(value) for value in distinct]
    if pd.api.types.is_numeric_dtype(column.dtype):
        told = json.dumps(values)[1:-1].split(", ")  # all at once: a million numbers are a million calls
    else:
        told = [json.dumps(value) for value in values]
    head = f"{json.dumps(name)}: "
    texts = [head + text for text in told]
    texts.append("")  # where the code is -1
    return [texts[code] for code in codes]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
