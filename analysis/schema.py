"""The words of a record: columns, metrics, and what groups of records mean.

Everything that the tables, plots and report must agree on is an entry here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


@dataclass(frozen=True)
class Metric:
    """One score: how to name it, print it and tell good from bad."""

    key: str
    title: str
    explanation: str
    digits: int = 3
    target: float = 0.0  # the perfect value; the nearer, the better
    unit_scale: float = 1.0  # printed value = stored value * unit_scale

    def loss(self, values: pd.Series) -> pd.Series:
        """Distance from the perfect value, the quantity to rank by; null stays null."""
        if math.isinf(self.target):
            return -values
        return (values - self.target).abs()

    def text(self, value: float | None) -> str:
        """The value as printed, or a dash where there is none."""
        if value is None or not np.isfinite(value):
            return "–"
        return f"{value * self.unit_scale:.{self.digits}f}"


LEVELS = (50, 80, 90, 95)
"""Of the intervals of draws, in percent."""

_SHARE: Any = {"digits": 1, "unit_scale": 100.0}  # a share, printed in percent

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("mae", "MAE", "mean absolute error of the hidden numeric entries, in standard deviations"),
        Metric(
            "rmse", "RMSE", "root mean squared error of the hidden numeric entries, in standard deviations"
        ),
        Metric(
            "wasserstein",
            "WASS",
            "optimal-transport cost, ½‖a − b‖², of imputed against true rows with holes",
        ),
        Metric("accuracy", "Accuracy", "share of hidden categories restored, in %", target=1.0, **_SHARE),
        Metric(
            "macro_f1",
            "Macro F1",
            "F1 of the hidden categories, mean over categories and columns, in %",
            target=1.0,
            **_SHARE,
        ),
        Metric("crps", "CRPS", "continuous ranked probability score of the samples"),
        *(
            Metric(
                f"coverage_{level}",
                f"{level} % coverage",
                f"share of hidden entries inside their {level} % interval, in %",
                target=level / 100,
                **_SHARE,
            )
            for level in LEVELS
        ),
        *(
            Metric(
                f"width_{level}",
                f"{level} % width",
                f"mean width of the {level} % interval, in standard deviations",
            )
            for level in LEVELS
        ),
        Metric("energy_distance", "Energy distance", "between the imputed and the true rows that had a hole"),
        Metric(
            "sliced_wasserstein",
            "Sliced WASS",
            "Wasserstein distance, mean over directions, of the rows with holes",
        ),
        Metric(
            "energy_i_score",
            "Energy I-score",
            "of draws for observed entries; at most 0, the higher the better",
        ),
        Metric(
            "downstream_linear",
            "Linear model",
            "held-out score of a linear model of the target, fitted on imputed rows",
            target=1.0,
        ),
        Metric(
            "downstream_linear_indicator",
            "Linear model, holes told",
            "as before, with indicators of the holes",
            target=1.0,
        ),
        Metric(
            "downstream_trees",
            "Boosted trees",
            "held-out score of boosted trees of the target, fitted on imputed rows",
            target=1.0,
        ),
        Metric(
            "downstream_trees_indicator",
            "Boosted trees, holes told",
            "as before, with indicators of the holes",
            target=1.0,
        ),
        Metric(
            "downstream_native",
            "Trees on NaN",
            "held-out score of boosted trees that take the holes as they are",
            target=1.0,
        ),
        Metric(
            "pooled_bias", "Pooled bias", "of regression coefficients, pooled over draws by Rubin's rules"
        ),
        Metric("pooled_width", "Pooled width", "of the 95 % interval of the pooled coefficients"),
        Metric(
            "pooled_coverage_finite",
            "Pooled coverage",
            "share of the complete table's coefficients inside a 95 % interval for finite tables, in %",
            target=0.95,
            **_SHARE,
        ),
        Metric(
            "generation_rmse",
            "Generation RMSE",
            "test error, on real rows, of models trained on synthetic rows",
        ),
    )
}
"""Every score that a record may hold, in the order in which the report shows them. A new one is one line."""

COLUMNS: dict[str, pa.DataType] = {
    "trial_key": pa.string(),
    "sweep": pa.string(),
    "dataset": pa.string(),
    "mechanism": pa.string(),
    "ratio": pa.float64(),
    "mask_seed": pa.int64(),
    "method": pa.string(),
    "params": pa.string(),
    "protocol": pa.string(),
    "split": pa.string(),
    "n_rows": pa.int64(),
    "n_columns": pa.int64(),
    "n_missing": pa.int64(),
    "realised_ratio": pa.float64(),
    "mask_hash": pa.string(),
    **dict.fromkeys(METRICS, pa.float64()),
    **{f"{key}_relative": pa.float64() for key in ("mae", "rmse", "accuracy", "macro_f1")},
    "wasserstein_note": pa.string(),
    "fit_seconds": pa.float64(),
    "impute_seconds": pa.float64(),
    "cpu_seconds": pa.float64(),
    "peak_rss_mb": pa.float64(),
    "peak_gpu_mb": pa.float64(),
    "device": pa.string(),
    "gpu_name": pa.string(),
    "threads": pa.int64(),
    "node": pa.string(),
    "gpu_fraction": pa.float64(),
    "attempts": pa.int64(),
    "status": pa.string(),
    "error": pa.string(),
    "started_at": pa.timestamp("us", tz="UTC"),
    "finished_at": pa.timestamp("us", tz="UTC"),
    "versions": pa.string(),
    "schema_version": pa.int32(),
}
"""Columns of a record and their types; a part may lack some, and may hold more."""

CELL = ["protocol", "split", "dataset", "mechanism", "ratio"]
"""A cell is one imputation problem: its mask seeds are averaged before anything else is done with it."""

STRATUM = ["protocol", "split", "mechanism", "ratio"]
"""Cells that one paper-style table may show side by side: they differ in the dataset alone."""

IDENTITY = ["dataset", "mechanism", "ratio", "mask_seed", "method", "params", "protocol", "split"]
"""What a row is a result *of*."""

STATUSES = {
    "ok": "ok",
    "failed": "failed",
    "timeout": "out of time",
    "out_of_memory": "out of memory",
}
"""How a trial can end, and how to say it."""

SPLITS = {"in_sample": "in sample", "out_of_sample": "out of sample"}

OFF_TARGET = 0.005
"""A realised missing share further than this from the asked ratio is flagged (half a point)."""


def find_metric(key: str) -> Metric:
    """The metric of that name.

    Raises
    ------
    ValueError
        If there is none; the message names those that exist.
    """
    if key not in METRICS:
        raise ValueError(f"unknown metric {key!r}; the metrics are {', '.join(METRICS)}")
    return METRICS[key]


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a frame as named tuples, to be read as ``row.column``."""
    return iter(frame.itertuples(index=False))


def percent(share: float, digits: int = 0) -> str:
    """``0.3`` as ``30 %``, with the digits it needs and a space that does not break.

    >>> percent(0.3), percent(0.155, 1)
    ('30\\u202f%', '15.5\\u202f%')
    """
    return f"{share * 100:.{digits}f}\u202f%"


def ratio_text(ratio: float) -> str:
    """A missing ratio as a percentage without needless decimals.

    >>> ratio_text(0.3), ratio_text(0.125)
    ('30\\u202f%', '12.5\\u202f%')
    """
    return f"{ratio * 100:.4g}\u202f%"


def mechanism_text(mechanism: str) -> str:
    """``mar:newimp`` as ``MAR (as in newimp)``; a plain mechanism in its usual capitals.

    >>> mechanism_text("mcar"), mechanism_text("mar:newimp"), mechanism_text("mnar_self")
    ('MCAR', 'MAR (as in newimp)', 'MNAR self')
    """
    base, _, variant = mechanism.partition(":")
    head, _, tail = base.partition("_")
    text = f"{head.upper() if head in ('mcar', 'mar', 'mnar') else head}{' ' + tail if tail else ''}"
    return f"{text} (as in {variant})" if variant else text


def mechanism_order(mechanism: str) -> tuple[int, str]:
    """A sort key: from the mildest mechanism to the hardest, as the papers print them, then the others by
    name.

    >>> sorted(["mnar", "row", "mar:newimp", "mcar"], key=mechanism_order)
    ['mcar', 'mar:newimp', 'mnar', 'row']
    """
    base = mechanism.partition(":")[0].partition("_")[0]
    known = ("mcar", "mar", "mnar")
    return (known.index(base) if base in known else len(known), mechanism)


def cut(text: str, length: int) -> str:
    """`text`, shortened to `length` letters where it is longer.

    >>> cut("wine_cultivars", 8), cut("adult", 8)
    ('wine_cu…', 'adult')
    """
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "trial"), counted(3, "mask seed"), counted(0, "category", "categories")
    ('1 trial', '3 mask seeds', '0 categories')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
