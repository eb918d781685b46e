"""Loopback ports: which are free, who holds those that are not, and which a server had last."""

import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from errors import SetupError

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """True when a server may listen there now.

    Raises:
        SetupError: this user may not listen there at all.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError as error:
            raise SetupError(f"port {port} needs more rights than this user has") from error
        except socket.gaierror as error:
            raise SetupError(f"{host} is no address of this machine ({error})") from error
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on a port, in words; empty when the system does not say."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and getattr(connection.laddr, "port", None) == port and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return f"process {process.pid}, {' '.join(process.cmdline())[:80]}"
            except psutil.Error:
                return f"process {connection.pid}"
    return ""


def require_free(port: int, host: str, variable: str, patience_s: float = 0) -> None:
    """Waits a while for a port that is about to be free.

    Raises:
        SetupError: the port is taken; the message names it, its holder and the variable.
    """
    deadline = time.monotonic() + patience_s
    while not (free := is_free(port, host)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if free:
        return
    by = holder(port)
    raise SetupError(
        f"port {port} is taken{f' by {by}' if by else ''}: "
        f"stop that, or set {variable} to another port"
    )


def require_reachable(variable: str, url: str, default_port: int) -> None:
    """Raises:
    SetupError: nothing answers where the variable points; its password is not shown.
    """
    parts = urlsplit(url)
    place = (parts.hostname or LOOPBACK, parts.port or default_port)
    try:
        socket.create_connection(place, timeout=5).close()
    except OSError as error:
        raise SetupError(
            f"{variable}: nothing answers at {place[0]}:{place[1]} ({error}); start that server "
            f"or unset the variable to use the embedded one"
        ) from error


def choose_port(data_dir: Path, name: str, *, avoid: int | None = None) -> int:
    """The port that this server had last time, if it is free, else a free one, remembered."""
    path = data_dir / "ports.json"
    try:
        known = {str(key): int(port) for key, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        known = {}
    port = known.get(name, 0)
    if not port or port == avoid or not is_free(port):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        path.write_text(json.dumps(known | {name: port}))
    return port
