"""The tables in `benchmarks/results`: where they are, and the head that each of them has."""

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def today() -> str:
    """The date in UTC, as YYYY-MM-DD."""
    return f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"


def load_average() -> float:
    """How many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def head(command: str) -> str:
    """The command, the date and the machine, to go on with: `command`, 2026-01-31, 2 cores."""
    return f"`{command}`, {today()}, {os.cpu_count()} cores"


def keep(name: str, lines: Iterable[str]) -> str:
    """Writes `benchmarks/results/<name>.md`, prints it and returns its text."""
    text = "\n".join(lines).rstrip("\n") + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
    return text
