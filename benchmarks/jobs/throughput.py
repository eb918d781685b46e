"""No-op jobs a second: the queue layer beside procrastinate, Ray-task jobs beside Celery.

    python -m pip install --target .bench procrastinate 'psycopg[binary]' 'celery[redis]'
    python -m benchmarks.jobs.throughput

Every subject runs in a process of its own against the same PostgreSQL (as `make up` runs it,
durable) or the same Valkey, in turns, and is timed by its own records from the first start of a
job (Celery, which keeps none: the first end) to the last end: starting up and filling the queue
are left out. Peers that are not there are named.
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

import asyncpg

from benchmarks.report import head, keep, load_average
from db.migrate import upgrade
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from settings import PROJECT_ROOT

SIDE = Path(os.environ.get("BENCH_SIDE", PROJECT_ROOT / ".bench"))
TURNS = 3
SUBJECTS = (
    ("queue layer alone, 100 at once", "ours", 2000, 100),
    ("procrastinate, 100 at once", "procrastinate", 2000, 100),
    ("queue layer alone, 1 at once", "ours", 300, 1),
    ("procrastinate, 1 at once", "procrastinate", 300, 1),
    ("a Ray task a job, 2 at once", "ours_on_ray", 60, 2),
    ("Celery on Valkey, late acks, results kept, 2 processes", "celery", 1000, 2),
)
PEERS = ("procrastinate", "celery")


def measure(name: str, jobs: int, at_once: int, postgres_url: str, redis_url: str) -> float:
    """Jobs a second of one run in an empty database."""
    database = f"b_{uuid4().hex}"
    asyncio.run(execute(postgres_url, f"CREATE DATABASE {database}"))
    url = urlsplit(postgres_url)._replace(path=f"/{database}").geturl()
    if name not in PEERS:
        upgrade(url)
    environment = os.environ | {
        "BENCH_DATABASE_URL": url, "BENCH_REDIS_URL": redis_url, "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), *([str(SIDE)] if name in PEERS else [])]),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.jobs.peers", name, str(jobs), str(at_once)],
        cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    seconds = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("seconds ")]
    if not seconds:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return (jobs - 1) / float(seconds[0])


async def execute(url: str, statement: str) -> None:
    """One statement outside of a transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def is_there(name: str) -> bool:
    """Whether the peer is installed in the side folder."""
    return name not in PEERS or (SIDE / name).exists()


def main() -> None:
    """Runs all in turns and writes the table."""
    load = load_average()
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    postgres, valkey = Postgres(folder), Valkey(folder)
    rates: dict[str, list[float]] = {label: [] for label, *_ in SUBJECTS}
    try:
        postgres.start()
        redis_url = valkey.start()
        for turn in range(TURNS):
            for label, name, jobs, at_once in SUBJECTS:
                if is_there(name):
                    url = postgres.url("postgres")
                    rates[label].append(measure(name, jobs, at_once, url, redis_url))
                    print(f"{turn + 1}: {label}: {rates[label][-1]:.0f}/s", flush=True)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    keep("jobs", table(rates, load))


def table(rates: dict[str, list[float]], load: float) -> list[str]:
    """Median and range of the turns."""
    lines = [
        f"{head('python -m benchmarks.jobs.throughput')}, "
        f"median (least to most) of {TURNS} turns, "
        f"no-op jobs from a filled queue; load average when it began: {load:.1f}",
        "",
        "| subject | jobs | jobs/s | ms a job |",
        "|---|---|---|---|",
    ]
    for label, _, jobs, at_once in SUBJECTS:
        turns = rates[label]
        if not turns:
            lines.append(f"| {label} | - | not installed | - |")
            continue
        rate = statistics.median(turns)
        lines.append(
            f"| {label} | {jobs} | {rate:.0f} ({min(turns):.0f} to {max(turns):.0f}) "
            f"| {1000 * at_once / rate:.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
