"""What a results folder holds, looked at without touching it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

import analysis
from orchestrator import plugins
from orchestrator.sweep import RequestError, Sweep


def recorded(directory: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Every readable row of a results folder, and what was wrong with the others.

    Returns
    -------
    rows : DataFrame
        As `analysis.load` gives them; empty where there is no record.
    complaints : list of str
        One for each file that cannot be read and for trials recorded more than once.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            rows = analysis.load(directory)
        except ValueError:  # there are none
            rows = pd.DataFrame({"trial_key": [], "status": []}, dtype=object)
    return rows, [str(warning.message) for warning in caught if warning.category is UserWarning]


def one_a_trial(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each trial, by its key: what is true of the trial and not of a split."""
    return rows.drop_duplicates("trial_key").set_index("trial_key")


def manifest(directory: Path) -> dict[str, Any]:
    """What ``sweep.json`` says.

    Raises
    ------
    RequestError
        If it is missing or no description of a sweep.
    """
    path = directory / "sweep.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        content = {}
    except (OSError, ValueError) as error:
        raise RequestError(f"{str(path)!r} cannot be read ({error}): remove it and sweep again") from error
    if not isinstance(content, dict) or "config" not in content:
        raise RequestError(
            f"{str(path)!r} does not say what was asked for: issue the sweep again with --out {directory}"
        )
    return content


def planned(described: dict[str, Any]) -> Sweep:
    """The sweep of a manifest, its plug-ins loaded.

    Raises
    ------
    RequestError
        If a plug-in, table or method of it is no longer there.
    """
    plugins.load(described.get("plugins", ()), "a file of the sweep is gone or was changed: put it back")
    return Sweep.from_mapping(described["config"])
