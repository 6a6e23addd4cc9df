"""A real browser for the tests of pages: Chromium as the system has it, driven by Playwright."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright import sync_api

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A mark, so that a module says once that its tests need it.
needed = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium, and run the tests again")
DESKTOP, PHONE = (1280, 800), (390, 844)


@contextlib.contextmanager
def opened(size: tuple[int, int] = DESKTOP, *options: str) -> Iterator[sync_api.Page]:
    """A page of a browser of its own. What it logs as an error, or raises, fails the test at the end.

    Args:
      size: width and height in pixels.
      options: further switches of Chromium.
    """
    faults: list[str] = []
    with sync_api.sync_playwright() as playwright:
        # Without a sandbox, which needs privileges that a container does not give.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *options])
        try:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            yield page
        finally:
            browser.close()
    assert not faults, faults
