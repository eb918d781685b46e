"""Fixtures of the page tests: Chromium and a running studio."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from drawing.demo_shop import demo_products
from drawing.draw import draw_garment
from tests.web.chromium import running_chromium
from tests.web.complaints import Complaints

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


# Not for the session: while Playwright's synchronous API is open, no other test can run a loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as opened:
        yield opened


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
