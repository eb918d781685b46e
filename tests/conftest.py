"""Fixtures of every suite: real servers (`tests/support/`), and log lines out of the report."""

import io

import pytest

from studio.telemetry.logs import configure_logging

pytest_plugins = [
    "tests.support.workers",
    "tests.support.servers",
    "tests.support.cluster",
    "tests.support.simulator",
]


@pytest.fixture(scope="session", autouse=True)
def unseen_logs() -> None:
    """Lines that nobody looks for would be written after the report's last line."""
    configure_logging(io.StringIO())
