"""The page itself: whole, self-contained, escaped, the same for equal records."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_records import DATASETS, SHORT, frame, grid_rows, manifest, record, write_sweep
from rich.console import Console

import analysis
from analysis import canvas, panels, plots, report
from analysis.fingerprint import results_hash
from analysis.records import NoRecordsError

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags opened and closed, ids, links and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("href", "xlink:href"):
                self.links.append(value)
            if key in ("src", "href") and not value.startswith("#"):
                self.outside.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    rows = grid_rows()
    return write_sweep(tmp_path_factory.mktemp("made") / "quick", rows, manifest(rows))


@pytest.fixture(scope="module")
def page(quick) -> str:
    (path,) = analysis.write(quick, formats=("html",))
    return path.read_text(encoding="utf-8")


def test_write_makes_both_forms_and_leaves_nothing_else(build):
    sweep = build([record(), record(method="em")])
    before = {path.name for path in sweep.iterdir()}
    written = analysis.write(sweep)
    assert written == [sweep / "report.html", sweep / "report.md"]
    assert {path.name for path in sweep.iterdir()} == before | {"report.html", "report.md"}


def test_a_report_that_cannot_be_made_leaves_the_old_one(sweep, monkeypatch):
    (sweep / "report.md").write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        analysis.write(sweep, formats=("md",))
    assert (sweep / "report.md").read_text() == "old"
    assert not list(sweep.glob(".report*"))


def test_unknown_formats_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown formats \['pdf'\]; the formats are html, md"):
        analysis.write(tmp_path, formats=("pdf",))
    with pytest.raises(NoRecordsError):
        analysis.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page):
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.outside == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.count("<h1>") == 1
    assert parsed.tags.count("table") == page.count("<caption")


def test_every_section_stands_in_the_order_a_reader_trusts(page):
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == [
        *(
            "ran",
            "error",
            "leaderboard",
            "stability",
            "significance",
            "datasets",
            "published",
            "cost",
            "again",
        )
    ]


def test_the_page_says_what_ran_and_how_to_run_it_again(page, quick):
    text = Page(page).text
    records = analysis.load(quick)
    assert "189 of 189 planned trials are recorded: all succeeded." in text
    assert "python -m orchestrator sweep quick --out results/quick" in text
    assert results_hash(records) in text
    assert "numpy 2.4.0" in text


def test_equal_records_give_equal_pages(tmp_path):
    rows = grid_rows(datasets={"diabetes": DATASETS["diabetes"]}, mechanisms=("mar",), seeds=2)
    pages = []
    for index, order in enumerate((rows, rows[::-1])):
        folder = write_sweep(tmp_path / str(index) / "quick", order, manifest(rows))
        pages.append([path.read_bytes() for path in analysis.write(folder)])
    assert pages[0] == pages[1]


def test_names_and_errors_from_outside_never_become_markup(build):
    nasty = "<script>alert(1)</script>\"'&|`*$x^$ -->"
    rows = [
        record(dataset=nasty, method=method, mask_seed=seed, mae=0.3 + seed / 10)
        for method in ("mean", nasty)
        for seed in (0, 1)
    ]
    rows += [record(dataset=nasty, method="em", status="failed", error=nasty)]
    null = {"wasserstein": None, "wasserstein_note": nasty}
    rows += [record(dataset=nasty, method="gain", mask_seed=seed, **null) for seed in (0, 1)]
    told = {nasty: nasty}
    about = manifest(rows, title=nasty, name=nasty, command=nasty, versions=told, machine=told)
    about["datasets"] = {nasty: {"short": nasty}}
    about["methods"] = {nasty: {"title": nasty, "family": nasty, "reference": nasty}}
    html, markdown = (path.read_text() for path in analysis.write(build(rows, about)))
    assert html.count("<script>") == 1  # the page's own
    parsed = Page(html)
    assert parsed.open == []
    assert "alert(1)" in parsed.text
    outside_code = "\n".join(line for line in markdown.splitlines() if not line.startswith("    "))
    assert "<script" not in outside_code


@pytest.mark.parametrize(
    "rows",
    [
        [record()],
        [record(status="failed")],
        [record(method="em", mae=0.4)],
        [record(method=name, mae=None, rmse=None, wasserstein=None) for name in ("em", "mean")],
        [record(fit_seconds=None, impute_seconds=None, realised_ratio=None, started_at=None, n_rows=None)],
        [record(split="out_of_sample")],
        [record(dataset=name, method=method, split=split) for name in "ab" for method in ("mean", "em")
         for split in ("in_sample", "out_of_sample")],
        [record(mae=0.0, method=name) for name in ("em", "mean")],
        [record(accuracy=0.8, mae=None, rmse=None, wasserstein=None, method=name) for name in ("mode",
        "mean")], [record(method=f"m{index}", mae=0.1 + index / 50) for index in range(22)],
        [record(ratio=ratio, method=name) for ratio in (0.1, 0.3, 0.99) for name in ("em", "mean")],
    ],
    ids=["one trial", "only a failure", "no mean", "no score", "little recorded", "out of sample",
    "two splits",
         "no error", "categories only", "many methods", "several ratios"],
)  # fmt: skip
def test_thin_and_odd_results_still_give_a_true_page(build, rows):
    folder = build(rows)  # and no manifest
    html, markdown = (path.read_text() for path in analysis.write(folder))
    assert Page(html).open == []
    assert "nan" not in re.sub("unanimous|trees on nan", "", Page(html).text.lower())
    assert "None" not in markdown
    analysis.terminal(folder, Console(file=io.StringIO()))


def test_failures_are_counted_shown_and_drawn(build):
    rows = grid_rows(mechanisms=("mcar", "mar"), seeds=2)
    for row in rows:
        if row["method"] == "newimp" and row["dataset"] == "diabetes":
            row |= record(
                **{**row, "status": "out_of_memory", "error": "tried to allocate 9 GB\n  in <module>"}
            )
    html = analysis.write(build(rows, manifest(rows)), formats=("html",))[0].read_text()
    text = Page(html).text
    assert "4 trials of 84 did not succeed" in text
    assert "tried to allocate 9 GB" in text
    assert "in <module>" in text  # the whole error, folded away
    assert "4 of 6 cells" in text
    assert 'id="failures-title"' in html


def test_the_terminal_shows_verdict_board_and_failures(sweep, rows):
    console = Console(record=True, width=120, file=io.StringIO())
    analysis.terminal(sweep, console)
    text = console.export_text()
    assert "Leaderboard over 9 of 9 cells" in text
    assert "newimp" in text
    console = Console(record=True, width=120, file=io.StringIO())
    analysis.terminal(
        frame([*rows, record(method="gain", status="failed", error="[red]boom[/red]")]), console
    )
    assert "[red]boom[/red]" in console.export_text()


def test_a_users_file_is_headed_by_its_name(build):
    rows = [
        record(dataset=f"/data/{name}.csv", method=method) for name in ("a", "b") for method in ("em", "mean")
    ]
    rows += [record(dataset="/other/b.csv", method="mean")]
    markdown = analysis.write(build(rows), formats=("md",))[0].read_text()
    assert "| method | a.csv | /data/b.csv | /other/b.csv |" in markdown


def test_short_names_head_the_tables(build):
    rows = [record(dataset=name, method=method) for name in SHORT for method in ("em", "mean")]
    markdown = analysis.write(build(rows, manifest(rows)), formats=("md",))[0].read_text()
    assert "| method | BT | BCD | CC | IS | PK | QB | CBV | WQW |" in markdown


@pytest.mark.parametrize("draw", [plots.relative_error, plots.cost, panels.panels])
def test_pictures_are_sound_svg_with_text_and_the_pages_colours(rows, draw):
    text = draw(frame(rows))
    tree = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    words = "".join("".join(node.itertext()) for node in tree.iter(f"{space}text"))
    for method in ("em", "newimp", "knn"):
        assert method in words
    assert tree.find(f"{space}title") is not None
    assert "var(--series-1, #0072b2)" in text
    bare = re.sub(r"var\(--[\w-]+, #\w+\)", "", text)
    assert not re.search(r"#[0-9a-fA-F]{6}\b", bare)  # every colour can follow the page
    assert draw(frame(rows)) == text


def test_pictures_that_cannot_be_drawn_are_left_out():
    nothing = frame([record(status="failed")])
    assert plots.relative_error(nothing) is None
    assert plots.cost(nothing) is None
    assert panels.panels(nothing) is None
    assert panels.failures(frame([record()])) is None


def test_one_colour_for_a_method_in_every_picture():
    styles = canvas.colours(["em", "mean", "newimp", *(f"m{index}" for index in range(20))])
    assert styles["mean"][0] == canvas.GREY
    assert len(set(styles.values())) == len(styles)


def test_markdown_has_no_ragged_table(sweep):
    (path,) = analysis.write(sweep, formats=("md",))
    blocks = re.findall(r"(?:^\|.*\n)+", path.read_text(), flags=re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_report_module_formats_are_those_that_write_offers():
    assert list(report.FORMATS) == ["html", "md"]
