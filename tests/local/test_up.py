"""`studio up`: what it starts, and that it leaves nothing running."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from local.folder import DataFolder
from local.running import RunningStudio, environment, free_port, studio

JOB = """
import os, sys
import ray
ray.init(log_to_driver=False)
print(sys.prefix, *(os.environ["STUDIO_" + name] for name in (
    "DATA_DIR", "BLOB_URL", "DATABASE_URL", "REDIS_URL", "JWT_SECRET")))
"""
Start = Callable[..., RunningStudio]


async def query(data_dir: Path, statement: str) -> Any:
    facts = DataFolder(data_dir).running()
    assert facts is not None
    connection = await asyncpg.connect(facts["database_url"])
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def listeners(family: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


# Slow: `studio up` starts three times.
async def test_a_whole_life(data_dir: Path, start_studio: Start) -> None:
    first = start_studio(command=make_command(data_dir)).wait_ready()
    assert f"Studio is ready: http://127.0.0.1:{first.port}/" in first.output
    assert "RAY_AUTH_MODE=token .venv/bin/ray job submit --address http://" in first.output
    assert listeners(first.family) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    check_files_are_private(data_dir)
    check_second_studio_is_refused(first)
    check_port_is_refused(first)
    check_operator_commands(first)
    first.send(signal.SIGTERM)
    first.exit_code()  # make's own, which is an error after any signal
    assert first.left_running() == [], first.output
    assert "Studio has stopped." in first.output
    assert DataFolder(data_dir).running() is None

    # Killed without a chance to say anything: the outer process ends the rest.
    second = start_studio().wait_ready()
    assert await query(data_dir, "SELECT count(*) FROM users") == 1
    second.inner().kill()
    assert (second.exit_code(), second.left_running(1)) == (1, []), second.output
    assert "was killed by SIGKILL" in second.output

    # A server that dies takes the studio with it, in order, and says why.
    third = start_studio().wait_ready()
    assert await query(data_dir, "SELECT count(*) FROM users") == 1
    third.server("postgres").kill()
    assert (third.exit_code(), third.left_running(1)) == (1, []), third.output
    assert "PostgreSQL has ended" in third.output


def make_command(data_dir: Path) -> list[str]:
    """The command by which the Makefile starts it."""
    makefile = data_dir / "Makefile"
    makefile.write_text(f"up:\n\t@exec {sys.executable} -m cli up --servers-only\n")
    return ["make", "-f", str(makefile), "up"]


def check_files_are_private(data_dir: Path) -> None:
    for name in ("secrets.json", "running.json", "postgres/password"):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600, name
    for name in ("logs", "blobs", "postgres/cluster"):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o700, name
    assert not stat.S_IMODE(data_dir.stat().st_mode) & 0o066


def check_second_studio_is_refused(running: RunningStudio) -> None:
    second = studio(running.data_dir, "up", "--servers-only")
    assert second.returncode == 1
    owner = psutil.Process(running.pid).children()[0].pid
    assert f"already runs in {running.data_dir} (process {owner})" in second.stderr


def check_port_is_refused(running: RunningStudio) -> None:
    other = running.data_dir / "other"
    refused = studio(other, "up", STUDIO_PORT=str(running.dashboard_port))
    assert refused.returncode == 1
    assert f"port {running.dashboard_port} is taken by process " in refused.stderr
    assert "STUDIO_PORT" in refused.stderr


def check_operator_commands(running: RunningStudio) -> None:
    words = ("user", "create", "ops@example.com", "--role", "admin", "--password")
    completed = studio(running.data_dir, *words, "a long enough password")
    assert completed.returncode == 0, completed.stderr
    assert "admin ops@example.com" in completed.stdout
    again = studio(running.data_dir, *words, "a long enough password")
    assert again.returncode == 1
    assert "has an account already" in again.stderr
    assert studio(running.data_dir, "migrate").returncode == 0


# Slow: a studio starts, and `ray job submit` starts two processes.
def test_a_job_gets_the_running_studios_settings(data_dir: Path, start_studio: Start) -> None:
    running = start_studio().wait_ready()
    job = data_dir / "job"
    job.mkdir()
    (job / "job.py").write_text(JOB)
    address = f"http://127.0.0.1:{running.dashboard_port}"
    command = [str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", address]
    command += ["--working-dir", str(job), "--", "python", "-m", "job"]
    refused = run_submit(command, environment(data_dir, RAY_AUTH_MODE="disabled"))
    assert refused.returncode != 0
    done = run_submit(command, environment(data_dir, RAY_AUTH_MODE="token"))
    assert done.returncode == 0, done.stdout + done.stderr
    facts = DataFolder(data_dir).running() or {}
    for expected in (str(data_dir), facts["blob_url"], facts["database_url"], facts["redis_url"]):
        assert expected in done.stdout
    # The outer process killed: the inner one stops in order.
    running.send(signal.SIGKILL)
    assert running.left_running() == [], running.output
    assert "Studio has stopped." in running.output


def run_submit(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd="/", capture_output=True, text=True, timeout=90, check=False
    )


# Slow: a studio has to get that far, and stop.
@pytest.mark.parametrize("after_s", [0.4, 2.0])  # in the migrations' event loop; in Ray's start
def test_stop_during_the_start(data_dir: Path, start_studio: Start, after_s: float) -> None:
    starting = start_studio()
    while not (data_dir / "logs" / "valkey.log").exists():
        time.sleep(0.02)
    time.sleep(after_s)
    starting.family = psutil.Process(starting.pid).children(recursive=True)
    os.killpg(starting.pid, signal.SIGINT)
    assert (starting.exit_code(), starting.left_running(1)) == (0, []), starting.output


def test_a_killed_make_stops_the_start(data_dir: Path, start_studio: Start) -> None:
    starting = start_studio(command=make_command(data_dir))
    while not (data_dir / "logs" / "valkey.log").exists():
        time.sleep(0.02)
    starting.family = psutil.Process(starting.pid).children(recursive=True)
    starting.send(signal.SIGKILL)
    assert starting.left_running() == [], starting.output


def test_servers_of_the_operator_are_used_and_a_lost_raylet_is_told(
    data_dir: Path, start_studio: Start, empty_database_url: str, redis_url: str
) -> None:
    variables = {"STUDIO_DATABASE_URL": empty_database_url, "STUDIO_REDIS_URL": redis_url}
    running = start_studio(**variables).wait_ready()
    assert not (data_dir / "postgres").exists()
    assert not (data_dir / "valkey").exists()
    assert "Demo accounts" not in running.output
    running.server("raylet").kill()
    assert (running.exit_code(), running.left_running(1)) == (1, []), running.output
    assert "Ray's raylet has ended" in running.output


def test_an_absent_server_is_named_without_its_password(data_dir: Path) -> None:
    url = "postgresql://me:hidden-word@127.0.0.1:9/x"
    ports = {"STUDIO_PORT": str(free_port()), "STUDIO_DASHBOARD_PORT": str(free_port())}
    refused = studio(data_dir, "up", STUDIO_DATABASE_URL=url, **ports)
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    assert "STUDIO_DATABASE_URL: nothing answers at 127.0.0.1:9" in said
    assert "hidden-word" not in said


def test_a_wrong_setting_is_named(data_dir: Path) -> None:
    refused = studio(data_dir, "up", STUDIO_PORT="eighty")
    assert refused.returncode == 1
    assert "STUDIO_PORT" in refused.stderr


def test_help_names_every_command(data_dir: Path) -> None:
    said = studio(data_dir, "--help").stdout
    for word in ("up", "migrate", "doctor", "user", "models", "jobs"):
        assert word in said
