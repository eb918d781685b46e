"""Two processes run the whole suite; a file, or what failed last, is run by one.

`ARGS="-n0"` asks for one process, `ARGS="-n2"` for two. The tests of one file run in one process,
and so do all files that use the whole studio: there is one studio, started for the first of these
tests and stopped after the last one, because an idle studio costs a third of a core.
"""

import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

WHOLE_STUDIO = "whole_studio"
WHOLE_STUDIO_TESTS = (
    "tests/acceptance/", "tests/web/", "tests/proof/test_connections.py",
    "tests/proof/test_floods.py",
)  # fmt: skip
LONGEST = {
    unit: place
    for place, unit in enumerate(
        (
            WHOLE_STUDIO,
            "tests/local/test_up.py",
        )
    )
}
"""Begun before the others, so that no process runs one of them alone at the end."""

FEW_FILES = 12
FEW_FAILURES = 50


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number of processes for `-n auto`; 0 means this one."""
    if config.option.lf and 0 < count_failures(config.rootpath) <= FEW_FAILURES:
        return 0
    if config.option.markexpr != "not proof":  # the long forms measure, and start studios
        return 0
    return 2 if count_files(config) > FEW_FILES else 0


def count_failures(root: Path) -> int:
    """How many tests failed when they last ran."""
    try:
        return len(json.loads((root / ".pytest_cache/v/cache/lastfailed").read_text()))
    except (OSError, ValueError):
        return 0


def count_files(config: pytest.Config) -> int:
    """How many test files the arguments name."""
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    return sum(len(list(path.rglob("test_*.py"))) if path.is_dir() else 1 for path in paths)


def pytest_configure(config: pytest.Config) -> None:
    """One thread for the networks in each of two processes, which share the cores."""
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Units of work in the order of the collection, which `pytest_collection_modifyitems` makes."""
    config.option.loadscopereorder = False
    return UnitScheduling(config, log)


class UnitScheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """The whole studio's tests are one unit of work, every other file is one of its own."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Its file, or the whole studio for all files that use it."""
    return WHOLE_STUDIO if nodeid.startswith(WHOLE_STUDIO_TESTS) else nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two processes begin with the longest units; one process runs the whole studio last."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LONGEST.get(unit_of(item.nodeid), len(LONGEST)))
    else:
        items.sort(key=lambda item: unit_of(item.nodeid) == WHOLE_STUDIO)


def pytest_collection_finish() -> None:
    """Takes all modules out of the garbage collector's sight, which walks over them otherwise."""
    gc.collect()
    gc.freeze()
