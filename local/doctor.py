"""`studio doctor`: finds problems of this machine and its data folder, with advice for each."""

import asyncio
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import asyncpg
import psutil
from packaging.requirements import Requirement
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from db.connect import connect
from db.engine import Database
from errors import SetupError, StudioError
from integrations.blobs.store import open_blob_store
from local.folder import DataFolder, require_space
from local.servers.tcp_ports import holder, is_free, require_reachable
from settings import PROJECT_ROOT, Settings, unknown_variables
from studio.operations.sweep import Differences, compare

NEEDED_MEMORY = 6 * 2**30
LOCK = PROJECT_ROOT / "requirements.lock"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` only where the operator should do something."""

    status: Literal["ok", "warn", "fail"]
    subject: str
    detail: str
    advice: str = ""


VerifyModels = Callable[[], object]


def examine(
    settings: Settings,
    verify_models: VerifyModels | None,
    needed_connections: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """Runs all checks, which change nothing."""
    folder = DataFolder(settings.data_dir)
    running = folder.running()
    yield _python()
    yield from _packages()
    yield from _variables()
    yield from _data_folder(folder)
    yield from _space(folder)
    yield _memory()
    yield from _ports(settings, running_ports=running["ports"] if running else [])
    yield from _servers(settings, running or {})
    if needed_connections is not None:
        url = settings.database_url or (running or {}).get("database_url")
        yield from _connections(url, needed_connections)
    yield from _blobs(settings, folder, running or {})
    yield from _models(verify_models)
    yield _leftovers(folder, running is not None)


def examine_shared(settings: Settings, needed_connections: Mapping[str, int]) -> Iterator[Finding]:
    """The checks that also hold on a cluster: this node's packages, the settings, the servers."""
    yield _python()
    yield from _packages()
    yield from _variables()
    yield from _servers(settings, {})
    yield from _connections(settings.database_url, needed_connections)
    yield from _blobs(settings, DataFolder(settings.data_dir), {})


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.prefix == sys.base_prefix:
        return Finding("warn", "python", f"{version}, outside of .venv", "use .venv/bin/studio")
    return Finding("ok", "python", f"{version} in {sys.prefix}")


def _packages() -> Iterator[Finding]:
    if not LOCK.exists():
        yield Finding(
            "fail", "packages", f"{LOCK.name} is missing", "check the repository out again"
        )
        return
    wrong = []
    pins = _pins(LOCK.read_text())
    for name, pin in pins.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "missing"
        if version.split("+")[0] != pin.split("+")[0]:
            wrong.append(f"{name} {version}, locked {pin}")
    if wrong:
        detail = "; ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        yield Finding("warn", "packages", detail, "`rm -f .venv/.installed-*`, then `make up`")
    else:
        yield Finding("ok", "packages", f"{len(pins)} as in {LOCK.name}")


def _pins(lock: str) -> dict[str, str]:
    """The locked version of each package that this Python and platform need."""
    lines = re.findall(r"^([A-Za-z0-9][^#\\\n]*)", lock, re.MULTILINE)
    needed = [Requirement(line.strip()) for line in lines]
    return {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate()
    }


def _variables() -> Iterator[Finding]:
    unknown = unknown_variables()
    if unknown:
        yield Finding(
            "warn", "settings", f"no setting is called {', '.join(unknown)}", "check the spelling"
        )
    else:
        yield Finding("ok", "settings", "every STUDIO_* variable is known")


def _data_folder(folder: DataFolder) -> Iterator[Finding]:
    if not folder.path.exists():
        yield Finding("ok", "data folder", f"{folder.path} is not there yet; `make up` makes it")
        return
    cluster = folder.path / "postgres" / "cluster"
    try:
        if cluster.exists():
            missing = [
                mark
                for mark in ("PG_VERSION", "global/pg_control")
                if not (cluster / mark).exists()
            ]
            if missing:
                advice = "restore it from a backup, or move it away"
                yield Finding("fail", "database", f"{cluster} lacks {', '.join(missing)}", advice)
                return
        if (folder.path / "secrets.json").exists():
            json.loads((folder.path / "secrets.json").read_text())
    except PermissionError as error:
        yield Finding(
            "warn", "data folder", f"{error.filename} is another user's", "become that user"
        )
    except ValueError:
        advice = "restore it, or remove it (every session then ends)"
        yield Finding("fail", "data folder", f"{folder.path}/secrets.json is damaged", advice)
    else:
        yield Finding("ok", "data folder", str(folder.path))


def _space(folder: DataFolder) -> Iterator[Finding]:
    place = next(path for path in (folder.path, *folder.path.parents) if path.exists())
    try:
        require_space(place)
        yield Finding("ok", "disk", f"{psutil.disk_usage(str(place)).free / 2**30:.1f} GB free")
    except SetupError as error:
        yield Finding("fail", "disk", error.detail)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    detail = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GB available"
    if memory.available < NEEDED_MEMORY:
        return Finding("warn", "memory", detail, "the starter profile needs up to 6 GB")
    return Finding("ok", "memory", detail)


def _ports(settings: Settings, running_ports: list[int]) -> Iterator[Finding]:
    named = {"STUDIO_PORT": settings.port, "STUDIO_DASHBOARD_PORT": settings.dashboard_port}
    for variable, port in named.items():
        try:
            if port in running_ports:
                yield Finding("ok", "port", f"{port} is this studio's, which is running")
            elif is_free(port, settings.host):
                yield Finding("ok", "port", f"{port} is free")
            else:
                by = holder(port) or "another process"
                yield Finding(
                    "fail", "port", f"{port} is taken by {by}", f"stop it, or set {variable}"
                )
        except SetupError as error:
            yield Finding("fail", "port", error.detail, f"set {variable}")


def _servers(settings: Settings, running: dict[str, str]) -> Iterator[Finding]:
    urls = {
        "STUDIO_DATABASE_URL": (settings.database_url or running.get("database_url"), 5432),
        "STUDIO_REDIS_URL": (settings.redis_url or running.get("redis_url"), 6379),
        "the studio": (running.get("base_url"), 80),
    }
    for name, (url, default_port) in urls.items():
        if url is None:
            continue
        try:
            require_reachable(name, url, default_port)
            parts = urlsplit(url)
            yield Finding("ok", "server", f"{name}: {parts.hostname}:{parts.port} answers")
        except SetupError as error:
            yield Finding("fail", "server", error.detail)


def _connections(url: str | None, needed: Mapping[str, int]) -> Iterator[Finding]:
    """Whether the server permits as many connections as all pools may open."""
    if url is None:
        return
    total = sum(needed.values())
    shares = ", ".join(f"{name} {count}" for name, count in needed.items())
    try:
        limit, can_write = asyncio.run(_query_server(url))
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError, SetupError) as error:
        yield Finding(
            "fail", "database", f"can't be queried: {type(error).__name__}", "see its log"
        )
        return
    detail = f"up to {total} ({shares}) of {limit} that the server allows"
    if total > limit:
        advice = (
            "raise the server's max_connections, or lower STUDIO_DATABASE_POOL_SIZE or replicas"
        )
        yield Finding("warn", "connections", detail, advice)
    else:
        yield Finding("ok", "connections", detail)
    if not can_write:
        yield Finding("fail", "database", "takes no changes (a standby?)", "name the primary")


def _blobs(settings: Settings, folder: DataFolder, running: Mapping[str, str]) -> Iterator[Finding]:
    """Compares blobs with rows, where both servers can be reached."""
    url = settings.database_url or running.get("database_url")
    blob_url = settings.blob_url or (f"file://{folder.path / 'blobs'}" if running else None)
    if url is None or blob_url is None:
        return
    unused = SecretStr("the doctor signs nothing, so any secret does")
    local = settings.model_copy(update={"blob_url": blob_url, "jwt_secret": unused})
    try:
        differences = asyncio.run(_compare_blobs(local, url))
    except (StudioError, SQLAlchemyError, OSError) as error:
        yield Finding("warn", "blobs", f"can't be compared: {type(error).__name__}")
        return
    detail = f"{differences.blobs} blobs, {len(differences.strays)} without a row for over a day"
    detail += f"; {differences.rows} rows with a blob, {differences.missing_count} without it"
    if differences.strays or differences.missing_count:
        yield Finding("warn", "blobs", detail, "a running studio removes both once a day")
    else:
        yield Finding("ok", "blobs", detail)


async def _compare_blobs(settings: Settings, database_url: str) -> Differences:
    database, blobs = Database(database_url, pool_size=2), open_blob_store(settings)
    try:
        return await compare(database, blobs)
    finally:
        await blobs.aclose()
        await database.aclose()


async def _query_server(url: str) -> tuple[int, bool]:
    """The number of connections for ordinary users, and whether the server accepts writes."""
    connection = await connect(url, timeout=5)
    try:
        row = await connection.fetchrow(
            """SELECT current_setting('max_connections')::int
                - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true)::int, 0),
                current_setting('transaction_read_only') = 'off'"""
        )
        return int(row[0]), bool(row[1])
    finally:
        await connection.close()


def _models(verify_models: VerifyModels | None) -> Iterator[Finding]:
    if verify_models is None:
        return
    try:
        verify_models()
        yield Finding("ok", "models", "the shipped weights are complete")
    except (OSError, ValueError, RuntimeError, StudioError) as error:
        yield Finding("fail", "models", str(error), "check the repository out again, or fetch them")


def _leftovers(folder: DataFolder, running: bool) -> Finding:
    """Finds processes that have this data folder in their command line though no studio runs."""
    needle = re.compile(re.escape(str(folder.path)) + r"(/|$)")
    leftovers = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        words = process.info["cmdline"] or []
        own = process.info["pid"] in (os.getpid(), os.getppid())
        if not own and any(needle.search(word) for word in words) and not running:
            leftovers.append(f"{process.info['name']} ({process.info['pid']})")
    if leftovers:
        return Finding(
            "warn", "processes", f"left over: {', '.join(leftovers)}", "end them by `kill`"
        )
    return Finding("ok", "processes", "this studio is running" if running else "none left over")
