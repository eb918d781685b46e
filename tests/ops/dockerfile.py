"""Reads the Dockerfile, and runs its steps in an empty folder that plays the root of the image.

Paths of the image are moved below that folder. Programs that change the system (apt-get, …) are
replaced by ones that note their arguments; all others are the real ones. The packages of the
virtual environment are those of this one: pip checks the locks against them, downloading nothing.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from settings import PROJECT_ROOT

MOVED = re.compile(r"(?<![\w./-])/(?=(?:srv|var/lib|etc|home|run)\b)")
SYSTEM = ("apt-get", "useradd", "chown", "rm")


@dataclass(frozen=True)
class Step:
    """One instruction, with its lines joined."""

    word: str
    text: str


def stages(text: str) -> dict[str, list[Step]]:
    """The instructions of each stage by its name; those before the first under an empty name."""
    joined = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    stages: dict[str, list[Step]] = {"": []}
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages[rest.rpartition(" AS ")[2]] = []
        list(stages.values())[-1].append(Step(word, " ".join(rest.split())))
    return stages


def context() -> Iterator[Path]:
    """Every file that `docker build` sends: the repository without what .dockerignore names."""
    lines = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]

    def is_out(path: str) -> bool:
        name = Path(path).name
        return any(
            fnmatch(name, pattern.removeprefix("**/"))
            if pattern.startswith("**/")
            else fnmatch(path, pattern)
            for pattern in patterns
        )

    for folder, names, files in os.walk(PROJECT_ROOT):
        own = Path(folder).relative_to(PROJECT_ROOT)
        names[:] = [name for name in names if not is_out(str(own / name))]
        yield from (own / name for name in files if not is_out(str(own / name)))


@dataclass
class Image:
    """The root of an image while it is built."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"

    def place(self, path: str) -> Path:
        """Where a path of the image lies."""
        return self.root / os.path.join(self.workdir, path).lstrip("/")  # noqa: PTH118

    def take(self, step: Step) -> None:
        """Runs one instruction; those for a running container do nothing."""
        if step.word == "WORKDIR":
            self.workdir = step.text
            self.place("").mkdir(parents=True, exist_ok=True)
        if step.word == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", step.text):
                former = self.variables.get("PATH", "/usr/local/bin:/usr/bin:/bin")
                self.variables[name] = value.replace("$PATH", former)
        if step.word == "COPY":
            self.copy(*step.text.split())
        if step.word == "RUN":
            done = self.run(re.sub(r"--mount=\S+ ", "", step.text))
            assert done.returncode == 0, f"{step.text}\n{done.stdout}{done.stderr}"

    def copy(self, *words: str) -> None:
        """`COPY` of files of the context; of a stage before, nothing: there is one root."""
        if words[0].startswith("--from="):
            assert self.place(words[1]) == self.place(words[2])
            assert self.place(words[1]).is_dir()
            return
        *sources, target = words
        for path in context():
            if "." in sources or str(path) in sources:
                copied = self.place(target) / path
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT_ROOT / path, copied)
        for source in sources:
            assert (self.place(target) / source).exists(), f"COPY {source}: not in the context"

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a line of shell inside the image."""
        programs = self.programs()
        inside = {name: MOVED.sub(f"{self.root}/", value) for name, value in self.variables.items()}
        own = inside.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", MOVED.sub(f"{self.root}/", command)],
            cwd=self.place(""),
            env=inside | {"PATH": f"{programs}:{own}"} | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if packages := next(self.root.glob("srv/studio/.venv/lib/*/site-packages"), None):
            others = [path for path in sys.path if path.endswith(("packages", "site"))]
            lines = "\n".join([sysconfig.get_path("purelib"), *others])
            (packages / "of-this-environment.pth").write_text(lines + "\n")
        return done

    def programs(self) -> Path:
        """The programs of the system, and the Python of the base image."""
        folder = self.root / "programs"
        if folder.exists():
            return folder
        folder.mkdir(parents=True)
        (self.root / "etc/profile.d").mkdir(parents=True)
        for name in SYSTEM:
            program = folder / name
            program.write_text(f'#!/bin/sh\necho "{name} $@" >> {self.root}/system\n')
            program.chmod(program.stat().st_mode | stat.S_IEXEC)
        base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
        (folder / "python").write_text(f'#!/bin/sh\nexec {base} "$@"\n')
        (folder / "python").chmod(0o755)
        return folder
