"""Writes the lock files: all direct and indirect dependencies of pyproject.toml, with hashes.

`requirements.lock` has the packages of the product, `requirements-dev.lock` those that only tests
and checks need. Versions are those of this venv. Markers and hashes cover every Python and
platform of `SUPPORTED`; a package that only another Python needs keeps its former version.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Made by `make lock` from pyproject.toml and the packages in .venv.\n"
OLDEST = "3.11"
SUPPORTED = [
    {
        "python_version": ".".join(version.split(".")[:2]),
        "python_full_version": version,
        "implementation_name": "cpython",
        "implementation_version": version,
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": system.lower(),
        "platform_system": system,
        "platform_machine": machine,
    }
    for version in ("3.11.0", "3.11.9", "3.12.0", "3.13.0")
    for system, machine in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"))
]


def blocks_of(text: str) -> dict[str, str]:
    """A lock file's entries by name: the requirement and the hashes that follow it."""
    blocks = re.findall(r"^[a-z0-9].*\n(?: .*\n)*", text, re.M)
    return {requirement_of(block).name: block for block in blocks}


def requirement_of(block: str) -> Requirement:
    """The requirement of an entry, without its hashes."""
    requirement = Requirement(block.partition("--hash")[0].partition("\\")[0].strip())
    requirement.name = canonicalize_name(requirement.name)
    return requirement


def is_supported(block: str) -> bool:
    """Whether a supported Python and platform installs the entry."""
    marker = requirement_of(block).marker
    return marker is None or any(marker.evaluate(dict(environment)) for environment in SUPPORTED)


def present_pins(*locks: Path) -> dict[str, str]:
    """The versions of installed packages, and of those that the locks have for other Pythons."""
    pins: dict[str, str] = {}
    for lock in locks:
        for name, block in blocks_of(lock.read_text() if lock.exists() else "").items():
            pins[name] = str(requirement_of(block).specifier).removeprefix("==")
    for package in importlib.metadata.distributions():
        pins[canonicalize_name(package.metadata["Name"])] = package.version.partition("+")[0]
    return pins


def compile_lock(requirements: Iterable[str], pins: dict[str, str]) -> dict[str, str]:
    """Resolves the requirements with all their dependencies, at the pinned versions, with hashes.

    Raises:
        SystemExit: the versions don't fit together, or no package index could be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, constraints = Path(folder, "requirements.in"), Path(folder, "pins.txt")
        source.write_text("".join(f"{requirement}\n" for requirement in requirements))
        constraints.write_text("".join(f"{name}=={pins[name]}\n" for name in sorted(pins)))
        command = [sys.executable, "-m", "uv", "pip", "compile", str(source), "--universal"]
        command += ["--python-version", OLDEST, "--constraint", str(constraints)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-config", "--quiet"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"the packages can't be locked:\n{result.stderr}")
    return {name: block for name, block in blocks_of(result.stdout).items() if is_supported(block)}


def main() -> None:
    """Writes both lock files."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, build = document["project"], document["build-system"]
    run_lock, test_lock = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
    pins = present_pins(run_lock, test_lock)
    needed = [*project["dependencies"], *build["requires"]]
    run = compile_lock(needed, pins)
    every = compile_lock([*needed, *project["optional-dependencies"]["test"]], pins)
    test = {name: block for name, block in every.items() if name not in run}
    for lock, blocks in ((run_lock, run), (test_lock, test)):
        lock.write_text(HEAD + "".join(blocks[name] for name in sorted(blocks)))
    sys.stdout.write(f"{len(run)} packages to run, {len(test)} more to test\n")


if __name__ == "__main__":
    main()
