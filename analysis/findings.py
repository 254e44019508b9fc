"""What the records show, worked out once, and all that a report says of it before it is set in any form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis import ablations, cost, evidence, gallery, overview, sections, stability
from analysis.again import Again, again
from analysis.breakdowns import breakdown_grid, breakdowns
from analysis.comparison import Comparison, compare
from analysis.fingerprint import results_hash
from analysis.gallery import Cause
from analysis.grid import Grid
from analysis.page import flat
from analysis.published import beside
from analysis.ranking import leaderboard, leaderboard_grid, only_split
from analysis.records import labelled
from analysis.schema import METRICS, SPLITS, Metric
from analysis.tables import paper_tables

ABLATED = ("mae", "wasserstein", "accuracy", "crps")
"""Scores that ablations are shown in, where they are there."""


@dataclass(frozen=True)
class Findings:
    """What both words and pictures of a report are made from."""

    records: pd.DataFrame
    manifest: Mapping[str, Any]
    name: str
    short: Mapping[str, str]
    board: pd.DataFrame
    comparisons: Sequence[Comparison]
    studies: Mapping[str, Sequence[pd.DataFrame]]  # name of a study -> a table for each score
    costs: pd.DataFrame
    views: pd.DataFrame
    again: Again

    @property
    def order(self) -> list[str]:
        """Labels, best first."""
        return list(self.board["label"])

    @cached_property
    def report(self) -> Report:
        """All that a report says of these findings."""
        return compose(self)


def find(records: pd.DataFrame, manifest: Mapping[str, Any], name: str = "sweep") -> Findings:
    """Work out what the records show.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    manifest
        As `analysis.load_manifest` gives it; may be empty.
    name
        What to call the sweep where the manifest does not say, and its folder in commands.
    """
    records = labelled(records)
    shown = only_split(records)
    scored = [key for key in ABLATED if shown[key].notna().any()]
    return Findings(
        records=records,
        manifest=manifest,
        name=name,
        short=sections.short_names(records, manifest),
        board=leaderboard(records),
        comparisons=compare(records),
        studies={
            study.name: [ablations.ablation(records, parameter=study.name, metric=key) for key in scored]
            for study in ablations.found(shown)
        },
        costs=cost.costs(records),
        views=stability.stability(records),
        again=again(records, manifest, name),
    )


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    title: str
    name: str
    verdict: str
    caveats: Sequence[str]
    outcome: overview.Outcome
    data: Grid
    leaderboards: Sequence[tuple[str, Grid]]  # (split in words, table)
    breakdowns: Sequence[Grid]
    stability: Grid | None
    sensitivity: Grid | None
    pairs: Sequence[tuple[str, Grid]]  # (name of its picture, table)
    within: Sequence[Grid]
    tables: Sequence[tuple[Metric, Sequence[Grid]]]
    empty: Sequence[str]
    published: Sequence[Grid]
    incomparable: Sequence[str]
    ablations: Sequence[tuple[str, str, Sequence[tuple[str, Sequence[Grid]]]]]
    """(name, title, for each score the name of its picture and its tables)"""
    costs: Sequence[Grid]
    failures: Grid | None
    causes: Sequence[Cause]
    methods: Grid | None
    command: str
    one_trial: str
    results: str
    protocols: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    fingerprint: str
    period: str
    finished: bool
    labels: Sequence[str]
    datasets: Sequence[str]


def compose(found: Findings) -> Report:
    """All that the report of these findings says."""
    records, manifest, short, order = found.records, found.manifest, found.short, found.order
    shown = only_split(records)
    boards = {split: _board(found, split) for split in SPLITS if records["split"].eq(split).any()}
    board = next(iter(boards.values()), found.board)
    pairs = beside(records)
    failed = overview.failures(records)
    return Report(
        title=str(manifest.get("title") or manifest.get("name") or found.name),
        name=str(manifest.get("name") or found.name),
        verdict=overview.verdict(board, shown),
        caveats=overview.caveats(board, shown, manifest),
        outcome=overview.outcome(records, manifest),
        data=sections.data_grid(records, manifest),
        leaderboards=[(SPLITS[split], leaderboard_grid(table)) for split, table in boards.items()],
        breakdowns=[breakdown_grid(table) for table in breakdowns(records)],
        stability=stability.grid(found.views),
        sensitivity=evidence.sensitivity_grid(records),
        pairs=[
            (f"cd-{index}", grid)
            for index, comparison in enumerate(found.comparisons)
            if (grid := evidence.pair_grid(comparison)) is not None
        ],
        within=evidence.within_grids(records, order[0], short) if len(order) > 1 else [],
        tables=[
            (metric, paper_tables(records, metric=key, order=order, short=dict(short)))
            for key, metric in METRICS.items()
            if records[key].notna().any()
        ],
        empty=overview.empty_metrics(records),
        published=sections.published_grids(pairs, short),
        incomparable=sections.incomparable(pairs),
        ablations=_ablations(found),
        costs=cost.cost_grids(found.costs, order, dict(short)),
        failures=gallery.grid(failed) if len(failed) else None,
        causes=gallery.causes(records, found.again),
        methods=sections.method_grid(board, manifest),
        command=str(manifest.get("command") or ""),
        one_trial=found.again.trial_command(),
        results=found.again.results,
        protocols=", ".join(sorted(records["protocol"].dropna().unique())),
        versions=flat(manifest.get("versions")),
        machine=flat(manifest.get("machine")),
        fingerprint=results_hash(records),
        period=_period(records),
        finished=bool(manifest.get("finished", True)),
        labels=order,
        datasets=sorted(records["dataset"].dropna().unique()),
    )


def _board(found: Findings, split: str) -> pd.DataFrame:
    done = found.board.attrs["split"] == split
    return found.board if done else leaderboard(found.records, split=split)


def _ablations(found: Findings) -> list[tuple[str, str, list[tuple[str, list[Grid]]]]]:
    return [
        (
            study,
            ablations.STUDIES[study].title,
            [
                (f"ablation-{study}-{table.attrs['metric']}", sections.ablation_grids(table, found.short))
                for table in tables
            ],
        )
        for study, tables in found.studies.items()
    ]


def _period(records: pd.DataFrame) -> str:
    """When the trials ran, in UTC; empty where that was not recorded."""
    begun, ended = records["started_at"].min(), records["finished_at"].max()
    if pd.isna(begun) or pd.isna(ended):
        return ""
    return f"{begun:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC"
