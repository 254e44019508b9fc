"""The page of a filled table in a real browser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "analysis"))

from made_filled import story

from analysis.filled import page

ENTER, RIGHT = "\ue007", "\ue014"


def enter(browser, element) -> None:
    """Use a link, a button or a summary as one does without a mouse."""
    browser.run("arguments[0].focus({preventScroll: true})", element)
    browser.press(ENTER)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "filled.html"
    path.write_text(page(story()), encoding="utf-8")
    return path


def test_every_section_is_reached_from_the_top(browser, html):
    browser.open(html)
    for link in browser.all("nav a"):
        enter(browser, link)
        target = browser.one(link.get_dom_attribute("href"))
        assert browser.run("return location.hash") == link.get_dom_attribute("href")
        assert target.find_element("css selector", "h2").text
    browser.screenshot("filled")


def test_names_with_markup_are_text(browser, html):
    browser.open(html)
    assert browser.one("h1").text == "my <table>.csv"
    assert "pay <b>" in [heading.text for heading in browser.all("#columns-table ~ tbody th")]
    assert browser.run("return document.querySelectorAll('main b, main i, main em').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 380])
def test_nothing_sticks_out_in_any_window(browser, html, scheme, width):
    browser.colours(scheme)
    browser.resize(width)
    browser.open(html)
    for closed in browser.all("details:not([open]) > summary"):
        enter(browser, closed)
    assert browser.overflow() == 0
    for picture in browser.all("figure svg, .panels svg"):
        assert picture.size["width"] > 200
    browser.screenshot(f"filled-{scheme}-{width}")


def test_a_dark_room_gets_a_dark_page(browser, html):
    backgrounds = []
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        browser.open(html)
        backgrounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]


def test_a_mark_says_what_it_stands_for_by_keyboard(browser, html):
    browser.open(html)
    browser.run("document.querySelector('svg[aria-labelledby^=\"forest\"]').focus()")
    browser.press(RIGHT)
    told = browser.one("#tip").text
    assert "missforest" in told
    assert "0.550 to 0.680" in told


def test_tables_sort_by_what_they_show(browser, html):
    browser.open(html)
    heading = browser.one("#columns-table ~ thead th:nth-child(4) button")
    enter(browser, heading)
    enter(browser, heading)
    missing = [
        int(cell.text.replace(",", "")) for cell in browser.all("#columns-table ~ tbody td:nth-child(4)")
    ]
    assert missing == sorted(missing, reverse=True)
    assert missing[-1] == 0


def test_no_other_file_is_asked_for(browser, html):
    browser.open(html)
    assert browser.run("return performance.getEntriesByType('resource').map(one => one.name)") == []
