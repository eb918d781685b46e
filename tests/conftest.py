"""What every suite may use: real servers from `tests/support/servers.py`; log lines out of the report."""

import io

import pytest

from studio.telemetry.logs import configure_logging

pytest_plugins = ["tests.servers", "tests.cluster", "tests.simulator"]


@pytest.fixture(scope="session", autouse=True)
def unseen_logs() -> None:
    """Lines that nobody looks for would be written after the report's last line."""
    configure_logging(io.StringIO())
