"""The Chromium of the page tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.machine import missing

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The Chromium that is installed on this machine; Playwright's own is not used."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return program or missing("Chromium (Debian, Ubuntu: apt-get install chromium)")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser. While Playwright's synchronous API is open, this thread can run no event loop."""
    program = find_chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, chromium_sandbox=os.geteuid() != 0, args=["--disable-gpu"]
        )
        yield opened
        opened.close()
