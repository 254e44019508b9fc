"""A real browser for the tests of pages: Debian's chromium, driven through chromedriver.

Tests that ask for `browser` are skipped, with the reason, where either program is missing. Screenshots go to
the test's own folder, or to the folder that LACUNA_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-device-scale-factor=1",
)


class Browser:
    """One window: open pages, look at them as in a dark room or on a narrow screen, read what went wrong."""

    def __init__(self, driver, screenshots: Path) -> None:
        self.driver = driver
        self.screenshots = screenshots

    def open(self, page: Path | str) -> None:
        """Load a file or an address and wait until it is complete."""
        self.driver.get(page.resolve().as_uri() if isinstance(page, Path) else page)

    def run(self, script: str, *arguments):
        """The value that a piece of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str):
        """The first element that a CSS selector finds."""
        return self.driver.find_element("css selector", selector)

    def show(self, element) -> None:
        """Scroll to an element and wait until the page has told itself so."""
        self.driver.execute_async_script(
            "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});"
            "requestAnimationFrame(() => requestAnimationFrame(arguments[1]))",
            element,
        )

    def press(self, *keys: str) -> None:
        """Press keys one after another, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def resize(self, width: int, height: int = 900) -> None:
        """Lay the page out in so many CSS pixels."""
        told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", told)

    def colours(self, scheme: str) -> None:
        """Prefer ``light`` or ``dark``."""
        wanted = {
            "prefers-color-scheme": scheme,
            "prefers-reduced-motion": "reduce",
        }  # no waiting for scrolls
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def errors(self) -> list[str]:
        """What the console said since it was last asked, warnings included."""
        said = self.driver.get_log("browser")
        return [entry["message"] for entry in said if entry["level"] in ("WARNING", "SEVERE")]

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than its window; 0 where nothing sticks out."""
        return int(self.run("const e = document.documentElement; return e.scrollWidth - e.clientWidth"))

    def screenshot(self, name: str) -> Path:
        """The window as a PNG file."""
        path = self.screenshots / f"{name}.png"
        assert self.driver.save_screenshot(str(path))
        return path


@pytest.fixture(scope="session")
def chrome(tmp_path_factory) -> Iterator:
    """Chromium for all tests of a session; started once, since that takes a second or two."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: on Debian, apt-get install chromium chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    from selenium.webdriver.chrome.service import Service

    driver = selenium.Chrome(options=options, service=Service(programs["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chrome, tmp_path: Path) -> Iterator[Browser]:
    """A window of 1200 × 900 on a light page; the test fails if the console has an error left in the end."""
    asked = os.environ.get("LACUNA_SCREENSHOTS")
    folder = Path(asked) if asked else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    window = Browser(chrome, folder)
    chrome.get("about:blank")
    window.errors()  # of the test before
    window.resize(1200)
    window.colours("light")
    yield window
    assert window.errors() == []
