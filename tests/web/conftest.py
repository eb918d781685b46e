"""Real Chromium in front of a running studio, and everything that it complains about."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def studio_url(request: pytest.FixtureRequest) -> str:
    """`STUDIO_TEST_URL` names a running studio; else one is started for the tests."""
    given = os.environ.get("STUDIO_TEST_URL")
    if given:
        return given.rstrip("/")
    return f"http://127.0.0.1:{request.getfixturevalue('whole_studio').port}"


def find_chromium() -> str:
    """The program; without one the tests are skipped, or fail where everything must run."""
    for name in PROGRAMS:
        if (found := shutil.which(name)) is not None:
            return found
    reason = "Chromium is missing (Debian, Ubuntu: apt-get install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


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


class Complaints:
    """What a page must not do: log errors, raise, or ask another origin for anything."""

    def __init__(self, page: Page, origin: str) -> None:
        self._origin = origin
        self.found: list[str] = []
        self.refusals = 0
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium logs every answer of 400 and more, also those that the page shows to its user.
        if message.type == "error" and message.text.startswith("Failed to load resource"):
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.found.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self._origin:
            self.found.append(f"request to {parts.netloc}")


@pytest.fixture
def page(browser: Browser, studio_url: str) -> Iterator[Page]:
    """The studio page in a fresh profile; what it did wrong fails the test that used it."""
    context = browser.new_context(base_url=studio_url, locale="en-GB", reduced_motion="reduce")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    complaints = Complaints(opened, studio_url)
    opened.goto("/")
    yield opened
    context.close()
    assert complaints.found == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A drawn picture of a red striped dress that is not in the catalogue."""
    from training.draw import Garment, draw_garment

    path = tmp_path / "dress.jpg"
    draw_garment(Garment("dress", "red", "striped", style_seed=7), 320, view_seed=9).save(path)
    return path
