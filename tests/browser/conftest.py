"""A real browser for the report: the machine's own Chromium, driven by Playwright, which downloads none.

Without one these tests fail: a report that no browser has opened is not tested. `scripts/install-browser` gets one;
TUNER_NO_BROWSER=1 skips them on a machine that can't have it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Root needs the first; the rest keep the browser from reaching for the network by itself."""


@dataclass
class Opened:
    """A page in the browser, and everything it complained about or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])
    asked_for: list[str] = field(default_factory=list[str])

    def listen(self) -> "Opened":
        self.page.on("console", self._told)
        self.page.on("pageerror", self._failed)
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        return self

    def _told(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    def marks(self, chart: str) -> int:
        return self.page.locator(f'[data-chart="{chart}"] .mark, [data-chart="{chart}"] .span').count()


Open = Callable[..., Opened]


def chromium() -> str:
    """The browser's path; fails, or skips where the developer said so."""
    found = shutil.which(os.environ.get("TUNER_CHROMIUM", "chromium"))
    if found is None and os.environ.get("TUNER_NO_BROWSER"):
        pytest.skip("TUNER_NO_BROWSER is set, and there is no Chromium")
    if found is None:
        pytest.fail("no Chromium: scripts/install-browser gets one, TUNER_NO_BROWSER=1 goes without", pytrace=False)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page's text from a file, as a mail attachment is."""
    contexts: list[BrowserContext] = []

    def opened(text: str, *, width: int = 1200, dark: bool = False, scripts: bool = True) -> Opened:
        file = tmp_path / f"report-{len(contexts)}.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        found = Opened(context.new_page()).listen()
        found.page.goto(file.as_uri())
        if scripts:
            found.page.wait_for_selector("html[data-ready]")
        return found

    yield opened
    for context in contexts:
        context.close()
