"""A made-up table, filled, with all that its page tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.filled import Story

ROLES = {
    "id": "identifier",
    "age": "integer",
    "pay <b>": "numeric",
    "since": "date",
    "job": "category",
    "smokes": "boolean",
    "notes": "text",
}


def tables(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table with holes, and the same with all but its text filled."""
    rng = np.random.default_rng(seed)
    whole = pd.DataFrame(
        {
            "id": np.arange(n),
            "age": rng.integers(18, 80, n).astype("float64"),
            "pay <b>": rng.lognormal(10, 1, n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "job": rng.choice(["clerk", "</script><i>smith", "☃"], n),
            "smokes": rng.choice([True, False], n).astype(object),
            "notes": "some text",
        }
    )
    holes = rng.random(whole.shape) < 0.1
    holes[:, 0] = False
    holes[:, 2] = holes[:, 1]
    before = whole.mask(holes)
    after = before.copy()
    for name in [name for name in whole.columns if name != "notes"]:
        after[name] = before[name].where(before[name].notna(), whole[name])
    return before, after


def columns(before: pd.DataFrame, roles=ROLES) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": list(before.columns),
            "role": [roles[name] for name in before.columns],
            "reason": "as made",
            "n_missing": before.isna().sum().to_numpy(),
        }
    )


def board() -> pd.DataFrame:
    rows = [
        ("missforest", "{}", "scored", 1, 5, 400, 0.61, 0.55, 0.68, 0.42, 0.81, 41.0, 900.0, ""),
        ("knn", '{"n_neighbors":10}', "scored", 1, 5, 400, 0.7, 0.63, 0.78, 0.48, 0.79, 3.0, 500.0, ""),
        ("gain", "{}", "dropped", 0, 1, 200, 0.5, None, None, 0.9, 0.5, 20.0, 900.0, "behind four others"),
        ("em", "{}", "skipped", None, None, None, None, None, None, None, None, None, None, "no categories"),
        ("tdm", "{}", "failed", 0, 1, 200, None, None, None, None, None, 2.0, 400.0, "ValueError: <u>bad"),
    ]
    names = ["method", "params", "status", "rung", "n_folds", "n_rows", "error", "error_low", "error_high"]
    made = pd.DataFrame(rows, columns=[*names, "mae", "accuracy", "seconds", "peak_rss_mb", "reason"])
    return made.astype({"rung": "Int64", "n_folds": "Int64", "n_rows": "Int64"})


CHOICE = {
    "metric": "error relative to that of column means and modes, all columns",
    "sure": 0.86,
    "hidden": {"share": 0.05, "entries": 211, "folds": 5, "rows": 400, "assumption": "As hard as real ones."},
}


def spread(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Of every filled entry; the widest by far are `pay <b>` of the last hole and one job."""
    parts = []
    for name in ("age", "pay <b>", "since", "job"):
        rows = before.index[before[name].isna()]
        width = np.linspace(0.1, 0.2, len(rows)) * (1.0 if name == "job" else 10.0)
        width[-1] = {"pay <b>": before["pay <b>"].std() * 5, "job": 0.9}.get(name, width[-1])
        part = pd.DataFrame({"row": rows, "column": name, "spread": width})
        part["value"] = after.loc[rows, name].astype(object).to_numpy()
        part["low"] = part["high"] = None if name == "job" else part["value"]
        parts.append(part.astype(object))
    return pd.concat(parts, ignore_index=True).astype({"spread": float})


def story(**changes) -> Story:
    before, after = tables()
    told = Story(
        name="my <table>.csv",
        command="python -m orchestrator impute 'my <table>.csv' -o filled.parquet",
        seconds=75.3,
        method="missforest",
        why="missforest had the least error, 0.610, before knn with 0.700.",
        columns=columns(before),
        before=before,
        after=after,
        board=board(),
        choice=CHOICE,
        spread=spread(before, after),
        versions={"lacuna": "0", "<x>": "1"},
        warnings=["<em>mind</em> this"],
    )
    return replace(told, **changes)


def of(before: pd.DataFrame, after: pd.DataFrame, roles) -> Story:
    """A story without a choice or draws."""
    return Story("t", "", 1.0, "mean", "it was asked for", columns(before, roles), before, after)
