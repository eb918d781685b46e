"""Another release of the studio in a folder of its own, as an operator puts it on every node.

It has a virtual environment of its own. What `make install` would download is linked.
"""

import shutil
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings import PROJECT_ROOT

LEFT_OUT = (".*", "__pycache__", "*.egg-info", "results", "node_modules")


def make_release(folder: Path, changes: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Copies the code, replaces text in its files, and returns the application's `runtime_env`.

    changes: by path, a text that is in the file and what takes its place.
    """
    shutil.copytree(PROJECT_ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for path, (old, new) in changes.items():
        text = (folder / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (folder / path).write_text(text.replace(old, new))
    venv.create(folder / ".venv", with_pip=False)
    (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    (packages / "studio.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    return environment_of(folder)


def environment_of(folder: Path) -> dict[str, Any]:
    """The `runtime_env` of a release, as docs/operations.md writes it."""
    return {
        "py_executable": str(folder / ".venv" / "bin" / "python"),
        "env_vars": {"PYTHONPATH": str(folder)},
    }
