"""Read what a sweep wrote: its records and its manifest."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.parts import decoded, read
from analysis.schema import COLUMNS, METRICS

STRING = pd.StringDtype("pyarrow", na_value=np.nan)
"""Text as Arrow keeps it: a million names are no million Python objects, and are grouped times faster."""


STANDARD = ("mae", "rmse", "wasserstein", "accuracy")
"""Scores that every trial is asked for."""

NO_SPLIT = "in_sample"
"""Where a trial that failed before it scored anything stands: where it is looked for."""


class NoRecordsError(ValueError):
    """A folder holds no record to analyse."""


def load(directory: str | Path) -> pd.DataFrame:
    """All records of a sweep, one row for each trial and split.

    Parameters
    ----------
    directory
        The sweep's folder; records are its ``records/*.parquet``, of one trial or of many each.

    Returns
    -------
    pandas.DataFrame
        The columns of `analysis.schema.COLUMNS`, then any others that the parts hold, then ``label``: the
        name under which tables and plots show a method with its parameters (`labels`). Null numbers are NaN;
        text is of dtype `STRING`, with NaN for null. Rows are sorted, so the result does not depend on the
        order of the files.

    Raises
    ------
    NoRecordsError
        If there is no readable record.

    Warns
    -----
    UserWarning
        For each part that cannot be read or whose checksums are wrong (it is skipped); if a trial and split
        occur more than once with other content (the first that succeeded is kept, else the first); and if
        trials differ only in the scores they were asked for or in versions (the latest success is kept, and
        of those that agree the one with the most scores).
    """
    folder = Path(directory) / "records"
    parts = sorted(part for part in folder.glob("*.parquet") if not part.name.startswith((".", "_")))
    if not parts:
        raise NoRecordsError(f"no records in {folder}: it holds no *.parquet; has the sweep been run there?")
    table = read(parts)
    if table is None or not table.num_rows:
        raise NoRecordsError(f"no records in {folder}: none of its {len(parts)} parts holds a readable row")
    table = _unique(table, folder)
    table = decoded(table.take(pa.array(_best(table, _places(table), folder))))
    records = table.to_pandas(types_mapper={pa.string(): STRING}.get, split_blocks=True, self_destruct=True)
    # In place: the frame is new, and with a million rows each copy of it costs most of a second.
    records["params"] = records["params"].fillna("{}")
    records["split"] = records["split"].fillna(NO_SPLIT)
    records["label"] = labels(records)
    return records


def load_manifest(directory: str | Path) -> dict[str, Any]:
    """What the sweep said of itself in ``sweep.json``; empty where there is none.

    Raises
    ------
    ValueError
        If the file is not a JSON object.
    """
    path = Path(directory) / "sweep.json"
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); remove it and the report does without"
        ) from error
    if not isinstance(manifest, dict):
        raise ValueError(f"{path} holds a {type(manifest).__name__}, not an object; remove it")
    return manifest


def labels(records: pd.DataFrame) -> pd.Series:
    """The name of each row's method, with its parameters only where they tell two apart.

    A method that occurs with one set of parameters is called by its name; otherwise the parameters in which
    its variants differ follow in brackets, as in ``newimp (lambda_=0)``.

    Parameters
    ----------
    records
        At least the columns ``method`` and ``params`` (canonical JSON; null means none).

    Returns
    -------
    pandas.Series
        Strings, aligned with `records`.
    """
    method_codes, methods = pd.factorize(records["method"])
    params_codes, texts = pd.factorize(records["params"].fillna("{}"))
    # One number for each pair, so that a million rows are named by a few look-ups.
    pair_codes, pairs = pd.factorize(method_codes * max(len(texts), 1) + params_codes)
    variants: dict[str, list[tuple[int, str]]] = {}
    for index, pair in enumerate(pairs):
        method, text = divmod(int(pair), max(len(texts), 1))
        variants.setdefault(str(methods[method]), []).append((index, str(texts[text])))
    names = [""] * len(pairs)
    for method_name, held in variants.items():
        chosen = {index: parameters(text) for index, text in held}
        keys = sorted(set().union(*chosen.values()))
        differing = [key for key in keys if len({_value(params, key) for params in chosen.values()}) > 1]
        for index, params in chosen.items():
            told = [f"{key}={_value(params, key)}" for key in differing if key in params]
            names[index] = f"{method_name} ({', '.join(told)})" if told else method_name
    named = pa.DictionaryArray.from_arrays(pair_codes, pa.array(names, pa.string())).cast(pa.string())
    return pd.Series(pd.array(named, dtype=STRING), index=records.index, name="label")


def labelled(records: pd.DataFrame) -> pd.DataFrame:
    """`records` as every analysis takes them: with the contract's columns, numbers as numbers, and ``label``.

    A frame from `load` comes back as it is. One made in memory, say from the records of a sweep that still
    runs, may lack columns and may hold ``None`` for numbers.
    """
    if "label" in records:
        return records
    absent = [name for name in COLUMNS if name not in records]
    whole = records.reindex(columns=[*records.columns, *absent])
    numbers = [
        name
        for name, kind in COLUMNS.items()
        if (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and whole[name].dtype == object
    ]
    whole = whole.assign(**{name: pd.to_numeric(whole[name]) for name in numbers})
    return whole.assign(split=whole["split"].fillna(NO_SPLIT), label=labels(whole))


def parameters(text: str | None) -> dict[str, Any]:
    """The parameters of a record; text that is no JSON object is kept as one opaque parameter."""
    try:
        params = json.loads(text or "{}")
    except json.JSONDecodeError:
        params = text
    return params if isinstance(params, dict) else {"params": params}


def _value(params: Mapping[str, Any], key: str) -> str:
    value = params.get(key)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _unique(table: pa.Table, folder: Path) -> pa.Table:
    """One row for each trial and split: of several the first that succeeded, else the first.

    A sweep that merged its parts and was killed before it removed them left some rows twice: no surplus.
    """
    if pc.count_distinct(table["trial_key"]).as_py() == table.num_rows:
        return table
    key = _ranks(table["trial_key"]) * 1000 + _ranks(table["split"])
    finished = _ranks(table["finished_at"])
    worse = ~pc.equal(table["status"], "ok").to_numpy()
    order = np.lexsort((finished, worse, key))
    again, as_late, as_bad = (
        np.append(False, values[order][1:] == values[order][:-1]) for values in (key, finished, worse)
    )
    copy = again & as_late & as_bad
    surplus = int(again.sum() - copy.sum())
    if surplus:
        warnings.warn(
            f"{folder} holds {surplus} surplus rows of trials recorded twice; kept the first success",
            stacklevel=3,
        )
    return table.take(pa.array(np.sort(order[~again])))


def _places(table: pa.Table) -> np.ndarray:
    """A number for each row that sorts it by what it is a result of; equal for results of the same."""
    place, room = np.zeros(table.num_rows, dtype=np.int64), 1
    for key in ("dataset", "mechanism", "ratio", "method", "params", "mask_seed", "split", "protocol"):
        ranks = _ranks(table[key])
        size = int(ranks.max(initial=0)) + 1
        if room * size > 2**62:
            distinct, place = np.unique(place, return_inverse=True)
            room = len(distinct)
        # One number in place of eight keys: its digits are their ranks.
        place, room = place * size + ranks, room * size
    return place


def _best(table: pa.Table, place: np.ndarray, folder: Path) -> np.ndarray:
    """Indices of the row to take for each place, in order.

    Trials of the same place have different keys where one was asked for more scores, or where the data, the
    method or the metrics changed between them. A success stands before a failure, and the latest results
    before others; of rows that agree in the standard scores the one with the most scores stands.
    """
    order = np.argsort(place, kind="stable")
    again = np.append(False, place[order][1:] == place[order][:-1])
    if not again.any():
        return order
    several = np.flatnonzero(np.isin(place, place[order][again]))
    part = decoded(table.take(pa.array(several))).to_pandas()
    part = part.assign(place=place[several], bad=part["status"].ne("ok"), index=several)
    part["scores"] = -part[list(METRICS)].notna().sum(axis=1)
    part = part.sort_values(["finished_at", "index"], ascending=False, kind="stable")
    part = part.sort_values(["place", "bad"], kind="stable")
    latest = part.drop_duplicates("place").set_index("place")[list(STANDARD)]
    beside = latest.loc[part["place"]].to_numpy(float)
    part["old"] = ~np.isclose(part[list(STANDARD)].to_numpy(float), beside, equal_nan=True).all(axis=1)
    best = part.sort_values(["place", "bad", "old", "scores"], kind="stable").drop_duplicates("place")
    warnings.warn(
        f"{folder} holds {int(again.sum())} rows of trials recorded again with other scores, data or "
        "versions; kept the latest results, and of those that agree the row with the most scores",
        stacklevel=3,
    )
    left = np.setdiff1d(several, best["index"])
    return order[~np.isin(order, left)]


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """For each value its place among the distinct ones, nulls last."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    place = np.empty(len(order) + 1, dtype=np.int64)
    place[order] = np.arange(len(order))
    place[-1] = len(order)
    return place[pc.fill_null(encoded.indices, len(order)).to_numpy(zero_copy_only=False)]
