"""Fixtures of every suite: real servers (`tests/support/`), and log lines out of the report."""

import io
from collections.abc import Iterator

import pytest

from studio.accounts import passwords
from studio.telemetry.logs import configure_logging

pytest_plugins = [
    "tests.support.workers",
    "tests.support.servers",
    "tests.support.cluster",
    "tests.support.simulator",
]


@pytest.fixture(scope="session", autouse=True)
def unseen_logs() -> None:
    """Keeps log lines out of the report, which would end with them."""
    configure_logging(io.StringIO())


@pytest.fixture(autouse=True)
def cheap_passwords() -> Iterator[None]:
    """A hash takes 1 ms instead of 250; tests/studio/accounts/test_passwords.py tests the cost.

    It does not request `monkeypatch`: requested before all else, what a test patches would still
    be patched while its studio is closed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", 4)
        yield
