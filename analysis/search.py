"""From the history of a hyperparameter search to what it found: a table, a page, a few lines.

The history has a row for each configuration and fold. Folds are the same for all configurations, so these are
compared on what both have run: `relative` is a configuration's loss divided by the default's on the same
folds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from analysis import grid as render
from analysis import search_plots as plots
from analysis.grid import Column, Entry, Grid
from analysis.page import environment, flat, write_whole
from analysis.records import NoRecordsError
from analysis.schema import (
    STATUSES,
    Metric,
    counted,
    cut,
    each,
    find_metric,
    mechanism_text,
    percent,
    ratio_text,
)

SHOWN = 10
"""Configurations in the table, best first; the history holds the rest."""
ENOUGH = 10
"""With fewer configurations than this nothing is said of which parameter matters."""
REACH = 0.1
"""Width of the kernel that smooths a score over a parameter, as a share of its configurations."""


def load(directory: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The history and the manifest of a search.

    Raises
    ------
    NoRecordsError
        If the folder holds none.
    """
    folder = Path(directory)
    try:
        history = pd.read_parquet(folder / "search.parquet")
        manifest = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoRecordsError(f"{str(folder)!r} holds no search: {error.filename} is not there") from error
    # JSON's keys are sorted: the parameters come in the order of the space
    order = manifest.get("parameters", list(manifest["space"]))
    manifest["space"] = {name: manifest["space"][name] for name in order}
    return history, manifest


def configurations(history: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """One row for each configuration, in the order in which they were proposed.

    Parameters
    ----------
    history
        Rows of ``search.parquet``.
    n_folds
        Folds of a complete configuration.

    Returns
    -------
    DataFrame
        ``number``, ``values`` (dict), ``folds`` (that have a score), ``score`` and ``loss`` (their means),
        ``relative`` (to the default on the same folds; null without it), ``wins`` (folds with a lower loss
        than the default's), ``seconds`` (mean), ``state`` (``complete``, ``stopped``, ``unfinished`` or how
        it failed) and ``error``.
    """
    good = history[history["status"].eq("ok")]
    default = good[good["number"].eq(0)].set_index("fold")["loss"]
    rows = []
    for _, part in history.sort_values("fold").groupby("number"):
        scored = part[part["status"].eq("ok")]
        beside = default.reindex(scored["fold"]).to_numpy()
        losses = scored["loss"].to_numpy(dtype=float)
        base = beside.mean() if len(beside) else np.nan
        bad = part[~part["status"].isin(["ok", "stopped"])]
        if len(bad):
            state = str(bad["status"].iloc[0])
        elif part["status"].eq("stopped").any():
            state = "stopped"
        else:
            state = "complete" if len(scored) == n_folds else "unfinished"
        rows.append(
            {
                "number": int(part["number"].iloc[0]),
                "values": json.loads(part["values"].iloc[0]),
                "folds": len(scored),
                "score": scored["score"].mean(),
                "loss": losses.mean() if len(losses) else np.nan,
                "relative": losses.mean() / base if len(losses) and base > 0 else np.nan,
                "wins": int((losses < beside).sum()),
                "seconds": scored["seconds"].mean(),
                "state": state,
                "error": str(bad["error"].iloc[0] or "") if len(bad) else "",
            }
        )
    return pd.DataFrame(rows)


def best(found: pd.DataFrame) -> Mapping[str, Any] | None:
    """The complete configuration of the lowest loss, the earliest of equal ones; None if none is complete."""
    complete = found[found["state"].eq("complete")]
    if complete.empty:
        return None
    return {str(name): value for name, value in complete.sort_values(["loss", "number"]).iloc[0].items()}


def importance(found: pd.DataFrame, space: Mapping[str, Any]) -> pd.Series:
    """How much of the differences between configurations each parameter foretells by itself.

    The rank of a configuration (by `relative`, else by loss) is predicted from those of the others: by a
    Gaussian kernel over the rank of the parameter's value, or by the mean of its category. Importance is the
    share of the squared error of the mean of the others that this does away with, at least 0. It measures
    main effects alone, no interactions, over the configurations as they were proposed, which gather where
    scores are good.

    Returns
    -------
    Series
        Parameter -> share in [0, 1], the highest first; empty with fewer than :data:`ENOUGH` configurations.
    """
    scored = found[found["loss"].notna()]
    by = "relative" if scored["relative"].notna().all() else "loss"
    if len(scored) < ENOUGH:
        return pd.Series(dtype=float)
    target = scored[by].rank().to_numpy()
    n = len(target)
    others = (target.sum() - target) / (n - 1)
    worst = np.square(target - others).sum()
    shares = {}
    for name, dimension in space.items():
        places = plots.positions(dimension, [values[name] for values in scored["values"]])
        if plots.is_ordered(dimension):
            known = np.where(np.isnan(places), np.nanmean(places), places)
            ranks = pd.Series(known).rank().to_numpy() / n
            weights = np.exp(-0.5 * np.square((ranks[:, None] - ranks[None, :]) / REACH))
        else:
            weights = (places[:, None] == places[None, :]).astype(float)
        np.fill_diagonal(weights, 0.0)
        # one more vote for the mean of the others: a category of one says nothing
        predicted = (weights @ target + others) / (weights.sum(axis=1) + 1.0)
        shares[name] = max(0.0, 1.0 - np.square(target - predicted).sum() / worst) if worst else 0.0
    return pd.Series(shares).sort_values(ascending=False, kind="stable")


@dataclass(frozen=True)
class Page:
    """All that the page says, before it is set in any form."""

    title: str
    task: str
    verdict: str
    caveats: Sequence[str]
    table: Grid
    failures: Grid | None
    importance: Grid | None
    command: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    has_best: bool


def compose(history: pd.DataFrame, manifest: Mapping[str, Any]) -> tuple[Page, dict[str, Markup]]:
    """The page of a search and its pictures, as inline SVG."""
    found = configurations(history, manifest["folds"])
    metric, space = find_metric(manifest["metric"]), manifest["space"]
    chosen, shares = best(found), importance(found, space)
    task = (
        f"{manifest['dataset']}, {mechanism_text(manifest['mechanism'])}, {ratio_text(manifest['ratio'])} "
        f"missing"
    )
    page = Page(
        title=str(manifest["title"]),
        task=task,
        verdict=verdict(found, metric),
        caveats=caveats(history, found, manifest),
        table=_table(found, space, metric),
        failures=_failures(found),
        importance=_importance_grid(shares),
        command=str(manifest.get("command") or ""),
        versions=flat(manifest.get("versions")),
        machine=flat(manifest.get("machine")),
        has_best=chosen is not None,
    )
    number = int(chosen["number"]) if chosen else None
    drawn = {
        "progress": plots.progress(found, metric),
        "parallel": plots.parallel(found, space, metric, number),
        "importance": plots.importance(shares),
        "surface": plots.surface(found, space, metric, number, list(shares.index) or list(space)),
    }
    # Safe to set into the page: matplotlib escapes every text that it writes, and so does `canvas.svg`.
    return page, {name: Markup(text) for name, text in drawn.items() if text}


def verdict(found: pd.DataFrame, metric: Metric) -> str:
    """One sentence: what was found and what was gained."""
    chosen = best(found)
    if chosen is None:
        return f"None of {counted(len(found), 'configuration')} has a score on every fold."
    score = f"a validation {metric.title} of {metric.text(chosen['score'])}"
    default = found[found["number"].eq(0)]
    if chosen["number"] == 0:
        return f"The default is the best of {counted(len(found), 'configuration')}: {score}."
    said = f"Configuration {chosen['number']} of {len(found)} has {score}"
    if default.empty or default["state"].iloc[0] != "complete":
        return f"{said}; the default has none."
    base = default.iloc[0]
    gain = 1 - chosen["loss"] / base["loss"]
    return (
        f"{said}, the default {metric.text(base['score'])}: an error {percent(gain, 1)} lower, "
        f"on {chosen['wins']} of {counted(int(chosen['folds']), 'fold')}."
    )


def caveats(history: pd.DataFrame, found: pd.DataFrame, manifest: Mapping[str, Any]) -> list[str]:
    """What a reader must bear in mind."""
    seeds, chosen = ", ".join(map(str, manifest["mask_seeds"])), best(found)
    told = [
        "Scores are on observed entries that were hidden for validation, never on the task's own holes.",
        f"The method got tables with {percent(history['missing_share'].mean())} of the entries missing, "
        f"where the task has {ratio_text(manifest['ratio'])}."
        if history["missing_share"].notna().any()
        else "",
        f"The best of {counted(len(found), 'configuration')} on the same folds looks better than it is: "
        f"best.yaml puts it beside the default on masks other than those searched ({seeds}), "
        "of the same table."
        if chosen is not None and chosen["number"]
        else "",
    ]
    states = found["state"].value_counts()
    if states.get("stopped", 0):
        number = counted(int(states["stopped"]), "configuration")
        told.append(f"{number} fell behind on the first folds and ran no more.")
    failed = sum(int(states.get(kind, 0)) for kind in STATUSES if kind != "ok")
    if failed:
        told.append(f"{counted(failed, 'configuration')} failed.")
    missing = manifest["wanted"] - len(found) + int(states.get("unfinished", 0))
    if missing > 0:
        told.append(f"The search had {counted(missing, 'configuration')} to go when this page was written.")
    return [sentence for sentence in told if sentence]


def write(directory: str | Path) -> list[Path]:
    """Write ``search.html`` and ``search.md`` beside the history; each appears whole or not at all.

    Raises
    ------
    NoRecordsError
        If the folder holds no search.
    """
    folder = Path(directory)
    page, figures = compose(*load(folder))
    written = []
    for form in ("html", "md"):
        template = environment(autoescape=form == "html").get_template(f"search.{form}.j2")
        path = folder / f"search.{form}"
        write_whole(path, template.render(page=page, figures=figures))
        written.append(path)
    return written


def terminal(directory: str | Path, console: Console) -> None:
    """Print what was found, what to bear in mind and the best configurations."""
    history, manifest = load(directory)
    found = configurations(history, manifest["folds"])
    metric = find_metric(manifest["metric"])
    console.print()
    console.print(Text(verdict(found, metric), style="bold"))
    for caveat in caveats(history, found, manifest):
        console.print(Text(f"• {caveat}", style="dim"))
    console.print()
    console.print(render.terminal(_table(found, manifest["space"], metric)))
    failures = _failures(found)
    if failures is not None:
        console.print(render.terminal(failures))


def _table(found: pd.DataFrame, space: Mapping[str, Any], metric: Metric) -> Grid:
    complete = found[found["state"].eq("complete")].sort_values(["loss", "number"])
    shown = complete.head(SHOWN)
    if 0 in set(found["number"]) - set(shown["number"]):
        shown = pd.concat([shown, found[found["number"].eq(0)]])
    columns = [
        Column("configuration", number=False),
        *(Column(name) for name in space),
        Column(metric.title, explanation=f"mean over the folds: {metric.explanation}"),
        Column("to default", explanation="error divided by the default's on the same folds"),
        Column("seconds", explanation="to fit and impute a fold, mean"),
    ]
    rows = []
    for place, row in enumerate(each(shown)):
        name = f"{row.number} (default)" if row.number == 0 else str(row.number)
        chosen = place == 0 and row.state == "complete"
        rows.append(
            [
                Entry(name, value=float(row.number)),
                *(
                    Entry(plots.value_text(row.values[key]), value=_sortable(row.values[key]))
                    for key in space
                ),
                Entry(metric.text(row.score), value=row.score, mark="best" if chosen else ""),
                Entry(f"{row.relative:.3f}" if np.isfinite(row.relative) else "–", value=row.relative),
                Entry(f"{row.seconds:.3g}" if np.isfinite(row.seconds) else "–", value=row.seconds),
            ]
        )
    detail = f"{min(SHOWN, len(complete))} of {counted(len(complete), 'configuration')} with every fold"
    return Grid("Best configurations", columns, rows, detail=detail)


def _sortable(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None


def _importance_grid(shares: pd.Series) -> Grid | None:
    if shares.empty:
        return None
    rows = [[Entry(str(name)), Entry(percent(share), value=share)] for name, share in shares.items()]
    return Grid("Importance", [Column("parameter", number=False), Column("foretold by it alone")], rows)


def _failures(found: pd.DataFrame) -> Grid | None:
    failed = found[found["state"].isin([kind for kind in STATUSES if kind != "ok"])]
    if failed.empty:
        return None
    rows = [
        [
            Entry(str(row.number), value=float(row.number)),
            Entry(", ".join(f"{name} {plots.value_text(value)}" for name, value in row.values.items())),
            Entry(STATUSES[row.state]),
            Entry(cut(row.error.partition("\n")[0], 200)),
        ]
        for row in each(failed)
    ]
    columns = [
        Column("configuration", number=False),
        Column("parameters", number=False, prose=True),
        Column("how", number=False),
        Column("error", number=False, prose=True),
    ]
    return Grid("Failed configurations", columns, rows)
