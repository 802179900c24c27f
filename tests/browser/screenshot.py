"""Takes the pictures of the report that the README shows: `scripts/screenshots`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 1180, 1000
"""Pixels; the picture goes on to the end of the trade-off."""
LARGEST = 200_000


def main() -> None:
    """Write the report of the committed study, and photograph its first screen."""
    target = ROOT / "docs" / "images" / "report.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "results.db"
        shutil.copy(ROOT / "results.db", database)
        page = Path(directory) / "report.html"
        command = [sys.executable, "-m", "tuner", "report", "--db", str(database), "-o", str(page), *sys.argv[1:]]
        subprocess.run(command, check=True)
        photograph(page, target)
    if target.stat().st_size > LARGEST:
        sys.exit(f"{target} has {target.stat().st_size} bytes, more than {LARGEST}")


def photograph(page: Path, target: Path) -> None:
    """Photograph a page as a reader with a light theme sees it first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        opened.goto(page.as_uri())
        opened.wait_for_selector("html[data-ready]")
        end = opened.locator('[data-chart="s0-front"]').bounding_box()
        bottom = end["y"] + end["height"] + 6 if end else HEIGHT
        opened.screenshot(path=target, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": bottom})
        browser.close()


if __name__ == "__main__":
    main()
