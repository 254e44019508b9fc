"""Published numbers beside measured ones, and why they differ.

``published.csv`` holds what the tables and slides of the NewImp, DiffPuter and MissDiff papers print, in
their own names and units. A printed number is compared with a measured one only where both are the same
experiment: the same table, mechanism variant, protocol, split and hyperparameters. Everywhere else the two
are shown with the reason why they cannot be compared, and no difference is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from analysis.records import labelled, parameters
from analysis.schema import METRICS, mechanism_order
from analysis.tables import cells

DATASETS = {
    "BT": "blood",
    "BCD": "breast_cancer",
    "CC": "concrete",
    "CBV": "vowel",
    "IS": "ionosphere",
    "PK": "parkinsons",
    "QB": "qsar",
    "WQW": "wine_white",
    "Gaussian": "toy_gaussian",
    "Student-t": "toy_student_t",
    "Gaussian Mixture": "toy_mixture",
    "Skewed-Gaussian": "toy_skewed",
    **{
        name.title(): name
        for name in (
            *("california", "letter", "gesture", "magic", "bean"),
            *("adult", "default", "shoppers", "beijing", "news"),
        )
    },
}
"""A paper's table -> our dataset."""

_CLASSIC = ("KNN", "MICE", "EM", "SoftImpute", "MissForest", "HyperImpute", "MIWAE", "GAIN", "MIRACLE")
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name.lower(), {})
        for name in (
            *_CLASSIC,
            "GRAPE",
            "IGRM",
            "MCFlow",
            "ReMasker",
            "TDM",
            "Sinkhorn",
            "MissDiff",
            "DiffPuter",
        )
    },
    "MOT": ("sinkhorn", {}),
    "TabCSDI": ("csdi_t", {}),
    "Mean": ("mean", {}),
    "NewImp": ("newimp", {}),
    "NewImp[NER=off;Joint=on]": ("newimp", {"lambda_": 0}),
    "NewImp[NER=on;Joint=off]": ("newimp", {"joint": False}),
    "NewImp[NER=off;Joint=off]": ("newimp", {"lambda_": 0, "joint": False}),
}
"""A paper's method -> our method and the parameters in which it departs from the defaults."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "newimp": {
        "lambda_": 10,
        "bandwidth": 0.5,
        "kernel": True,
        "joint": True,
        "standardize": False,
        "flow_tol": 0,
    }
}
"""Settings of the published runs: naming one of them in a sweep changes nothing."""

UNITS: dict[str, tuple[str, float]] = {
    "MAE": ("mae", 1.0),
    "WASS": ("wasserstein", 1.0),
    "MAE_x100": ("mae", 0.01),
    "RMSE_x100": ("rmse", 0.01),
    "accuracy_%": ("accuracy", 0.01),
}
"""A paper's metric -> our metric and the factor that brings the printed number to our unit."""

AGREES = 0.1
"""Where no tolerance is set, a difference of up to this share of the printed number needs no reason."""

_MIXED = ("adult", "default", "shoppers", "news", "beijing")


@dataclass(frozen=True)
class Source:
    """What must hold for a record to be the experiment that a paper ran.

    `tolerance` bounds the difference of means that seeds alone explain, for each (metric, mechanism).
    """

    title: str
    protocol: str
    variant: str
    tolerance: Mapping[tuple[str, str], float] = field(default_factory=dict)


SOURCES = {
    "newimp": Source(
        "Chen et al., NeurIPS 2024 (NewImp)",
        protocol="newimp",
        variant="newimp",
        tolerance={("mae", "mcar"): 0.03, ("mae", "mar"): 0.08, ("mae", "mnar"): 0.08},
    ),
    "diffputer": Source("Zhang et al., ICLR 2025 (DiffPuter)", protocol="diffputer", variant="diffputer"),
}


@dataclass(frozen=True)
class Fact:
    """Something known about printed numbers; an empty field matches everything."""

    text: str
    source: str = ""
    tables: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()  # as the paper names them
    datasets: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    voids: bool = False  # the printed number cannot be compared with anything
    spread: bool = False  # explains a difference only as far as our own mask seeds vary as much

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether this is known of a row of `published`."""
        return self.source in ("", row["source"]) and all(
            not wanted or row[key] in wanted
            for key, wanted in (
                ("table", self.tables),
                ("metric", self.metrics),
                ("published_method", self.methods),
                ("dataset", self.datasets),
                ("base", self.mechanisms),
            )
        )


FACTS = (
    Fact(
        "the printed value is near half the number of columns, which is what whole rows give when their "
        "observed entries are not put back; ours are always put back",
        source="newimp",
        metrics=("wasserstein",),
        methods=("TabCSDI", "MissDiff", "NewImp[NER=on;Joint=off]", "NewImp[NER=off;Joint=off]"),
        voids=True,
    ),
    Fact(
        "the printed row equals mean imputation to the second decimal, so a working implementation is better",
        source="newimp",
        methods=("Sinkhorn",),
    ),
    Fact(
        "the printed MAE is at the level of mean imputation, so a working implementation is better",
        source="newimp",
        metrics=("mae",),
        methods=("TabCSDI", "MissDiff"),
    ),
    Fact(
        "the toy's size and parameters are not published; ours are our own choice",
        source="newimp",
        tables=("toy_case_study",),
        voids=True,
    ),
    Fact(
        "each mask draws its observed columns anew, so seeds vary much",
        source="newimp",
        mechanisms=("mar", "mnar"),
        spread=True,
    ),
    Fact(
        "the printed rows of MIRACLE and MIWAE are identical in this table: one is a copying error",
        source="diffputer",
        tables=("T7_MAR_in_RMSE",),
        methods=("MIRACLE", "MIWAE"),
        voids=True,
    ),
    Fact(
        "the columns of the mixed tables appear to be in another order than their headings say",
        source="diffputer",
        tables=("T7_MAR_in_RMSE", "T8_MAR_oos", "T11_MNAR_oos"),
        datasets=_MIXED,
        voids=True,
    ),
)

_COLUMNS = [
    *("source", "table", "protocol", "split", "dataset", "mechanism", "ratio", "label", "published_method"),
    *("metric", "mean", "std", "n", "published", "difference", "tolerance", "within", "comparable", "reason"),
]


@cache
def _published() -> pd.DataFrame:
    with files("analysis").joinpath("published.csv").open(encoding="utf-8") as stream:
        raw = pd.read_csv(stream, dtype={"mean": str, "missing_ratio": str})
    unit = raw["metric"].map(UNITS)
    raw = raw[unit.notna() & raw["dataset"].isin(list(DATASETS)) & raw["method"].isin(list(METHODS))]
    unit = unit[raw.index]
    return pd.DataFrame(
        {
            "source": raw["source"],
            "table": raw["table"],
            "split": raw["setting"],
            "dataset": raw["dataset"].map(DATASETS),
            "base": raw["mechanism"].str.lower(),
            "ratio": pd.to_numeric(raw["missing_ratio"], errors="coerce"),
            "published_method": raw["method"],
            "method": [METHODS[name][0] for name in raw["method"]],
            "metric": unit.str[0],
            # A dash, "OOM" and "FAILED" are no numbers: those rows have nothing to set beside ours.
            "published": pd.to_numeric(raw["mean"], errors="coerce") * unit.str[1].astype(float),
        }
    ).dropna(subset=["published"])


def published() -> pd.DataFrame:
    """The printed numbers that have a counterpart here, in our names and units.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, table, split, dataset, base`` (the mechanism without a variant), ``ratio`` (null
        where not stated), ``published_method, method, metric, published``.
    """
    return _published().reset_index(drop=True)


def beside(records: pd.DataFrame) -> pd.DataFrame:
    """Each measured score beside the printed number for the same table, mechanism and method.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.

    Returns
    -------
    pandas.DataFrame
        One row for each pair, sorted by source, metric, method, mechanism and dataset:

        - ``source, table, published_method, published``: what is printed, in our unit;
        - ``protocol, split, dataset, mechanism, ratio, label, metric``: what was measured;
        - ``mean, std, n``: over mask seeds, as `analysis.tables.cells` gives them;
        - ``comparable``: whether both are the same experiment; where False, ``difference`` is null;
        - ``difference``: measured - published;
        - ``tolerance``, ``within``: the bound on its size where one is set, and whether it holds; else null;
        - ``reason``: why the two differ or cannot be compared, "unexplained" where nothing known explains
          it; empty where they agree (within the tolerance, else within a tenth of the printed number).
    """
    rows = labelled(records)
    shown = rows.drop_duplicates("label").set_index("label")["params"]
    bases = rows["mechanism"].str.partition(":")[0]
    printed = published()
    printed = printed[
        printed["dataset"].isin(rows["dataset"].unique())
        & printed["method"].isin(rows["method"].unique())
        & printed["base"].isin(bases.unique())
    ]
    pairs = []
    for key in METRICS:
        known = printed[printed["metric"].eq(key)]
        if known.empty or rows[key].isna().all():
            continue
        measured = cells(rows, key)
        measured["base"] = measured["mechanism"].str.partition(":")[0]
        found = known.merge(measured, on=["dataset", "base", "split", "method"], suffixes=("_published", ""))
        found = found[
            found["ratio_published"].isna() | found["ratio_published"].sub(found["ratio"]).abs().lt(1e-9)
        ]
        for row in found.to_dict("records"):
            wanted = METHODS[str(row["published_method"])][1]
            if _departure(str(row["method"]), shown[row["label"]]) == wanted and row["n"]:
                pairs.append(_pair({str(name): value for name, value in row.items()}))
    result = pd.DataFrame(pairs, columns=_COLUMNS)
    result = result.astype(
        {"comparable": "bool", "within": "boolean", "difference": "float64", "tolerance": "float64"}
    )
    order = ["source", "metric", "label", "mechanism", "dataset", "published_method"]
    # Papers print the mechanisms from mild to hard, which is not the order of the alphabet.
    place = result["mechanism"].map(mechanism_order)
    result = result.assign(mechanism=place).sort_values(order, kind="stable")
    return result.assign(mechanism=result["mechanism"].str[1]).reset_index(drop=True)


def _departure(method: str, text: str) -> dict[str, Any]:
    """The parameters of a record that differ from the published settings."""
    usual = DEFAULTS.get(method, {})
    return {key: value for key, value in parameters(text).items() if key not in usual or usual[key] != value}


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    source = SOURCES[row["source"]]
    facts = [fact for fact in FACTS if fact.holds(row)]
    base, _, variant = row["mechanism"].partition(":")
    obstacles = [fact.text for fact in facts if fact.voids]
    if variant != source.variant:
        obstacles.append(
            f"the holes are not drawn as published (that is the variant :{source.variant}), so their "
            "share and place differ"
        )
    if row["protocol"] != source.protocol:
        obstacles.append(f"scored under protocol {row['protocol']}, not {source.protocol}")
    difference = None if obstacles else row["mean"] - row["published"]
    tolerance = None if obstacles else source.tolerance.get((row["metric"], base))
    # Printed to two decimals: half a unit of the last place is nobody's error.
    within = None if difference is None or tolerance is None else abs(difference) <= tolerance + 0.005
    return row | {
        "difference": difference,
        "tolerance": tolerance,
        "within": within,
        "comparable": not obstacles,
        "reason": _reason(row, obstacles, facts, difference, within),
    }


def _reason(
    row: dict[str, Any],
    obstacles: list[str],
    facts: list[Fact],
    difference: float | None,
    within: bool | None,
) -> str:
    if obstacles:
        return "not comparable: " + "; ".join(obstacles)
    assert difference is not None
    short = (
        f"measured on {row['n']} of {row['n_expected']} mask seeds" if row["n"] < row["n_expected"] else ""
    )
    if within or (within is None and abs(difference) <= AGREES * abs(row["published"])):
        return short
    # Two standard deviations of single runs: how many runs stand behind a printed mean is not published.
    usual = pd.notna(row["std"]) and abs(difference) <= 2 * row["std"]
    parts = [fact.text for fact in facts if usual or not fact.spread]
    if usual:
        parts.append("within two standard deviations of our mask seeds")
    return "; ".join(filter(None, [*(parts or ["unexplained"]), short]))
