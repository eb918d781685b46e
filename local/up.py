"""`studio up`: starts the servers and the application; a signal or a failure stops them."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from db.migrate import upgrade
from errors import SetupError
from local.cluster import Cluster
from local.folder import DataFolder, require_space
from local.ready_message import ready_lines, running_addresses
from local.servers.blob_store import require_blob_store
from local.servers.postgres import Postgres
from local.servers.process import ChildProcess
from local.servers.supervisor import fork_worker, stop_signals
from local.servers.tcp_ports import LOOPBACK, require_free, require_reachable
from local.servers.valkey import Valkey
from local.simulator import PayPalSimulator, wants_simulator
from local.terminal import Terminal
from models.progress import Progress
from settings import Settings, load_settings

WATCH_S = 0.5
STOP_LIMIT_S = 120
FORMER_STUDIO_S = 15.0
"""How long the processes of a killed studio may take to end."""


class StopRequested(BaseException):
    """A stop signal arrived; it is not an Exception, so that no handler swallows it."""


CheckStop = Callable[[], None]
"""Called during long waits; raises when a stop was requested."""


class Application(Protocol):
    """The Serve application: `deployments.serve.deploy`, which `local` must not import."""

    def start(self, settings: Settings, check_stop: CheckStop, /) -> None:
        """Deploys it and waits until it is ready."""
        ...

    def stop(self) -> None:
        """Drains and removes it."""
        ...


@dataclass(frozen=True)
class ApplicationParts:
    """The parts that the command line adds to the servers; by default none."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that Ray's processes need for the application."""
    load_application: Callable[[], Application] | None = None
    seed_demo: Callable[[Settings, Progress], None] | None = None


def up(settings: Settings, parts: ApplicationParts) -> int:
    """Runs the studio in the foreground and returns its exit code.

    Raises:
        SetupError: the data folder or a port can't be used.
    """
    folder = DataFolder(settings.data_dir)
    folder.open()
    if settings.port == settings.dashboard_port:
        raise SetupError("STUDIO_PORT and STUDIO_DASHBOARD_PORT are the same port")
    patience_s = FORMER_STUDIO_S if folder.was_killed() else 0
    require_free(settings.port, settings.host, "STUDIO_PORT", patience_s)
    require_free(settings.dashboard_port, LOOPBACK, "STUDIO_DASHBOARD_PORT", patience_s)
    code = fork_worker()
    return code if code is not None else StudioRun(settings, folder, parts).run()


class StudioRun:
    """One run of the studio: the parts that have started, and how each of them stops."""

    def __init__(self, settings: Settings, folder: DataFolder, parts: ApplicationParts) -> None:
        self._settings = settings
        self._folder = folder
        self._parts = parts
        self._terminal = Terminal()
        self._stops: list[tuple[str, Callable[[], None]]] = []
        self._servers: list[ChildProcess] = []
        self._cluster: Cluster | None = None
        self._begin = time.monotonic()
        self._stopping = False

    def run(self) -> int:
        """Starts, waits, stops; 0 after a stop signal, 1 after a failure."""
        self._catch_signals()
        code = 0
        try:
            self._start()
            self._announce()
            self._watch()
        except (StopRequested, KeyboardInterrupt, SystemExit):
            pass
        except SetupError as error:
            self._terminal.say(f"studio: {error.detail}", "bold red")
            code = 1
        finally:
            self._stopping = True
            self._stop()
        return code

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """One step of the start; a stop that was requested meanwhile takes effect after it."""
        with self._terminal.step(name):
            yield
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stopping:
            raise StopRequested

    def _count(self, done: int, total: int, what: str) -> None:
        self._terminal.count(done, total, what)
        self._check_stop()

    def _start(self) -> None:
        self._terminal.say(f"Starting the studio in {self._folder.path}")
        self._give_environment()
        if self._settings.blob_url is not None:
            with self._step("Blob store"):
                require_blob_store(load_settings())
        simulator = self._begin_simulator()
        if self._settings.database_url is None:
            self._start_postgres()
        else:
            require_reachable("STUDIO_DATABASE_URL", os.environ["STUDIO_DATABASE_URL"], 5432)
        if self._settings.redis_url is None:
            self._start_valkey()
        else:
            require_reachable("STUDIO_REDIS_URL", os.environ["STUDIO_REDIS_URL"], 6379)
        self._migrate()
        if simulator is not None:
            with self._step("PayPal simulator"):
                simulator.wait_ready()
        self._start_cluster()
        settings = load_settings()
        self._start_application(settings)
        if self._has_demo(settings):
            self._seed(settings)

    def _has_demo(self, settings: Settings) -> bool:
        """Whether the demo is seeded: in development, and only in the embedded database."""
        embedded = self._settings.database_url is None
        return embedded and settings.env == "development" and self._parts.seed_demo is not None

    def _give_environment(self) -> None:
        """Sets the environment, from which replicas and jobs read their settings."""
        folder = self._folder.path
        os.environ["STUDIO_DATA_DIR"] = str(folder)
        os.environ.update(self._parts.environment)
        if self._settings.blob_url is None:
            (folder / "blobs").mkdir(mode=0o700, exist_ok=True)
            os.environ["STUDIO_BLOB_URL"] = f"file://{folder / 'blobs'}"
        if self._settings.jwt_secret is None:
            os.environ["STUDIO_JWT_SECRET"] = self._folder.secret("jwt_secret")

    def _begin_simulator(self) -> PayPalSimulator | None:
        """Starts the simulator, which gets ready while the databases do."""
        if not wants_simulator(self._settings):
            return None
        simulator = PayPalSimulator(self._settings, self._folder)
        self._stops.append(("PayPal simulator", simulator.stop))
        os.environ.update(simulator.environment())
        simulator.start()
        self._servers.append(simulator.process)
        return simulator

    def _start_postgres(self) -> None:
        with self._step("PostgreSQL"):
            postgres = Postgres(self._folder.path)
            require_space(postgres.home)
            self._stops.append(("PostgreSQL", postgres.stop))
            os.environ["STUDIO_DATABASE_URL"] = postgres.start()
            self._servers.append(postgres.process)
        if not postgres.home.is_relative_to(self._folder.path):
            self._terminal.say(
                f"    its data are in {postgres.home}, as its user can't enter this folder"
            )

    def _start_valkey(self) -> None:
        with self._step("Valkey"):
            valkey = Valkey(self._folder.path)
            self._stops.append(("Valkey", valkey.stop))
            os.environ["STUDIO_REDIS_URL"] = valkey.start()
            self._servers.append(valkey.process)

    def _migrate(self) -> None:
        with self._step("Database schema"):
            try:
                upgrade(os.environ["STUDIO_DATABASE_URL"])
            except (CommandError, SQLAlchemyError, OSError) as error:
                raise SetupError(f"the database can't be migrated: {error}") from error

    def _start_cluster(self) -> None:
        with self._step("Ray"):
            self._cluster = Cluster(self._settings, self._folder.path)
            self._stops.append(("Ray", self._cluster.stop))
            self._cluster.start()
            self._catch_signals()  # as Ray has replaced the handler of SIGTERM

    def _start_application(self, settings: Settings) -> None:
        if self._parts.load_application is None:
            return
        with self._step("Application"):
            application = self._parts.load_application()
            self._stops.append(("Application", lambda: self._stop_application(application)))
            application.start(settings, self._check_stop)

    def _stop_application(self, application: Application) -> None:
        """Stops the application unless its cluster is gone; Ray would start another one."""
        if self._cluster and not self._cluster.dead():
            application.stop()

    def _seed(self, settings: Settings) -> None:
        if self._parts.seed_demo is None:
            return
        with self._step("Demo accounts and catalogue"):
            self._parts.seed_demo(settings, self._count)

    def _announce(self) -> None:
        settings = load_settings()
        self._folder.write_running_file(running_addresses(settings))
        first, *others = ready_lines(settings, demo=self._has_demo(settings))
        self._terminal.say("")
        self._terminal.say(first, "bold green")
        for line in others:
            self._terminal.say(line)
        seconds = time.monotonic() - self._begin
        self._terminal.say(f"Started in {seconds:.1f} s. Ctrl-C stops everything.")

    def _watch(self) -> None:
        """Waits for a signal or the end of a server.

        Raises:
            StopRequested: a signal arrived.
            SetupError: a server has ended by itself; the message has its last log lines.
        """
        while True:
            self._check_stop()
            for server in self._servers:
                if (code := server.exit_code) is not None:
                    raise SetupError(
                        f"{server.name} has ended (exit code {code}). Its last lines, "
                        f"from {server.log}:\n{server.last_lines()}"
                    )
            if self._cluster and (dead_names := self._cluster.dead()):
                lines = self._cluster.last_lines()
                raise SetupError(f"Ray's {', '.join(dead_names)} has ended. Last lines:\n{lines}")
            time.sleep(WATCH_S)

    def _catch_signals(self) -> None:
        for number in stop_signals():
            signal.signal(number, self._request_stop)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Notes the request; an exception inside an event loop or a callback of Ray would be lost.

        If the stop hangs, the alarm ends this process, and the supervisor ends the others.
        """
        if not self._stopping:
            self._stopping = True
            signal.alarm(STOP_LIMIT_S)

    def _stop(self) -> None:
        """Stops the parts in reverse order; if one fails to stop, the others still do."""
        signal.alarm(STOP_LIMIT_S)
        for name, stop in reversed(self._stops):
            try:
                with self._terminal.step(f"Stopping {name}"):
                    stop()
            except (OSError, RuntimeError, SetupError) as error:
                self._terminal.say(f"studio: {name} did not stop cleanly: {error}", "red")
        self._folder.remove_running_file()
        self._terminal.say("Studio has stopped.")
