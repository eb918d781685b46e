"""TCP ports of this machine: whether a port is free, its process, and each server's last port."""

import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from errors import SetupError

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server can listen on the port now.

    Raises:
        SetupError: this user must not use the port, or the host is not this machine.
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
    """Describes the process that listens on a port; empty if the system does not reveal it."""
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
    """Requires that the port is free, or becomes free within `patience_s`.

    Raises:
        SetupError: the port is in use; the message names the process and the variable.
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
    """Requires that a server listens at the URL.

    Raises:
        SetupError: there is none; the message does not contain the URL's password.
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
    """The port of this server's last start; if it is in use, a free port, which is stored."""
    path = data_dir / "ports.json"
    try:
        ports = {str(key): int(port) for key, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        ports = {}
    port = ports.get(name, 0)
    if not port or port == avoid or not is_free(port):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        path.write_text(json.dumps(ports | {name: port}))
    return port
