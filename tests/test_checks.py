"""`make check` is clean: formatting, lint and types, for the sources and for these tests."""

import subprocess
import sys

import pytest

from settings import PROJECT_ROOT

CHECKS = (("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy", "."))


# Slow: mypy reads the whole tree; later runs read its cache.
@pytest.mark.parametrize("command", CHECKS, ids=" ".join)
def test_the_tree_is_clean(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
