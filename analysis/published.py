"""Published numbers beside measured ones, and why they differ.

``published.csv`` holds what the tables and slides of the NewImp, DiffPuter and MissDiff papers print, in
their own names and units, with the protocol of ours that speaks to each and what is known of it. The two are
*comparable* where both are the same experiment: the same table, mechanism variant, protocol, split and
hyperparameters. Where a setting departs, the difference is given with what departs; where the printed number
is known to be void, the reason alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from analysis.averages import cells
from analysis.published_facts import facts_of
from analysis.records import labelled, parameters
from analysis.schema import CELL, METRICS, each, mechanism_order

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
    "Census": "census",
    "Breast": "breast",
    "Wine": "wine_red",
    "Concrete": "concrete_full",
    "Libras": "libras",
    "diabetes": "diabetes",
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
    "Mean/Mode": ("mean", {}),
    "Mean/Median/MF": ("mean", {}),
    "MICE(linear)": ("mice", {}),
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

ALSO: dict[str, dict[str, tuple[Any, ...]]] = {"diffputer": {"preset": ("paper", "official")}}
"""Settings that count as published too: the printed numbers may come from the text's or from the code's."""

UNITS: dict[str, tuple[str, float]] = {
    "MAE": ("mae", 1.0),
    "WASS": ("wasserstein", 1.0),
    "MAE_x100": ("mae", 0.01),
    "RMSE_x100": ("rmse", 0.01),
    "RMSE": ("rmse", 1.0),
    "accuracy_%": ("accuracy", 0.01),
}
"""A paper's metric -> our metric and the factor that brings the printed number to our unit."""

AGREES = 0.1
"""Where no tolerance is set, a difference of up to this share of the printed number needs no reason."""

SEEDS_VARY = "each mask draws its observed columns anew, so seeds vary much"
"""Explains a difference only as far as our own mask seeds vary as much."""


@dataclass(frozen=True)
class Source:
    """What must hold for a record to be the experiment that a paper ran.

    `tolerance` bounds the difference of means that seeds alone explain, for each (metric, mechanism);
    `varying` names the mechanisms under which mask seeds differ much.
    """

    title: str
    variant: str
    tolerance: Mapping[tuple[str, str], float] = field(default_factory=dict)
    varying: tuple[str, ...] = ()


SOURCES = {
    "newimp": Source(
        "Chen et al., NeurIPS 2024 (NewImp)",
        variant="newimp",
        tolerance={("mae", "mcar"): 0.03, ("mae", "mar"): 0.08, ("mae", "mnar"): 0.08},
        varying=("mar", "mnar"),
    ),
    "diffputer": Source("Zhang et al., ICLR 2025 (DiffPuter)", variant="diffputer"),
    "missdiff": Source("Ouyang et al., 2023 (MissDiff), slides", variant="missdiff"),
}

_LEAST = 1e-9


_COLUMNS = [
    *("source", "table", "protocol", "split", "dataset", "mechanism", "ratio", "label", "published_method"),
    *("metric", "mean", "std", "n", "published", "published_std", "difference", "tolerance", "within"),
    *("comparable", "settings", "reason"),
]


@cache
def _published() -> pd.DataFrame:
    with files("analysis").joinpath("published.csv").open(encoding="utf-8") as stream:
        raw = pd.read_csv(stream, dtype={"mean": str, "missing_ratio": str}, keep_default_na=False)
    unit = raw["metric"].map(UNITS)
    raw = raw[unit.notna() & raw["dataset"].isin(list(DATASETS)) & raw["method"].isin(list(METHODS))]
    unit = unit[raw.index]
    factor = unit.str[1].astype(float)
    return pd.DataFrame(
        {
            "source": raw["source"],
            "table": raw["table"],
            "protocol": raw["protocol"],
            "split": raw["setting"],
            "dataset": raw["dataset"].map(DATASETS),
            "base": raw["mechanism"].str.lower(),
            "ratio": pd.to_numeric(raw["missing_ratio"], errors="coerce"),
            "published_method": raw["method"],
            "method": [METHODS[name][0] for name in raw["method"]],
            "metric": unit.str[0],
            "unit": raw["unit"],
            # A dash, "OOM" and "FAILED" are no numbers: those rows have nothing to set beside ours.
            "published": pd.to_numeric(raw["mean"], errors="coerce") * factor,
            "published_std": pd.to_numeric(raw["std"], errors="coerce") * factor,
            "known": raw["known"],
            "reason": ["; ".join(fact.text for fact in facts_of(known)) for known in raw["known"]],
        }
    ).dropna(subset=["published"])


def published() -> pd.DataFrame:
    """The printed numbers that have a counterpart here, in our names and units.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, table, protocol`` (the one of ours that speaks to it), ``split, dataset, base`` (the
        mechanism without a variant), ``ratio, published_method, method, metric, unit`` (as printed: ``sd``,
        ``sd / 100``, ``sd squared``, ``%``, ``range``), ``published, published_std`` (in our unit), ``known``
        (keys of `analysis.published_facts.FACTS`) and ``reason`` (the same in words). What is not stated is
        empty: ``split`` and ``base`` are then "", ``ratio`` null.
    """
    return _published().reset_index(drop=True)


def beside(records: pd.DataFrame) -> pd.DataFrame:
    """Each measured score beside the printed number for the same table, mechanism and method.

    Where one variant of a method was run with the published settings, its other variants are left out.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.

    Returns
    -------
    pandas.DataFrame
        One row for each pair, sorted by source, metric, method, mechanism and dataset:

        - ``source, table, published_method, published, published_std``: what is printed, in our unit;
        - ``protocol, split, dataset, mechanism, ratio, label, metric``: what was measured;
        - ``mean, std, n``: over mask seeds, as `analysis.tables.cells` gives them;
        - ``difference``: measured - published; null where the printed number is void;
        - ``comparable``: whether both are the same experiment and the printed number is not void;
        - ``settings``: "as published", else what departs from it;
        - ``tolerance``, ``within``: for what is comparable, the bound on the difference where one is set, and
          whether it holds; else null;
        - ``reason``: why the two differ or cannot be compared, "unexplained" where nothing known explains
          it; empty where they agree (within the tolerance, else within a tenth of the printed number).
    """
    rows = labelled(records)
    shown = rows.drop_duplicates("label").set_index("label")["params"]
    printed = published()
    printed = printed[
        printed["dataset"].isin(rows["dataset"].unique()) & printed["method"].isin(rows["method"].unique())
    ]
    pairs: list[dict[str, Any]] = []
    for key in METRICS:
        known = printed[printed["metric"].eq(key)]
        if known.empty or rows[key].isna().all():
            continue
        measured = cells(rows, key)
        measured = measured[measured["n"].gt(0)].assign(
            base=measured["mechanism"].str.partition(":")[0],
        )
        measured["departure"] = pd.Series(
            [_departure(row.method, shown[row.label]) for row in each(measured)],
            index=measured.index,
            dtype=object,
        )
        found = known.merge(measured, on=["dataset", "method"], suffixes=("_published", ""))
        stated = [
            found[f"{name}_published"].isin(["", None]) | found[f"{name}_published"].eq(found[name])
            for name in ("base", "split")
        ]
        far = found["ratio_published"].sub(found["ratio"]).abs().gt(_LEAST)
        pairs += _chosen(found[stated[0] & stated[1] & ~far])
    result = pd.DataFrame([_pair(pair) for pair in pairs], columns=_COLUMNS)
    kinds = {"comparable": "bool", "within": "boolean", "difference": "float64", "tolerance": "float64"}
    order = ["source", "metric", "label", "mechanism", "dataset", "published_method"]
    # Papers print the mechanisms from mild to hard, which is not the order of the alphabet.
    place = result["mechanism"].map(mechanism_order)
    result = result.astype(kinds).assign(mechanism=place).sort_values(order, kind="stable")
    return result.assign(mechanism=result["mechanism"].str[1]).reset_index(drop=True)


def _chosen(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs of a printed row with a label whose settings are that row's, else with the plain row."""
    rows = [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]
    exact = [row for row in rows if row["departure"] == METHODS[row["published_method"]][1]]
    told = {(row["method"], *(row[key] for key in CELL)) for row in exact}
    plain = [
        row
        for row in rows
        if not METHODS[row["published_method"]][1]
        and row["departure"]
        and (row["method"], *(row[key] for key in CELL)) not in told
    ]
    return exact + plain


def _departure(method: str, text: str) -> dict[str, Any]:
    """The parameters of a record that differ from the published settings."""
    usual, also = DEFAULTS.get(method, {}), ALSO.get(method, {})
    return {
        key: value
        for key, value in parameters(text).items()
        if not (key in usual and usual[key] == value) and value not in also.get(key, ())
    }


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    source = SOURCES[row["source"]]
    facts = facts_of(row["known"])
    base, _, variant = row["mechanism"].partition(":")
    void = [fact.text for fact in facts if fact.voids]
    departs = []
    if variant != source.variant:
        departs.append(
            f"the holes are not drawn as published (that is the variant :{source.variant}), so their "
            "share and place differ"
        )
    if row["protocol"] != row["protocol_published"]:
        departs.append(f"scored under protocol {row['protocol']}, not {row['protocol_published']}")
    extra = {
        key: value
        for key, value in row["departure"].items()
        if METHODS[row["published_method"]][1].get(key) != value
    }
    if extra:
        departs.append(f"run with {', '.join(f'{key}={value}' for key, value in sorted(extra.items()))}")
    departs += [fact.text for fact in facts if fact.differs]
    comparable = not void and not departs
    difference = None if void else row["mean"] - row["published"]
    tolerance = source.tolerance.get((row["metric"], base)) if comparable else None
    # Printed to two decimals: half a unit of the last place is nobody's error.
    within = None if difference is None or tolerance is None else abs(difference) <= tolerance + 0.005
    facts_told = [fact.text for fact in facts if not fact.voids and not fact.differs]
    if base in source.varying:
        facts_told.append(SEEDS_VARY)
    return row | {
        "difference": difference,
        "tolerance": tolerance,
        "within": within,
        "comparable": comparable,
        "settings": "; ".join(departs) or "as published",
        "reason": _reason(row, void, departs, facts_told, difference, within),
    }


def _reason(
    row: dict[str, Any],
    void: list[str],
    departs: list[str],
    facts: list[str],
    difference: float | None,
    within: bool | None,
) -> str:
    if void:
        return "not comparable: " + "; ".join([*void, *departs])
    if departs:
        return "not the same experiment: " + "; ".join([*departs, *(f for f in facts if f != SEEDS_VARY)])
    assert difference is not None
    short = (
        f"measured on {row['n']} of {row['n_expected']} mask seeds" if row["n"] < row["n_expected"] else ""
    )
    if within or (within is None and abs(difference) <= AGREES * abs(row["published"])):
        return short
    # Two standard deviations of single runs: how many runs stand behind a printed mean is not published.
    usual = pd.notna(row["std"]) and abs(difference) <= 2 * row["std"]
    parts = [fact for fact in facts if usual or fact != SEEDS_VARY]
    if usual:
        parts.append("within two standard deviations of our mask seeds")
    elif row["n"] == 1:
        parts.append("one mask seed, whose spread is not known")
    return "; ".join(filter(None, [*(parts or ["unexplained"]), short]))
