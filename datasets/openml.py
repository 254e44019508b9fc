"""Any table of OpenML by its number, ``openml:<id>``, through scikit-learn's fetcher.

OpenML never changes the data behind a number, so the number is the fingerprint; scikit-learn checks OpenML's
MD5 on download and keeps the answers, as gzipped text, in the cache.
"""

import re
from pathlib import Path

from datasets.files import FetchError, cache_dir, sha256
from datasets.table import DatasetInfo, Table
from datasets.userfile import as_features, kinds

_NAME = re.compile(r"openml:(\d{1,9})", re.IGNORECASE)


def canonical(name: str) -> str | None:
    """The name in its canonical spelling, or None when it is not of this kind."""
    match = _NAME.fullmatch(name)
    return f"openml:{int(match[1])}" if match else None


def fingerprint(name: str) -> str:
    """Hash of the number."""
    return sha256(f"{name}\n1".encode())


def fetch(name: str) -> list[Path]:
    """Fetch a table of OpenML into the cache; the files that scikit-learn keeps of it are its own affair."""
    load(name)
    return []


def load(name: str) -> Table:
    """Fetch and read a table of OpenML.

    Raises
    ------
    FetchError
        When there is no such table, or no way to it.
    ValueError
        When it is no table of numbers.
    """
    from sklearn.datasets import fetch_openml

    number = int(name.partition(":")[2])
    try:
        bunch = fetch_openml(
            data_id=number, as_frame=True, parser="pandas", data_home=str(cache_dir()), n_retries=1, delay=0.5
        )
    except (OSError, ValueError) as error:
        raise FetchError(
            f"cannot fetch {name} ({error}); check the number at openml.org, and the network"
        ) from error
    frame, left_out, notes = as_features(bunch.data, name)
    details = bunch.details
    numeric, categorical = kinds(frame)
    about = DatasetInfo(
        name=name,
        title=str(details.get("name", name)),
        rows=len(frame),
        numeric=numeric,
        categorical=categorical,
        licence=str(details.get("licence", "not stated")),
        citation=str(details.get("citation", f"OpenML data set {number}")),
        url=f"https://www.openml.org/d/{number}",
        target="" if bunch.target is None else ", ".join(bunch.target_names),
        notes=tuple(notes),
        left_out=tuple(left_out),
    )
    target = bunch.target if bunch.target is None or bunch.target.ndim == 1 else None
    return Table(name, frame, target, about, fingerprint(name), identity=name)
