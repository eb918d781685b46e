"""The lock files have hashes for every file and every package of every supported Python."""

import importlib.metadata
import json
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.lock import SUPPORTED, blocks_of, requirement_of
from settings import PROJECT_ROOT

RUN, AZURE, TEST = "requirements.lock", "requirements-azure.lock", "requirements-dev.lock"
IDS = [
    f"{one['python_full_version']}-{one['sys_platform']}-{one['platform_machine']}"
    for one in SUPPORTED
]


def entries(*names: str) -> dict[str, str]:
    return {
        name: block
        for lock in names
        for name, block in blocks_of((PROJECT_ROOT / lock).read_text()).items()
    }


def needs_of(name: str, extras: set[str], environment: dict[str, str]) -> list[Requirement]:
    try:
        declared = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # only another Python needs it
        declared = []
    return [
        need
        for need in map(Requirement, declared)
        if need.marker is None
        or any(need.marker.evaluate(environment | {"extra": extra}) for extra in extras)
    ]


def closure(roots: list[Requirement], environment: dict[str, str]) -> set[str]:
    """The names of all packages that the requirements need in an environment."""
    extras: dict[str, set[str]] = {}
    waiting = list(roots)
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        fresh = {"", *need.extras} - extras.get(name, set())
        if fresh:
            extras.setdefault(name, set()).update(fresh)
            waiting += needs_of(name, fresh, environment)
    return set(extras)


@pytest.mark.parametrize("lock", [RUN, AZURE, TEST])
def test_every_package_has_one_version_and_the_hashes_of_its_files(lock: str) -> None:
    blocks = entries(lock)
    assert len(blocks) > 5
    for name, block in blocks.items():
        assert re.fullmatch(r"==[^,*]+", str(requirement_of(block).specifier)), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), name
    text = (PROJECT_ROOT / lock).read_text()
    assert "://" not in text and str(PROJECT_ROOT) not in text


@pytest.mark.parametrize("environment", SUPPORTED, ids=IDS)
def test_nothing_that_a_supported_python_needs_is_missing(environment: dict[str, str]) -> None:
    blocks = entries(RUN, AZURE, TEST)
    roots = [requirement_of(block) for block in blocks.values()]
    locked = {
        one.name for one in roots if one.marker is None or one.marker.evaluate(dict(environment))
    }
    needed = closure([root for root in roots if root.name in locked], dict(environment))
    assert needed - locked == set()


def test_make_installs_nothing_without_its_hash() -> None:
    text = (PROJECT_ROOT / "Makefile").read_text().replace("\\\n", " ")
    lines = re.findall(r"\$\(PIP\) install.*", text)
    assert len(lines) == 4
    assert [
        line for line in lines if "--require-hashes" not in line and "--no-deps" not in line
    ] == []


def test_packages_of_npm_have_their_hashes_too() -> None:
    locked = json.loads((PROJECT_ROOT / "ops/azurite/package-lock.json").read_text())["packages"]
    del locked[""]
    assert len(locked) > 100
    assert [name for name, one in locked.items() if "integrity" not in one] == []
    assert "npm-cli.js ci " in (PROJECT_ROOT / "Makefile").read_text()
