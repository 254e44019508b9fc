"""What ran, what failed, which holes were really made, who did best, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.records import STANDARD, labelled
from analysis.schema import (
    METRICS,
    OFF_TARGET,
    SPLITS,
    STATUSES,
    counted,
    find_metric,
    mechanism_text,
    ratio_text,
)


@dataclass(frozen=True)
class Outcome:
    """Trials planned and how they ended.

    Attributes
    ----------
    planned
        What the sweep set out to run; None where it left no manifest, or where more is recorded.
    recorded
        Trials with a record.
    ended
        Recorded trials for each status, those that occur.
    """

    planned: int | None
    recorded: int
    ended: Mapping[str, int]

    @property
    def failures(self) -> int:
        """Recorded trials that did not succeed."""
        return self.recorded - self.ended.get("ok", 0)

    @property
    def missing(self) -> int:
        """Planned trials without a record."""
        return max((self.planned or self.recorded) - self.recorded, 0)

    def sentence(self) -> str:
        """The outcome in words."""
        head = (
            f"{self.recorded:,} of {self.planned:,} planned trials"
            if self.planned
            else f"{self.recorded:,} trials"
        )
        if not self.failures:
            told = "all succeeded" if self.recorded > 1 else "it succeeded"
        else:
            bad = [f"{n:,} {STATUSES.get(key, key)}" for key, n in self.ended.items() if key != "ok"]
            told = f"{self.ended.get('ok', 0):,} succeeded, {', '.join(bad)}"
        rest = f"; {self.missing:,} not yet run" if self.missing else ""
        return f"{head} are recorded: {told}{rest}."


def outcome(records: pd.DataFrame, manifest: Mapping[str, Any] | None = None) -> Outcome:
    """Count trials (not rows) by the way they ended; a trial that failed in any split has failed."""
    plan = (manifest or {}).get("planned")
    planned = plan.get("trials") if isinstance(plan, Mapping) else None
    worst = records.assign(bad=records["status"].ne("ok")).sort_values("bad", kind="stable")
    ended = worst.drop_duplicates("trial_key", keep="last")["status"].value_counts()
    recorded = int(ended.sum())
    return Outcome(
        planned=planned if isinstance(planned, int) and planned >= recorded else None,
        recorded=recorded,
        ended={str(status): int(n) for status, n in ended.items()},
    )


def realised(records: pd.DataFrame) -> pd.DataFrame:
    """The share of entries that each mechanism really hid.

    Returns
    -------
    pandas.DataFrame
        One row for each dataset, mechanism, ratio, protocol and split: ``mean, least, most`` of the realised
        share over the masks (one for each mask seed, whatever the number of methods), ``masks``, ``entries``
        (scored entries, mean over masks) and ``off`` (the mean is more than half a point from the ratio).
    """
    keys = ["dataset", "mechanism", "ratio", "protocol", "split"]
    masks = records.dropna(subset=["realised_ratio"]).drop_duplicates([*keys, "mask_seed"])
    table = (
        masks.groupby(keys)
        .agg(
            mean=("realised_ratio", "mean"),
            least=("realised_ratio", "min"),
            most=("realised_ratio", "max"),
            masks=("mask_seed", "size"),
            entries=("n_missing", "mean"),
        )
        .reset_index()
    )
    # Rounded first, so that a share at the very edge is not decided by the last bit of a sum.
    table["off"] = (table["mean"] - table["ratio"]).abs().round(9).gt(OFF_TARGET)
    return table


def failures(records: pd.DataFrame) -> pd.DataFrame:
    """Failed trials, alike ones together.

    Returns
    -------
    pandas.DataFrame
        ``label, status, error, trials, where, trace, trial_key``: the number of trials of a method that ended
        the same way with the same error (its first line), most frequent first; the problems they were; and
        the whole text and the key of the first of them.
    """
    bad = labelled(records)
    bad = bad[bad["status"].ne("ok")].drop_duplicates("trial_key")
    texts = bad["error"].fillna("").str.strip()
    bad = bad.assign(
        error=texts.str.partition("\n")[0] if len(bad) else texts,
        trace=texts,
        where=[
            f"{dataset} {mechanism_text(mechanism)} {ratio_text(ratio)}"
            for dataset, mechanism, ratio in zip(bad["dataset"], bad["mechanism"], bad["ratio"], strict=True)
        ],
    )
    table = bad.groupby(["label", "status", "error"]).agg(
        trials=("trial_key", "size"),
        where=("where", lambda where: ", ".join(sorted(set(where)))),
        trace=("trace", "first"),
        trial_key=("trial_key", "first"),
    )
    return table.reset_index().sort_values(["trials", "label", "error"], ascending=[False, True, True])


def empty_metrics(records: pd.DataFrame) -> list[str]:
    """Which scores no row has, and why, in sentences."""
    empty = [key for key in METRICS if records[key].isna().all()]
    if not records["status"].eq("ok").any():
        return ["No score can be shown: no trial succeeded."]
    told = []
    for key in (key for key in STANDARD if key in empty):
        notes: Any = records[f"{key}_note"].dropna().unique() if f"{key}_note" in records else []
        kind = "categories" if key == "accuracy" else "numbers"
        why = "; ".join(sorted(map(str, notes))) or f"in these tables no {kind} were hidden"
        told.append(f"No row has {METRICS[key].title}: {why}.")
    rest = [METRICS[key].title for key in empty if key not in STANDARD]
    if rest:
        told.append(
            f"Null throughout: {', '.join(rest)}. A sweep asks for these with --scores, and some apply only "
            "to methods that give draws or to tables with a target."
        )
    return told


def verdict(board: pd.DataFrame, records: pd.DataFrame) -> str:
    """Who did best, by how much and over what, in plain words.

    Parameters
    ----------
    board
        As `analysis.ranking.leaderboard` gives it.
    records
        The rows it was made from.
    """
    ranked = board[board["average_rank"].notna()]
    scope = _scope(records)
    number, seen = board.attrs["cells_ranked"], board.attrs["cells_seen"]
    if 0 < number < seen:
        scope = f"the {number} of {seen} cells that all completed, of {scope}"
    if ranked.empty:
        return f"Nobody can be ranked over {scope}. {board.attrs['note']}"
    first = ranked.iloc[0]
    title = find_metric(board.attrs["metric"]).title
    if len(ranked) == 1:
        shown = first[board.attrs["metric"]]
        beside = _against(first["relative_error"]) if first["method"] != "mean" else ""
        told = f", {beside}" if beside else ""
        alone = f"{first['label']} alone completed {scope}"
        return f"{alone}: {title} {shown:.3f} on average{told}. There is nothing to compare it with."
    tied = ranked[ranked["average_rank"].eq(first["average_rank"])]
    leaders = tied["label"].tolist()
    if len(leaders) > 1:
        named = f"{', '.join(leaders[:-1])} and {leaders[-1]}"
        told = "; ".join(f"{row['label']} {_against(row['relative_error'])}" for _, row in tied.iterrows())
        told = f" In the median cell: {told}." if first["relative_error"] > 0 else ""
        shared = f"average rank {first['average_rank']:.2f} by {title} among {len(ranked)} methods"
        return f"{named} share the first place over {scope}: {shared}.{told}"
    against = _against(first["relative_error"]) if first["method"] != "mean" else ""
    merits = [
        f"{against} in the median cell" if against else "",
        f"the lowest {title} in {first['wins']} of {counted(number, 'cell')}",
        f"average rank {first['average_rank']:.2f} among {len(ranked)} methods",
    ]
    second = ranked.iloc[1]
    return (
        f"{first['label']} fills the holes best over {scope}: {', '.join(filter(None, merits))}. "
        f"Next is {second['label']}, average rank {second['average_rank']:.2f}{_told(second)}."
    )


def caveats(
    board: pd.DataFrame, records: pd.DataFrame, manifest: Mapping[str, Any] | None = None
) -> list[str]:
    """What a reader must bear in mind, most important first."""
    ended = outcome(records, manifest)
    ranked = board[board["average_rank"].notna()]
    found: list[str] = []
    if ended.missing:
        found.append(
            f"The sweep is not complete: {ended.missing:,} of {ended.planned:,} trials have no record."
        )
    if ended.failures:
        found.append(
            f"{counted(ended.failures, 'trial')} of {ended.recorded:,} did not succeed; see Failures."
        )
    if board.attrs["cells_ranked"] < board.attrs["cells_seen"] or len(ranked) < len(board):
        found.append(board.attrs["note"])
    seeds, tables = records["mask_seed"].nunique(), records["dataset"].nunique()
    if len(ranked) > 1:
        found.append(
            f"Ranks describe {counted(tables, 'dataset')} with {counted(seeds, 'mask seed')} each; no "
            "significance is claimed: the dataset is the unit of evidence, mask seeds are repetitions."
        )
    if len(ranked) > 1 and ranked["relative_error"].notna().any():
        nearest = ranked.loc[ranked["relative_error"].idxmin()]
        if nearest["label"] != ranked.iloc[0]["label"]:
            found.append(
                f"By median error relative to mean imputation {nearest['label']} is ahead "
                f"({nearest['relative_error']:.2f} against {ranked.iloc[0]['relative_error']:.2f})."
            )
    if len(ranked) > 1 and ranked["wasserstein"].notna().any():
        faithful = ranked.loc[ranked["wasserstein"].idxmin()]
        if faithful["label"] != ranked.iloc[0]["label"]:
            found.append(
                f"MAE favours a typical value, not a faithful distribution: by Wasserstein cost "
                f"{faithful['label']} comes first."
            )
    schemas = sorted(records["schema_version"].dropna().unique())
    if len(schemas) > 1:
        told = " and ".join(f"{version:g}" for version in schemas)
        found.append(
            f"Records of schema versions {told} stand side by side; what an older one lacks is missing."
        )
    shares = realised(records)
    off = shares[shares["off"]]
    if len(off):
        named = sorted(off["mechanism"].unique())
        told = ", ".join(
            f"{mechanism_text(name)} {' to '.join(dict.fromkeys(map(ratio_text, ends)))}"
            for name, ends in (
                (name, off.loc[off["mechanism"].eq(name), "mean"].round(3).agg(["min", "max"]))
                for name in named
            )
        )
        found.append(f"The realised missing share differs from the ratio asked for: {told}.")
    return found


def _scope(records: pd.DataFrame) -> str:
    """What a ranking is about, as ``3 datasets × 3 mechanisms at 30 % missing, 3 mask seeds``."""
    ratios = sorted(records["ratio"].dropna().unique())
    shares = (
        ratio_text(ratios[0]) if len(ratios) == 1 else f"{ratio_text(ratios[0])} to {ratio_text(ratios[-1])}"
    )
    split = "out_of_sample" if records["split"].eq("out_of_sample").all() else "in_sample"
    return (
        f"{counted(records['dataset'].nunique(), 'dataset')} × "
        f"{counted(records['mechanism'].nunique(), 'mechanism')} at {shares} missing "
        f"({counted(records['mask_seed'].nunique(), 'mask seed')}, {SPLITS[split]})"
    )


def _against(relative: float) -> str:
    """A relative error in words; empty where there is none."""
    if pd.isna(relative):
        return ""
    points = round(abs(1 - relative) * 100)
    if not points:
        return "about as much error as mean imputation"
    return f"{points}\u202f% {'less' if relative < 1 else 'more'} error than mean imputation"


def _told(row: pd.Series) -> str:
    against = _against(row["relative_error"]) if row["method"] != "mean" else ""
    return f" ({against})" if against else ""
