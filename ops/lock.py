"""Writes the lock files: every package that pyproject.toml leads to, as installed in this venv.

`requirements.lock` is what runs, `requirements-dev.lock` what tests and checks need on top.
"""

import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Made by `make lock` from pyproject.toml and the packages in .venv.\n"
LINUX_ONLY = ("nvidia-", "cuda-", "triton")


def closure(roots: list[str]) -> set[str]:
    """Names of all packages that the requirements lead to on this machine.

    Raises:
        SystemExit: one of them is not installed.
    """
    found: dict[str, set[str]] = {}
    waiting = [Requirement(root) for root in roots]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        new_extras = {"", *requirement.extras} - found.get(name, set())
        if not new_extras:
            continue
        found.setdefault(name, set()).update(new_extras)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            sys.exit(f"{name} is not installed: install it first, then lock")
        waiting += [
            need
            for need in map(Requirement, needs)
            if need.marker is None
            or any(need.marker.evaluate({"extra": extra}) for extra in new_extras)
        ]
    return set(found)


def pins(names: set[str]) -> str:
    """One sorted line a package; those that only Linux has say so."""
    lines = []
    for name in sorted(names):
        version = importlib.metadata.version(name).split("+")[0]
        marker = ' ; sys_platform == "linux"' if name.startswith(LINUX_ONLY) else ""
        lines.append(f"{name}=={version}{marker}\n")
    return HEAD + "".join(lines)


def main() -> None:
    """Writes both files."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, build = described["project"], described["build-system"]
    run = closure([*project["dependencies"], *build["requires"]])
    test = closure(project["optional-dependencies"]["test"]) - run
    (ROOT / "requirements.lock").write_text(pins(run))
    (ROOT / "requirements-dev.lock").write_text(pins(test))
    sys.stdout.write(f"{len(run)} packages to run, {len(test)} more to test\n")


if __name__ == "__main__":
    main()
