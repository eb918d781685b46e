"""Writes the lock files: all direct and indirect dependencies of pyproject.toml, with hashes.

- `requirements.lock`: the packages of the product;
- `requirements-azure.lock`: those that only the autoscaler of `ray up` on Azure needs;
- `requirements-dev.lock`: those that only tests and checks need.

Versions are those of this venv. Markers and hashes cover every Python and platform of `SUPPORTED`;
a package that only another Python needs keeps its former version.
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
LOCKS = {
    "requirements.lock": None,
    "requirements-azure.lock": "azure",
    "requirements-dev.lock": "test",
}
"""Each file, and the extra of pyproject.toml whose packages it adds."""
OVERRIDES = ["python-dateutil"]
"""Packages of any version: adal, which azure-common imports and nobody calls, forbids the present
python-dateutil. Therefore requirements-azure.lock is installed with `--no-deps`."""
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
    installed: dict[str, str] = {}
    for package in importlib.metadata.distributions():  # of two, the first is imported
        name = canonicalize_name(package.metadata["Name"])
        installed.setdefault(name, package.version.partition("+")[0])
    return pins | installed


def compile_lock(requirements: Iterable[str], pins: dict[str, str]) -> dict[str, str]:
    """Resolves the requirements with all their dependencies, at the pinned versions, with hashes.

    Raises:
        SystemExit: the versions don't fit together, or no package index could be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, constraints = Path(folder, "requirements.in"), Path(folder, "pins.txt")
        overrides = Path(folder, "overrides.txt")
        source.write_text("".join(f"{requirement}\n" for requirement in requirements))
        constraints.write_text("".join(f"{name}=={pins[name]}\n" for name in sorted(pins)))
        overrides.write_text("".join(f"{name}\n" for name in OVERRIDES))
        command = [sys.executable, "-m", "uv", "pip", "compile", str(source), "--universal"]
        command += ["--python-version", OLDEST, "--constraint", str(constraints)]
        command += ["--override", str(overrides)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-config", "--quiet"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"the packages can't be locked:\n{result.stderr}")
    return {name: block for name, block in blocks_of(result.stdout).items() if is_supported(block)}


def main() -> None:
    """Writes the lock files; each has what its requirements add to the files before it."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, build = document["project"], document["build-system"]
    extras = project["optional-dependencies"]
    pins = present_pins(*(ROOT / name for name in LOCKS))
    needed = [*project["dependencies"], *build["requires"]]
    former: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name, extra in LOCKS.items():
        needed += extras[extra] if extra else []
        blocks = compile_lock(needed, pins)
        own = sorted(blocks.keys() - former.keys())
        texts[name] = HEAD + "".join(blocks[package] for package in own)
        former |= blocks
        sys.stdout.write(f"{name}: {len(own)} packages\n")
    for name, text in texts.items():
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    main()
