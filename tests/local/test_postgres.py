"""The embedded PostgreSQL: starts, recovers and stops."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from errors import SetupError
from local.servers import os_account as account
from local.servers.os_account import server_programs
from local.servers.postgres import PACKAGE, PARTS, Postgres
from local.servers.process import OsAccount
from local.servers.valkey import Valkey
from settings import PROJECT_ROOT


def run(url: str, statement: str) -> Any:
    async def once() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(once())


@pytest.fixture
def postgres(data_dir: Path) -> Iterator[Postgres]:
    server = Postgres(data_dir)
    yield server
    server.stop()


def test_data_survive_an_orderly_stop_and_a_kill(postgres: Postgres, data_dir: Path) -> None:
    url = postgres.start()
    run(url, "CREATE TABLE kept AS SELECT 1 AS n")
    assert run(url, "SHOW fsync") == "on"
    assert run(url, "SHOW listen_addresses") == "127.0.0.1"
    postgres.stop()
    assert postgres.start() == url  # the same port and password
    run(url, "INSERT INTO kept VALUES (2)")
    os.kill(postgres.process.pid, signal.SIGKILL)
    assert postgres.process.wait(5)
    assert (data_dir / "postgres/cluster/postmaster.pid").exists()
    assert run(postgres.start(), "SELECT count(*) FROM kept") == 2


def test_a_strict_umask_shuts_nobody_out(data_dir: Path) -> None:
    before = os.umask(0o077)
    try:
        server = Postgres(data_dir)
        assert run(server.start(), "SELECT 1") == 1
        server.stop()
        valkey = Valkey(data_dir)
        valkey.start()
        valkey.stop()
    finally:
        os.umask(before)


def test_nobody_gets_in_without_the_password(postgres: Postgres) -> None:
    url = postgres.start()
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        run(url.replace(password, "guess"), "SELECT 1")


def test_a_stale_pid_that_is_another_process_now(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    pid_file = postgres.cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{postgres.cluster}\n")
    assert run(postgres.start(), "SELECT 1") == 1


def test_a_running_server_is_not_touched(
    postgres: Postgres, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.start()
    ticks = iter(range(0, 10_000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    with pytest.raises(SetupError, match=f"process {postgres.process.pid}.*already runs"):
        Postgres(data_dir).start()
    monkeypatch.undo()
    assert run(url, "SELECT 1") == 1


def test_a_taken_port_is_replaced_and_remembered(postgres: Postgres, data_dir: Path) -> None:
    postgres.start()
    postgres.stop()
    port = json.loads((data_dir / "ports.json").read_text())["postgres"]
    with socket.create_server(("127.0.0.1", port)):
        url = postgres.start()
    assert f":{port}/" not in url
    assert str(json.loads((data_dir / "ports.json").read_text())["postgres"]) in url


def test_an_unfinished_initdb_is_done_again(postgres: Postgres, data_dir: Path) -> None:
    unfinished = data_dir / "postgres" / "cluster.new-abc"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    assert run(postgres.start(), "SELECT 1") == 1
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("cluster/global/pg_control", "a complete PostgreSQL folder .global/pg_control missing"),
        ("cluster/PG_VERSION", "not a complete PostgreSQL folder .PG_VERSION missing"),
        ("password", "password is missing"),
    ],
)
def test_a_broken_folder_is_named_and_kept(
    broken_home: Path, data_dir: Path, lost: str, said: str
) -> None:
    (broken_home / lost).unlink()
    before = sorted(broken_home.rglob("*"))
    with pytest.raises(SetupError, match=said):
        Postgres(data_dir).start()
    assert sorted(broken_home.rglob("*")) == before


def test_another_major_version_is_refused(broken_home: Path, data_dir: Path) -> None:
    (broken_home / "cluster/PG_VERSION").write_text("16\n")
    with pytest.raises(SetupError, match="written by PostgreSQL 16, this is 18"):
        Postgres(data_dir).start()


def test_a_damaged_cluster_says_what_postgres_said(broken_home: Path, data_dir: Path) -> None:
    with pytest.raises(SetupError, match=r"PostgreSQL did not start:\n(.|\n)*pg_control"):
        Postgres(data_dir).start()


@pytest.fixture
def broken_home(data_dir: Path) -> Path:
    """A folder that looks like a cluster but has no data."""
    server = Postgres(data_dir)
    for mark in ("PG_VERSION", "global/pg_control", "postgresql.conf"):
        path = server.cluster / mark
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("18\n" if mark == "PG_VERSION" else "")
    (server.home / "password").write_text("secret\n")
    server.cluster.chmod(0o700)
    if os.geteuid() == 0:
        owner = account.server_account(data_dir / "none")
        assert owner is not None
        for path in (server.cluster, *server.cluster.rglob("*")):
            os.chown(path, owner.uid, owner.gid)
    return server.home


CHILD = """
import sys, time
from pathlib import Path
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
folder = Path(sys.argv[1])
postgres, valkey = Postgres(folder), Valkey(folder)
postgres.start(), valkey.start()
print(postgres.process.pid, valkey.process.pid, flush=True)
time.sleep(60)
"""


def test_servers_end_with_their_killed_parent(data_dir: Path) -> None:
    """The kernel ends them without the supervisor, though they run as another user."""
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert parent.stdout
    servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(servers) == 2
    if os.geteuid() == 0:
        assert all(server.uids().real != 0 for server in servers)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(servers, timeout=10)
    assert alive == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
class TestBelowAClosedFolder:
    """A checkout below /root, which the servers' user can't enter; no permissions are changed."""

    @pytest.fixture
    def closed(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        monkeypatch.setattr(account, "STATE_ROOT", data_dir / "var")
        with tempfile.TemporaryDirectory(dir=data_dir) as closed:
            folder = Path(closed) / "data"
            folder.mkdir(mode=0o711)
            yield folder

    def test_data_go_elsewhere(self, closed: Path, data_dir: Path) -> None:
        server = Postgres(closed)
        try:
            assert run(server.start(), "SELECT 1") == 1
        finally:
            server.stop()
        assert closed.parent.stat().st_mode & 0o077 == 0
        assert (closed / "postgres").is_symlink()
        assert server.home.is_relative_to(data_dir / "var")
        assert Postgres(closed).home == server.home
        Valkey(closed)

    def test_a_lost_place_is_named(self, closed: Path) -> None:
        home = Postgres(closed).home
        home.rmdir()
        with pytest.raises(SetupError, match=f"points to {home}, which is missing"):
            Postgres(closed)

    def test_programs_are_copied_once(
        self, closed: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stranger = OsAccount("nobody", 65534, 65534)
        real = account.can_reach
        monkeypatch.setattr(
            account,
            "can_reach",
            lambda who, path: path.is_relative_to(data_dir) and real(who, path),
        )
        copy = server_programs(PACKAGE, PARTS, stranger)
        stamp = copy.stat().st_mtime_ns
        assert server_programs(PACKAGE, PARTS, stranger) == copy
        assert copy.stat().st_mtime_ns == stamp
        assert copy != server_programs(PACKAGE, PARTS, None)
        postgres = copy / PARTS[0] / "bin" / "postgres"
        said = subprocess.check_output([postgres, "--version"], user=65534, text=True)
        assert "PostgreSQL) 18" in said
