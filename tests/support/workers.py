"""Three processes run the whole suite; a file, or what failed last, is run by one.

`ARGS="-n0"` asks for one process. Each process has its own PostgreSQL, Valkey and ports. The tests
of one file run in one process, and so do all files that use the whole studio: there is one studio,
started for the first of these tests and stopped after the last one. Two of the three processes wait
most of the time for the clusters that they start, so the third one has work for both cores.
"""

import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

WHOLE_STUDIO, SMALL_CLUSTERS = "the whole studio", "small Ray clusters"
SHARED_UNITS = {
    "tests/acceptance/": WHOLE_STUDIO,
    "tests/web/": WHOLE_STUDIO,
    "tests/proof/test_connections.py": WHOLE_STUDIO,
    "tests/proof/test_floods.py": WHOLE_STUDIO,
    "tests/jobs/": SMALL_CLUSTERS,
    "tests/local/": SMALL_CLUSTERS,
    "tests/production/": SMALL_CLUSTERS,
}
"""The tests below these paths run one after the other in one process: their memory is the limit.

These units take the longest, so they are begun first.
"""

FEW_FILES = 12
FEW_FAILURES = 50


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number of processes for `-n auto`; 0 means this one."""
    if getattr(config.option, "lf", False) and 0 < count_failures(config.rootpath) <= FEW_FAILURES:
        return 0
    if config.option.markexpr != "not proof":  # the long forms measure, and start studios
        return 0
    return 3 if count_files(config) > FEW_FILES else 0


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
    """One thread for the networks in each process, because they share the cores."""
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hands the units out in the order of the collection: see `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return UnitScheduling(config, log)


class UnitScheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """A unit of work is a file or a shared unit."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """The tests that run together with this one: those of its file, or those of a shared unit."""
    for path, unit in SHARED_UNITS.items():
        if nodeid.startswith(path):
            return unit
    return nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes begin with the longest units; one process runs the whole studio last."""
    units = [WHOLE_STUDIO, SMALL_CLUSTERS] if hasattr(config, "workerinput") else []

    def order(item: pytest.Item) -> int:
        unit = unit_of(item.nodeid)
        return units.index(unit) if unit in units else len(units) + (unit == WHOLE_STUDIO)

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """Takes all modules out of the garbage collector's sight, which walks over them otherwise."""
    gc.collect()
    gc.freeze()
