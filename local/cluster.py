"""A Ray head node on this machine's loopback interface, for one studio."""

import hashlib
import logging
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from errors import SetupError
from local.servers.tcp_ports import LOOPBACK
from settings import PROJECT_ROOT, Settings

OBJECT_STORE_BYTES = 256 * 2**20
SOCKET_PATH_BYTES = 107
SESSION_PATH_BYTES = 72  # /r/session_<date>_<time>_<microseconds>_<pid>/sockets/plasma_store
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray replaces 127.0.0.1 by the external address unless it assumes a single machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Idle workers cost 45 MB each, and Serve never sends them tasks.
    "RAY_prestart_worker_first_driver": "0",
    # Ray's default is nice 15, which starves the replicas on a busy machine.
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Here a lost GCS does not come back: do not wait a minute for it.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",
}


class Cluster:
    """The processes of the head node, and this process as their driver."""

    def __init__(self, settings: Settings, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._logs = data_dir / "logs" / "ray"
        self._folder = _short_folder(data_dir)
        self._node: Any = None

    def start(self) -> None:
        """Starts Ray and connects to it; replicas and jobs inherit the current environment.

        Raises:
            SetupError: Ray does not start.
        """
        self._make_folder()
        os.environ.update(ENVIRONMENT)
        os.environ.pop("RAY_ADDRESS", None)
        # A submitted job runs `python`, which must be this one.
        _prepend("PATH", Path(sys.executable).parent)
        _prepend("PYTHONPATH", PROJECT_ROOT)
        _ensure_token(self._logs.parent.parent)
        logging.getLogger("ray.serve").disabled = True  # failures are raised as exceptions
        import ray  # noqa: PLC0415 - reads the environment at import

        try:
            self._node = start_head_node(self._settings.dashboard_port, self._folder / "r")
            # From here on no code in this process can start another cluster by accident.
            os.environ["RAY_ADDRESS"] = self._node.gcs_address
            ray.init(
                address=self._node.gcs_address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(self._folder / "r"),
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise SetupError(f"Ray did not start: {error}\n{self.last_lines()}") from error

    def dead(self) -> list[str]:
        """Names of Ray processes that have ended unexpectedly."""
        return [str(name) for name, _ in self._node.dead_processes()] if self._node else []

    def stop(self) -> None:
        """Disconnects, ends Ray's processes, moves their logs and removes their folder."""
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        if self._node is not None:
            self._node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
            self._node = None
        self._clear_folder()

    def last_lines(self, count: int = 12) -> str:
        """The last lines of the logs that show why a Ray process ended."""
        logs = log_folder(self._data_dir)
        lines = [
            f"  {name}: {line}"
            for name in ("gcs_server", "raylet", "dashboard")
            for suffix in ("err", "out")
            if (log := logs / f"{name}.{suffix}").exists()
            for line in log.read_text(errors="replace").splitlines()[-count:]
        ]
        return "\n".join(lines[-2 * count :])

    def _make_folder(self) -> None:
        """Makes a folder without access for other users, as Ray makes its files world-writable."""
        self._clear_folder()
        self._folder.mkdir(mode=0o700)

    def _clear_folder(self) -> None:
        if not self._folder.exists():
            return
        if self._folder.lstat().st_uid != os.geteuid() or self._folder.is_symlink():
            raise SetupError(
                f"{self._folder} belongs to another user: remove it, as Ray's files go there"
            )
        session = self._folder / "r" / "session_latest"
        if (session / "logs").exists():
            shutil.rmtree(self._logs, ignore_errors=True)
            shutil.move(str((session / "logs").resolve()), self._logs)
        shutil.rmtree(self._folder, ignore_errors=True)


def start_head_node(dashboard_port: int, folder: Path) -> Any:
    """Starts Ray's processes; the one place of `local` that uses private names of Ray.

    `ray.init` could start them too, but not with these ports, and not so that they can be watched.
    `tests/local/test_cluster.py` fails by name when a new version of Ray lacks one of the names.
    """
    from ray._private.node import Node  # noqa: PLC0415 - reads the environment when imported
    from ray._private.parameter import RayParams  # noqa: PLC0415

    parameters = RayParams(
        node_ip_address=LOOPBACK,
        include_dashboard=True,
        dashboard_host=LOOPBACK,
        dashboard_port=dashboard_port,  # type: ignore[arg-type]
        dashboard_agent_listen_port=0,  # `ray.init` has 52365, one studio a machine
        object_store_memory=OBJECT_STORE_BYTES,
        temp_dir=str(folder),
        no_monitor=True,  # the autoscaler's: one machine doesn't grow
    )
    return Node(
        parameters, head=True, shutdown_at_exit=False, spawn_reaper=True, ray_init_cluster=True
    )


def log_folder(data_dir: Path) -> Path:
    """The folder of Ray's logs while it runs; after a stop they are in `logs/ray`."""
    return _short_folder(data_dir) / "r" / "session_latest" / "logs"


def submit_line(settings: Settings) -> str:
    """The command by which an operator runs a job on this studio's cluster."""
    program = Path(sys.executable).parent / "ray"
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    token = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return (
        f"RAY_AUTH_MODE=token {f'RAY_AUTH_TOKEN_PATH={token} ' if token else ''}{program} job "
        f"submit --address http://{LOOPBACK}:{settings.dashboard_port} --working-dir . "
        f"-- python -m jobs.reindex"
    )


def _prepend(variable: str, folder: Path) -> None:
    folders = [str(folder), *filter(None, [os.environ.get(variable)])]
    os.environ[variable] = os.pathsep.join(folders)


def _ensure_token(data_dir: Path) -> None:
    """Makes Ray's token file in Ray's own place, where `ray job submit` finds it.

    Where there is no home folder it goes to the data folder. Ray would make the file readable by
    everyone.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            _write_token(path)
    except OSError:
        path = data_dir / "ray_token"
        if not path.exists():
            _write_token(path)
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def _write_token(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def _short_folder(data_dir: Path) -> Path:
    """A folder with a short path, as the paths of Unix sockets have a limit."""
    name = f"studio-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:10]}"
    folder = Path(tempfile.gettempdir()) / name
    fits = len(str(folder)) + SESSION_PATH_BYTES <= SOCKET_PATH_BYTES
    return folder if fits else Path("/tmp") / name  # noqa: S108 - it has mode 0700
