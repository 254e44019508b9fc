"""A table of the kind that people have."""

from __future__ import annotations

import decimal
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def everyday() -> Callable[..., pd.DataFrame]:
    return make


def make(n_rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Identifiers, dates, words, numbers and flags, with holes in most columns and an index of its own."""
    rng = np.random.default_rng(seed)
    size = rng.normal(60, 15, n_rows)

    def holes(values: object, share: float = 0.2) -> pd.Series:
        return pd.Series(values).mask(rng.random(n_rows) < share)

    when = pd.Timestamp("2021-03-01") + pd.to_timedelta(np.rint(size), unit="D")
    frame = pd.DataFrame(
        {
            "id": [f"K-{number:04d}" for number in rng.permutation(n_rows)],
            "size": holes(size),
            "rooms": holes(np.rint(size / 20)),
            "floor": holes(np.rint(size / 15)).astype("Int64"),
            "small": holes(size.astype(np.float32)),
            "balcony": holes(size > 55).astype("boolean"),
            "town": holes(np.where(size > 60, "Bonn", np.where(size > 45, "Köln", "Trier"))),
            "kind": pd.Categorical(
                holes(np.where(size > 50, "flat", "studio")), categories=["flat", "studio"]
            ),
            "signed": holes(when),
            "seen": holes(when.tz_localize("Europe/Berlin")),
            "born": holes([stamp.date() for stamp in when]),
            "rent": holes([decimal.Decimal(f"{value * 11:.2f}") for value in size]),
            "score": holes([f"{value:.1f}" for value in size / 10]),
            "note": [f"came by {number} times, liked it" for number in range(n_rows)],
            "currency": "EUR",
            "empty": None,
        }
    )
    frame.index = pd.Index(rng.permutation(n_rows) + 100, name="row")
    return frame
