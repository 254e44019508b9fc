"""MIMIC-IV-ED, from the user's own credentialed files.

``LACUNA_MIMIC4ED`` names a folder with ``edstays.csv`` and ``triage.csv`` (or ``.csv.gz``) as PhysioNet gives
them out. One row is a stay: triage's vital signs, pain and acuity, with gender, race and way of arrival.
MissDiff's 73 columns come out of the MIMIC4ED benchmark's extraction, which adds histories and scores; these
eleven need no such step.
"""

import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pandas as pd

from datasets.files import FetchError, gunzip, sha256
from datasets.readers import as_category
from datasets.table import DatasetInfo, Table

NAME = "mimic4ed"
FOLDER = "LACUNA_MIMIC4ED"
VERSION = 1
NUMERIC = ("temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp", "pain")
DISCRETE = {"acuity": "triage", "gender": "edstays", "race": "edstays", "arrival_transport": "edstays"}
TARGET = "disposition"

INFO = DatasetInfo(
    name=NAME,
    title="MIMIC-IV-ED, stays at triage",
    rows=None,
    numeric=len(NUMERIC),
    categorical=len(DISCRETE),
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    citation="Johnson et al. (2023), MIMIC-IV-ED, PhysioNet, doi:10.13026/5ntk-km72",
    url="https://physionet.org/content/mimic-iv-ed/",
    used_by=("MissDiff",),
    target=TARGET,
    notes=(
        f"Never downloaded: set {FOLDER} to the folder of your own edstays.csv and triage.csv.",
        "Eleven columns of triage and stay, not the 73 of the MIMIC4ED benchmark's extraction.",
        "Holes of its own, never scored; pain that is no number from 0 to 10 counts as one.",
    ),
)


def files() -> list[Path]:
    """The two files, stays first.

    Raises
    ------
    FetchError
        When the folder is not named, or lacks one of them.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        raise FetchError(
            f"{NAME} is credentialed: set {FOLDER} to the folder of your edstays.csv and triage.csv"
        )
    found = []
    for stem in ("edstays", "triage"):
        candidates = [Path(folder, f"{stem}.csv"), Path(folder, f"{stem}.csv.gz")]
        path = next((p for p in candidates if p.is_file()), None)
        if path is None:
            raise FetchError(
                f"{folder} holds neither {stem}.csv nor {stem}.csv.gz; set {FOLDER} to the folder that does"
            )
        found.append(path)
    return found


def fingerprint() -> str:
    """Hash of both files' uncompressed bytes and of the version of their reading."""
    return sha256("\n".join([str(VERSION), *(sha256(_content(path)) for path in files())]).encode())


def load() -> Table:
    """Read the two files into a table of one row for each stay.

    Raises
    ------
    FetchError
        When a file is not there or damaged.
    ValueError
        When a file lacks a column.
    """
    stays, triage = (_read(path) for path in files())
    joined = stays.merge(triage.drop(columns="subject_id"), on="stay_id", how="inner", validate="one_to_one")
    frame = joined[list(NUMERIC)].apply(pd.to_numeric, errors="coerce").astype("float64")
    frame["pain"] = frame["pain"].where(frame["pain"].between(0, 10))
    for column in DISCRETE:
        frame[column] = as_category(joined[column])
    return Table(NAME, frame, joined[TARGET], replace(INFO, rows=len(frame)), fingerprint(), identity=NAME)


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gunzip(data, str(path)) if path.suffix == ".gz" else data


def _read(path: Path) -> pd.DataFrame:
    stem = path.name.partition(".")[0]
    wanted = ["subject_id", "stay_id"]
    wanted += [TARGET] if stem == "edstays" else list(NUMERIC)
    wanted += [column for column, of in DISCRETE.items() if of == stem]
    frame = pd.read_csv(BytesIO(_content(path)), float_precision="round_trip", low_memory=False)
    absent = [column for column in wanted if column not in frame]
    if absent:
        raise ValueError(f"{path} has no column {absent[0]!r}; is it the {stem} table of MIMIC-IV-ED?")
    return frame[wanted]
