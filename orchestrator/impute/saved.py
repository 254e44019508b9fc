"""A saved imputer: what it takes to make it again, and no pickle.

A zip archive of two files. ``imputer.json`` holds the method, its parameters, its seed, the columns and the
versions; ``train.parquet`` the prepared table that it was fitted on. Loading checks the table's SHA-256 and
fits the method again: the same method, parameters, seed and versions give the same imputer. So a saved
imputer holds its training data; give it only to whom you may give those.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import methods
from orchestrator.impute.coding import Coder
from orchestrator.impute.prepared import Recipe
from orchestrator.impute.trained import Trained, train
from orchestrator.impute.writing import whole
from orchestrator.record import versions
from orchestrator.sweep import RequestError

FORMAT = "lacuna-imputer"
VERSION = 1
ABOUT, TRAIN = "imputer.json", "train.parquet"


def save(path: Path, trained: Trained) -> None:
    """Write an imputer, whole or not at all."""
    table = io.BytesIO()
    trained.train.to_parquet(table, index=False)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "method": trained.method,
        "method_version": trained.info.version,
        "params": dict(trained.params),
        "seed": trained.seed,
        "columns": [coder.as_json() for coder in trained.recipe.coders],
        "train_sha256": hashlib.sha256(table.getbuffer()).hexdigest(),
        "versions": versions(),
    }
    with whole(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        _add(archive, ABOUT, json.dumps(about, indent=1).encode())
        _add(archive, TRAIN, table.getbuffer())


def load(path: str | Path, say: Callable[[str], None] = lambda _: None) -> Trained:
    """Read a saved imputer and fit it again.

    Raises
    ------
    RequestError
        If the file is none, is damaged, or is of a newer format; if its method is not known here.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read(ABOUT))
            data = archive.read(TRAIN)
        if about["format"] != FORMAT:
            raise KeyError("format")
        if about["version"] > VERSION:
            raise RequestError(
                f"{path} is of format {about['version']}, and this Lacuna reads up to {VERSION}"
            )
        if hashlib.sha256(data).hexdigest() != about["train_sha256"]:
            raise RequestError(f"{path} is damaged: its training table is not the one that was saved")
        frame = pd.read_parquet(io.BytesIO(data))
        recipe = Recipe(tuple(Coder.from_json(fields) for fields in about["columns"]))
        method, params, seed = about["method"], about["params"], about["seed"]
    except RequestError:
        raise
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{path} is not a saved imputer ({type(error).__name__}: {error})") from error
    if method not in methods.names():
        raise RequestError(
            f"{path} holds an imputer by {method!r}, which is not known here: --plugin adds it"
        )
    then, now = about["method_version"], methods.info(method).version
    if then != now:
        say(f"{method} has changed since {path} was saved (version {then}, now {now}): its fills may differ")
    say(f"fitting {method} again on {len(frame):,} rows")
    return train(method, params, seed, recipe, frame, fill=False)[0]


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """With a fixed time: the same imputer is the same file."""
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
