"""The report: one page that opens anywhere, the same in Markdown, and the short form for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from analysis import cost_plots, curves, evidence, gallery, overview, panels, plots, stability
from analysis import grid as render
from analysis.findings import Findings, find
from analysis.page import environment, write_whole
from analysis.pairing import CONFIDENCE
from analysis.ranking import leaderboard, leaderboard_grid, only_split
from analysis.records import labelled, load, load_manifest
from analysis.schema import METRICS, SPLITS, percent


def pictures(found: Findings) -> dict[str, Markup]:
    """The pictures that these records allow, as inline SVG."""
    records, short, again = found.records, found.short, found.again
    drawn = {
        "relative": plots.relative_error(records, again=again),
        "cost": plots.cost(records, board=found.board, again=again),
        "stability": stability.picture(found.views),
        "panels": panels.panels(records, order=found.order, short=short, again=again),
        "cost_tables": cost_plots.accuracy_against_cost(records, short=short),
        "growth": cost_plots.growth_plot(found.costs),
        "failures": panels.failures(records, short=short, again=again),
    }
    drawn |= {f"two-{key}": drawing for key, drawing in plots.two_axes(records, again=again).items()}
    for index, comparison in enumerate(found.comparisons):
        drawn[f"cd-{index}"] = evidence.critical_difference_diagram(comparison)
    for study, tables in found.studies.items():
        for table in tables:
            drawn[f"ablation-{study}-{table.attrs['metric']}"] = curves.ablation(table, short=short)
    # Safe to set into the page: every text in a picture is escaped, by `analysis.drawing` or by matplotlib.
    return {name: Markup(text) for name, text in drawn.items() if text}


def html(found: Findings) -> str:
    """The report as one self-contained page."""
    figures = pictures(found)
    two = [
        (METRICS[key].title, figures[f"two-{key}"]) for key in plots.DISTRIBUTION if f"two-{key}" in figures
    ]
    told = {"report": found.report, "figures": figures, "two": two}
    told |= {"crowd": plots.CROWD, "confidence": percent(CONFIDENCE)}
    return environment(autoescape=True).get_template("report.html.j2").render(told)


def markdown(found: Findings) -> str:
    """The report as Markdown, without the pictures."""
    return environment(autoescape=False).get_template("report.md.j2").render(report=found.report)


FORMATS: dict[str, Callable[[Findings], str]] = {"html": html, "md": markdown}


def write(directory: str | Path, *, formats: Sequence[str] = ("html", "md")) -> list[Path]:
    """Write the report of a sweep beside its records.

    Parameters
    ----------
    directory
        The sweep's folder.
    formats
        Any of ``html`` and ``md``.

    Returns
    -------
    list of Path
        What was written: ``DIR/report.html``, ``DIR/report.md``. Each appears whole or not at all.

    Raises
    ------
    NoRecordsError
        If the folder holds no record.
    ValueError
        If a format is unknown.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown formats {unknown}; the formats are {', '.join(FORMATS)}")
    folder = Path(directory)
    found = _found(folder)
    written = []
    for form in formats:
        path = folder / f"report.{form}"
        write_whole(path, FORMATS[form](found))
        written.append(path)
    return written


def report_text(directory: str | Path, form: str = "html") -> str:
    """The report of a sweep as text, nothing being written.

    Raises
    ------
    NoRecordsError
        If the folder holds no record.
    """
    return FORMATS[form](_found(Path(directory)))


def _found(folder: Path) -> Findings:
    return find(load(folder), load_manifest(folder), folder.resolve().name)


def terminal(source: str | Path | pd.DataFrame, console: Console | None = None) -> None:
    """Print who won, what to bear in mind, the leaderboard and what failed.

    Parameters
    ----------
    source
        A sweep's folder, or its records.
    console
        Where to print; standard output by default.
    """
    console = console or Console()
    if isinstance(source, pd.DataFrame):
        records, manifest = labelled(source), {}
    else:
        records, manifest = load(source), load_manifest(source)
    shown = only_split(records)
    console.print()
    for index, split in enumerate(split for split in SPLITS if records["split"].eq(split).any()):
        board = leaderboard(records, split=split)
        if not index:
            console.print(Text(overview.verdict(board, shown), style="bold"))
            for caveat in overview.caveats(board, shown, manifest):
                console.print(Text(f"• {caveat}", style="dim"))
        console.print()
        console.print(render.terminal(leaderboard_grid(board)))
    if records["status"].ne("ok").any():
        console.print()
        console.print(render.terminal(gallery.grid(overview.failures(records))))
