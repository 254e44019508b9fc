"""The report as a reader meets it: clicked through, by keyboard too, in light and dark, wide and narrow."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

import analysis
from orchestrator import serve

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))

from made_records import DATASETS, METHODS, grid_rows, manifest, record, write_sweep

NASTY = "<img src=x onerror=document.title='broken'>\"'&"


def failing(rows):
    """`rows` with all of newimp's on one table failed in two ways."""
    for row in rows:
        if row["method"] == "newimp" and row["dataset"] == "diabetes":
            late = row["mask_seed"] == 0
            status, error = (
                ("timeout", "ended after 600 s") if late else ("failed", "ValueError: no\n  in fit")
            )
            row |= record(**{**row, "status": status, "error": error})
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    rows = failing(grid_rows())
    folder = write_sweep(tmp_path_factory.mktemp("made") / "quick", rows, manifest(rows))
    return analysis.write(folder, formats=("html",))[0]


def shown(browser, selector):
    return [element.text for element in browser.all(selector) if element.is_displayed()]


def test_the_page_needs_nothing_from_outside(browser, page):
    browser.open(page)
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert "em fills the holes best" in browser.one(".verdict").text


def test_a_heading_sorts_and_sorts_back(browser, page):
    browser.open(page)
    column = "#leaderboard tbody tr td:nth-child(7)"  # the Wasserstein cost
    heading = browser.one("#leaderboard th:nth-child(7) button")
    for turned in ("ascending", "descending"):
        heading.click()
        values = [float(text) for text in shown(browser, column) if text != "–"]
        assert values == sorted(values, reverse=turned == "descending")
        assert browser.one("#leaderboard th:nth-child(7)").get_attribute("aria-sort") == turned


def test_a_mark_under_the_pointer_says_its_values_and_its_command(browser, page):
    from selenium.webdriver import ActionChains

    browser.open(page)
    mark = browser.one("#datasets svg [data-tip*='mask seed 1'][data-method='em']")
    browser.show(mark)
    ActionChains(browser.driver).move_to_element(mark).perform()
    told = browser.one("#tip").text
    lit = browser.one("svg .lit")  # this mark, or another that lies on it
    assert told.startswith(lit.get_attribute("data-tip"))
    assert "mask seed" in told
    key = lit.get_attribute("data-trials")
    assert f"python -m orchestrator run-trial {key} --results results/quick" in told
    (found,) = [known for known in analysis.load(page.parent)["trial_key"].unique() if known.startswith(key)]
    assert found


def test_the_keyboard_reaches_every_mark_and_the_copy_button(browser, page):
    from selenium.webdriver.common.keys import Keys

    browser.open(page)
    picture = browser.one("#error svg")
    marks = len(picture.find_elements("css selector", "[data-tip]"))
    browser.run("arguments[0].focus()", picture)
    seen = []
    for _ in range(marks):
        browser.press(Keys.ARROW_RIGHT)
        seen.append(browser.one("#tip").text)
    assert len(set(seen)) == marks > 50
    browser.press(Keys.ENTER)
    assert browser.run("return document.activeElement.textContent") == "Copy the command"
    browser.press(Keys.ESCAPE)
    assert browser.run("return document.activeElement.tagName") == "svg"
    assert not browser.one("#tip").is_displayed()


def test_the_filter_hides_rows_columns_and_marks_and_is_remembered(browser, page):
    browser.open(page)
    browser.one("#filter details summary").click()
    browser.one("#filter input[value='knn']").click()
    assert browser.one("#filter output").text == f"{len(METHODS) - 1} of {len(METHODS)}"
    browser.one("#filter details:nth-of-type(2) summary").click()
    browser.one("#filter input[value='diabetes']").click()
    for again in (False, True):
        if again:
            browser.open(page)
        assert "knn" not in shown(browser, "#leaderboard tbody th")
        assert "diabetes" not in shown(browser, "#datasets thead th")
        assert len(shown(browser, "#scores-1-1 ~ * th, #datasets table thead th")) % len(DATASETS) == 0
        faded = browser.run(
            "return [...document.querySelectorAll('svg [data-method=knn]')].every(m => m.matches('.off'))"
        )
        assert faded
    for group in browser.all("#filter details"):
        group.find_element("css selector", "summary").click()
        group.find_element("css selector", "button[data-all=yes]").click()
    assert "knn" in shown(browser, "#leaderboard tbody th")


def test_failures_stand_by_cause_with_the_whole_error(browser, page):
    browser.open(page)
    assert shown(browser, "#failures h3") == ["failed: ValueError", "out of time: ended after … s"]
    browser.one("#failures details details summary").click()
    told = shown(browser, "#failures details details pre")
    assert "in fit" in told[0]
    assert told[1].startswith("python -m orchestrator run-trial ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_every_part_opens_and_nothing_sticks_out(browser, page, scheme, width):
    browser.open(page)
    browser.colours(scheme)
    browser.resize(width)
    for summary in browser.all("main summary"):
        browser.run("arguments[0].parentElement.open = true", summary)
    assert browser.overflow() == 0
    for section in browser.run("return [...document.querySelectorAll('section')].map(s => s.id)"):
        browser.run("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", section)
        assert browser.screenshot(f"report-{scheme}-{width}-{section}").stat().st_size > 5000
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(253, 253, 252)") == (scheme == "light")


def test_names_with_markup_are_only_names(browser, tmp_path):
    rows = [
        record(dataset=dataset, method=method, mask_seed=seed, mae=0.3 + seed / 10, wasserstein=2.0 + seed)
        for dataset in (NASTY, "b")
        for method in ("mean", NASTY, "em")
        for seed in (0, 1)
    ]
    rows += [record(dataset=NASTY, method="knn", status="failed", error=f"{NASTY}\n{NASTY}")]
    about = manifest(rows, title=NASTY, command=f"python -m orchestrator sweep --out {NASTY}")
    browser.open(analysis.write(write_sweep(tmp_path / "odd", rows, about), formats=("html",))[0])
    assert browser.run("return document.querySelectorAll('img, script').length") == 1  # the page's own script
    assert browser.one("h1").text == NASTY
    assert browser.run("return document.title").startswith("<img")
    browser.one("#filter details summary").click()
    browser.one("#filter input[value^='<img']").click()
    assert NASTY not in shown(browser, "#leaderboard tbody th")


def test_the_served_page_follows_the_records(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "INTERVAL", 0.2)
    rows = grid_rows(datasets={"diabetes": DATASETS["diabetes"]}, mechanisms=("mcar",), seeds=1)
    folder = write_sweep(tmp_path / "live", rows[:2], manifest(rows))
    live = serve.Page(folder)
    live.refresh()
    ended = threading.Event()
    with serve.open_server(live, 0) as server:
        for work in (server.serve_forever, lambda: live.watch(ended)):
            threading.Thread(target=work, daemon=True).start()
        try:
            browser.open(f"http://127.0.0.1:{server.server_port}/")
            assert "2 of 7 planned trials" in browser.one("#ran").text
            write_sweep(folder, rows, manifest(rows))
            from selenium.webdriver.support.wait import WebDriverWait

            WebDriverWait(browser.driver, 240, ignored_exceptions=(Exception,)).until(
                lambda _: "7 of 7 planned trials" in browser.one("#ran").text
            )
        finally:
            browser.open("about:blank")  # before the server ends, whom the page would ask in vain
            ended.set()
            server.shutdown()
