"""From records to what may be concluded: data sets as units, three ways to count what is missing.

A stratum is one protocol, split, mechanism and ratio. Within it a data set is one observation, its mask seeds
averaged; strata are looked at side by side and never pooled, being repetitions of the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.averages import cells, strata
from analysis.pairing import differences
from analysis.ranking import BASELINE, only_split
from analysis.records import labelled
from analysis.schema import METRICS, STRATUM, each, find_metric
from analysis.significance import LEVEL, Friedman, Power, friedman, holm, power, wilcoxon_holm

POLICIES = {
    "complete": "only data sets that every method completed",
    "worst": "a missing cell counts as the worst error on that data set",
    "baseline": "a missing cell counts as the error of mean imputation",
}
"""What to do with a data set that some method did not complete."""


def blocks(
    records: pd.DataFrame, *, metric: str = "mae", policy: str = "complete", **stratum: Any
) -> pd.DataFrame:
    """Losses by data set and method, the frame that `analysis.significance` takes.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    metric
        A key of `analysis.schema.METRICS`; values are distances from its perfect value.
    policy
        A key of `POLICIES`.
    **stratum
        ``protocol, split, mechanism, ratio``: which records; may be left out where there is but one.

    Returns
    -------
    pandas.DataFrame
        Data sets down, labels across. A label that completed no data set is left out. ``frame.attrs`` holds
        ``missing`` (how many cells were not complete), ``dropped`` (data sets left out) and ``absent``
        (labels left out).

    Raises
    ------
    ValueError
        If there is no such policy or metric, or several strata fit.
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown policy {policy!r}; the policies are {', '.join(POLICIES)}")
    chosen = find_metric(metric)
    rows = labelled(records)
    for key, value in stratum.items():
        rows = rows[rows[key].eq(value)]
    several = [key for key in STRATUM if rows[key].nunique() > 1]
    if several:
        raise ValueError(
            f"the records hold several values of {', '.join(several)}: say which; strata are repetitions of "
            "the same tables and are not pooled"
        )
    scores = cells(rows, chosen.key)
    return _blocks(scores, chosen.key, policy)


def _blocks(scores: pd.DataFrame, metric: str, policy: str) -> pd.DataFrame:
    done = scores[scores["complete"]]
    losses = done.assign(loss=find_metric(metric).loss(done["mean"])).pivot(
        index="dataset", columns="label", values="loss"
    )
    losses = losses.reindex(sorted(scores["dataset"].unique()))
    absent = sorted(set(scores["label"]) - set(losses.columns))
    missing = int(losses.isna().to_numpy().sum())
    if policy == "worst":
        losses = losses.apply(lambda row: row.fillna(row.max()), axis=1) if len(losses) else losses
    elif policy == "baseline" and BASELINE in losses:
        losses = losses.apply(lambda row: row.fillna(row[BASELINE]), axis=1)
    whole = losses.dropna()
    whole.attrs = {
        "missing": missing,
        "dropped": sorted(set(losses.index) - set(whole.index)),
        "absent": absent,
    }
    return whole


@dataclass(frozen=True)
class Comparison:
    """All methods over the data sets of one stratum.

    `test` is None where there are fewer than two data sets or methods; `changes` says, for each other policy
    and each data set left out in turn, how the conclusion would differ; empty where it would not.
    """

    stratum: dict[str, Any]
    metric: str
    losses: pd.DataFrame
    test: Friedman | None
    power: Power | None
    separated: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]

    @property
    def leader(self) -> str | None:
        """The method of the best average rank."""
        return None if self.test is None else str(_order(self.test.ranks)[0])


def compare(records: pd.DataFrame, *, metric: str = "mae", split: str | None = None) -> list[Comparison]:
    """Compare all methods in every stratum, from the mildest mechanism to the hardest."""
    rows = only_split(labelled(records), split)
    found = []
    scores = cells(rows, metric)
    for stratum in strata(rows):
        here = scores
        for key, value in stratum.items():
            here = here[here[key].eq(value)]
        losses = _blocks(here, metric, "complete")
        n, k = losses.shape
        if k < 2 or not here["complete"].any():
            continue
        if n < 2:
            found.append(Comparison(stratum, metric, losses, None, power(k, n) if n else None, (), ()))
            continue
        found.append(
            Comparison(
                stratum, metric, losses, friedman(losses), power(k, n), _separated(losses),
                tuple(_changes(here, metric, losses)),
            )
        )  # fmt: skip
    return found


def sensitivity(records: pd.DataFrame, *, split: str | None = None) -> pd.DataFrame:
    """The top three of each stratum under each score, policy and with each data set left out.

    Returns
    -------
    pandas.DataFrame
        ``protocol, split, mechanism, ratio, view, n`` (data sets), ``first, second, third`` (labels by
        average rank) and ``same``: whether the first is that of MAE over the complete data sets.
    """
    rows = only_split(labelled(records), split)
    table = []
    for key in (key for key in METRICS if rows[key].notna().any()):
        scores = cells(rows, key)
        for stratum in strata(rows):
            here = scores
            for name, value in stratum.items():
                here = here[here[name].eq(value)]
            for policy in POLICIES if key == "mae" else ("complete",):
                losses = _blocks(here, key, policy)
                if policy == "baseline" and BASELINE not in losses:
                    continue
                views = {METRICS[key].title if key != "mae" else POLICIES[policy]: losses}
                if key == "mae" and policy == "complete":
                    views |= {f"without {name}": losses.drop(index=name) for name in losses.index}
                for view, frame in views.items():
                    if frame.shape[0] and frame.shape[1] > 1:
                        top = _order(frame.round(9).rank(axis=1).mean())[:3]
                        top += [""] * (3 - len(top))
                        table.append(stratum | {"view": view, "n": len(frame)}
                                     | dict(zip(("first", "second", "third"), top, strict=True)))  # fmt: skip
    result = pd.DataFrame(table, columns=[*STRATUM, "view", "n", "first", "second", "third"])
    main = result[result["view"].eq(POLICIES["complete"])].set_index(STRATUM)["first"]
    beside = result[STRATUM].join(main.rename("main"), on=STRATUM)["main"]
    return result.assign(same=result["first"].eq(beside))


def within_table(records: pd.DataFrame, reference: str, *, metric: str = "mae") -> pd.DataFrame:
    """The papers' paired t-test over mask seeds: `reference` against each other method, table by table.

    It says whether a difference on *this* table outlasts the draw of its masks, and nothing about others.

    Returns
    -------
    pandas.DataFrame
        As `analysis.pairing.differences` (the reference's score minus the other's), with ``p_holm``, adjusted
        for the methods of one cell, and ``star``: p < 0.05 and the sign favours the reference.

    Raises
    ------
    ValueError
        If no record has that label.
    """
    rows, chosen = labelled(records), find_metric(metric)
    labels = sorted(rows["label"].unique())
    if reference not in labels:
        raise ValueError(f"no record is labelled {reference!r}; the labels are {', '.join(labels)}")
    pairs = [(reference, other) for other in labels if other != reference]
    table = differences(rows, chosen.key, pairs)
    table = table.rename(columns={"label": "reference", "reference": "label"})
    if table.empty:
        return table.assign(p_holm=[], star=[])
    table["p_holm"] = np.nan
    cell = ["protocol", "split", "dataset", "mechanism", "ratio"]
    for _, part in table[table["p"].notna()].groupby(cell):
        table.loc[part.index, "p_holm"] = holm(part["p"].to_numpy())
    means = cells(rows, chosen.key).set_index([*cell, "label"])["mean"]
    loss = chosen.loss(means)
    keys = [tuple(row[:-1]) for row in each(table[[*cell, "label"]])]
    gains = [
        loss.get((*key, reference), np.nan) < loss.get((*key, label), np.nan)
        for key, label in zip(keys, table["label"], strict=True)
    ]
    return table.assign(star=table["p"].lt(LEVEL) & np.array(gains, dtype=bool))


def _order(ranks: pd.Series) -> list[str]:
    return sorted(map(str, ranks.index), key=lambda name: (round(float(ranks[name]), 9), name))


def _separated(losses: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Pairs that Wilcoxon with Holm tells apart, the better first."""
    tests = wilcoxon_holm(losses)
    told = tests[tests["p_holm"].le(LEVEL)]
    return tuple(zip(told["first"], told["second"], strict=True))


def _changes(scores: pd.DataFrame, metric: str, losses: pd.DataFrame) -> list[str]:
    """How the conclusion would differ under the other policies; nothing where no cell is missing."""
    if not losses.attrs["missing"]:
        return []
    first = _order(losses.round(9).rank(axis=1).mean())[0]
    apart = set(_separated(losses))
    told = []
    for policy, words in POLICIES.items():
        other = _blocks(scores, metric, policy)
        if policy == "complete" or len(other) < 2:
            continue
        if policy == "baseline" and BASELINE not in other:
            continue
        leads = _order(other.round(9).rank(axis=1).mean())[0]
        pairs = set(_separated(other))
        said = [f"{leads} leads instead of {first}"] if leads != first else []
        said += [f"{a} and {b} are told apart" for a, b in sorted(pairs - apart)]
        said += [f"{a} and {b} are no longer told apart" for a, b in sorted(apart - pairs)]
        if said:
            told.append(f"Where {words}: {'; '.join(said)}.")
    return told
