"""Fixtures of the page tests: Chromium and a running studio."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from drawing.demo_shop import demo_products
from drawing.draw import draw_garment
from tests.support.machine import missing
from tests.web.complaints import Complaints

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 15_000
PHOTOGRAPHED = next(one for one in demo_products(432) if one.title == "Striped red dress")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def studio_url(request: pytest.FixtureRequest) -> str:
    """The studio that `STUDIO_TEST_URL` names, or else the whole studio of the test run."""
    address = os.environ.get("STUDIO_TEST_URL")
    if address:
        return address.rstrip("/")
    return str(request.getfixturevalue("whole_studio").url)


def find_chromium() -> str:
    """The Chromium that is installed on this machine; Playwright's own is not used."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return program or missing("Chromium (Debian, Ubuntu: apt-get install chromium)")


# Not for the session: while Playwright's synchronous API is open, no other test can run a loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, chromium_sandbox=os.geteuid() != 0, args=["--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, studio_url: str) -> Iterator[Page]:
    """The studio page in a new browser profile; complaints of the page fail the test."""
    context = browser.new_context(base_url=studio_url, locale="en-GB", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    complaints = Complaints(opened, studio_url)
    opened.goto("/")
    yield opened
    context.close()
    assert complaints.entries == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of the demo product `PHOTOGRAPHED`, like the one in the catalogue."""
    path = tmp_path / "dress.jpg"
    draw_garment(PHOTOGRAPHED.garment, 320).save(path)
    return path
