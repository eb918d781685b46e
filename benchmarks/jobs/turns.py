"""Turns by owner: how soon a lone job is claimed beside 10,000 of another account, and what the
turns cost in no-op jobs a second, beside the claim of an older commit in the same run.

    git worktree add ../before 69772be
    python -m benchmarks.jobs.turns ../before

Every subject runs in a process of its own on a fresh database of one PostgreSQL (as `make up` runs
it, durable); the two commits take turns.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.jobs.throughput import execute
from benchmarks.report import head, keep, load_average
from local.servers.postgres import Postgres
from settings import PROJECT_ROOT

TURNS = 5
RATES = (("queue layer alone, 100 at once", 2000, 100), ("queue layer alone, 1 at once", 300, 1))
WAITS = (
    ("10,000 due jobs of one other account", "1", "10000"),
    ("10 due jobs of each of 1,000 other accounts", "1000", "10"),
)
MIGRATE = "import os; from db.migrate import upgrade; upgrade(os.environ['BENCH_DATABASE_URL'])"


def run(tree: Path, postgres_url: str, *command: str) -> list[str]:
    """What a module of a commit's tree prints, given an empty database with its schema."""
    name = f"b_{uuid4().hex}"
    asyncio.run(execute(postgres_url, f"CREATE DATABASE {name}"))
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    environment = os.environ | {"BENCH_DATABASE_URL": url, "PYTHONPATH": str(tree)}
    lines: list[str] = []
    for arguments in (("-c", MIGRATE), ("-m", *command)):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True,
            text=True, timeout=900, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        lines = done.stdout.splitlines()
    asyncio.run(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))
    return lines


def rate(tree: Path, postgres_url: str, jobs: int, at_once: int) -> float:
    """No-op jobs a second."""
    is_old = (tree / "benchmarks" / "job_peers.py").exists()  # the module's place until 69772be
    module = "benchmarks.job_peers" if is_old else "benchmarks.jobs.peers"
    lines = run(tree, postgres_url, module, "ours", str(jobs), str(at_once))
    return (jobs - 1) / float(lines[-1].split()[1])


def commit_of(tree: Path) -> str:
    """Short, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(
        command, cwd=tree, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip


def main(before: Path) -> None:
    """Runs all in turns and writes the tables."""
    load = load_average()
    trees = {"before": before.resolve(), "now": PROJECT_ROOT}
    rates: dict[tuple[str, str], list[float]] = {}
    waits: dict[str, list[str]] = {}
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    postgres = Postgres(folder)
    try:
        postgres.start()
        url = postgres.url("postgres")
        for turn in range(TURNS):
            for label, jobs, at_once in RATES:
                for name, tree in trees.items():
                    jobs_per_s = rate(tree, url, jobs, at_once)
                    rates.setdefault((label, name), []).append(jobs_per_s)
                    print(f"{turn + 1}: {name}: {label}: {jobs_per_s:.0f}/s", flush=True)
        for label, owners, each in WAITS:
            waits[label] = run(PROJECT_ROOT, url, "benchmarks.jobs.waits", owners, each)
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    commits = {name: commit_of(tree) for name, tree in trees.items()}
    keep("job_turns", table(rates, waits, commits, load))


def table(
    rates: dict[tuple[str, str], list[float]],
    waits: dict[str, list[str]],
    commits: dict[str, str],
    load: float,
) -> list[str]:
    """Medians with their ranges, and the bars beside them."""
    lines = [
        f"{head('python -m benchmarks.jobs.turns')}, "
        f"median (least to most) of {TURNS} turns; before: {commits['before']}, now: "
        f"{commits['now']}; load average when it began: {load:.1f}, when it ended: "
        f"{load_average():.1f}",
        "",
        "| no-op jobs a second | before | now | now / before (bar: 0.8) |",
        "|---|---|---|---|",
    ]
    for label, *_ in RATES:
        old, new = rates[label, "before"], rates[label, "now"]
        ratio = statistics.median(new) / statistics.median(old)
        cells = [
            f"{statistics.median(one):.0f} ({min(one):.0f} to {max(one):.0f})" for one in (old, new)
        ]
        lines.append(f"| {label} | {' | '.join(cells)} | {ratio:.2f} |")
    lines += [
        "",
        "A lone job of the same type, from the next free place to its claim, one place (bar: 2 s):",
        "",
        "| beside | tries | median | longest | one claim takes |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {label} | {wait[-1]} |" for label, wait in waits.items()]
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
