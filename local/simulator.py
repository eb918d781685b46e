"""The PayPal simulator as a child process, which starts while the other servers do."""

import os
import socket
import sys
import time

from errors import SetupError
from local.folder import DataFolder
from local.servers.process import ChildProcess
from local.servers.tcp_ports import LOOPBACK, choose_port
from settings import PROJECT_ROOT, Settings

READY_S = 30.0
ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - only compared


class PayPalSimulator:
    """The simulator's server; its store is in `paypal/` of the data folder."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self._settings = settings
        self._data_dir = folder.path
        self._secret = folder.secret("paypal_client_secret")
        self._process: ChildProcess | None = None
        self._port = choose_port(folder.path, "paypal")

    @property
    def process(self) -> ChildProcess:
        if self._process is None:
            raise SetupError("the PayPal simulator has not been started")
        return self._process

    @property
    def url(self) -> str:
        """The simulator's URL."""
        return f"http://{LOOPBACK}:{self._port}"

    def environment(self) -> dict[str, str]:
        """The settings by which a studio uses the simulator."""
        return {
            "STUDIO_PAYPAL_URL": self.url,
            "STUDIO_PAYPAL_CLIENT_ID": "simulator",
            "STUDIO_PAYPAL_CLIENT_SECRET": self._secret,
            "STUDIO_PAYPAL_WEBHOOK_ID": "WHSIMULATOR",
            "STUDIO_PAYPAL_CA_FILE": str(self._data_dir / "paypal" / "ca.pem"),
        }

    def start(self) -> None:
        """Starts the process without waiting for it."""
        host = LOOPBACK if self._settings.host in ALL_INTERFACES else self._settings.host
        target = f"http://{host}:{self._settings.port}/api/paypal/webhook"
        folder = self._data_dir / "paypal"
        self._process = ChildProcess(
            "PayPal simulator",
            [sys.executable, "-m", "local.paypal", str(self._port), str(folder), target],
            log=self._data_dir / "logs" / "paypal.log",
            cwd=PROJECT_ROOT,
            environment=os.environ | self.environment() | {"PYTHONPATH": str(PROJECT_ROOT)},
        )

    def wait_ready(self) -> None:
        """Waits until the simulator answers.

        Raises:
            SetupError: it does not start; the message ends with its last log lines.
        """
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self.process.exit_code is not None or time.monotonic() > deadline:
                self.stop()
                raise SetupError(
                    f"the PayPal simulator did not start:\n{self.process.last_lines()}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the process; every transaction is already written."""
        if self._process is not None:
            self._process.stop()

    def _answers(self) -> bool:
        """Whether it listens, which it does when its store is open."""
        try:
            socket.create_connection((LOOPBACK, self._port), timeout=1).close()
        except OSError:
            return False
        return True


def wants_simulator(settings: Settings) -> bool:
    """Whether the settings name no PayPal, as in development."""
    return settings.paypal_url is None and settings.env == "development"
