"""What `studio doctor` asks every node of a cluster; runs as a Ray task on that node."""

import asyncio
import re
import resource
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
from huggingface_hub import try_to_load_from_cache

from db.connect import connect
from errors import StudioError
from models.checkpoints.pins import read_lock
from settings import Settings, load_settings

DRIVER_OF_CUDA = {"12": 525, "13": 580}
"""The oldest driver for each CUDA that torch may be built for (CUDA's release notes)."""


@dataclass(frozen=True)
class NodeState:
    """What a node says about itself.

    gpus: name and driver of each. clock_ahead_s: its clock against PostgreSQL's. problem: why a
    check could not be made. missing: pinned files that it lacks; pins: how many checkpoints there
    are. profile, env, blob_url: its settings.
    """

    gpus: tuple[tuple[str, str], ...]
    open_files: int
    clock_ahead_s: float | None = None
    problem: str = ""
    missing: tuple[str, ...] = ()
    pins: int = 0
    lacks_lock: bool = False
    profile: str = ""
    env: str = ""
    blob_url: str = ""


def inspect_node() -> NodeState:
    """The state of this node; changes nothing and loads no model."""
    gpus, open_files = list_gpus(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        settings = load_settings()
        pins = read_lock(settings.models_lock)
        ahead_s = asyncio.run(clock_ahead_s(settings.required("database_url")))
    except (StudioError, OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        reason = error.detail if isinstance(error, StudioError) else type(error).__name__
        return NodeState(gpus, open_files, problem=reason)
    return NodeState(
        gpus, open_files, ahead_s,
        missing=tuple(
            f"{name}/{file}" for name, pin in pins.items() for file in pin.files
            if not isinstance(
                try_to_load_from_cache(pin.repository, file, revision=pin.revision), str
            )
        ),
        pins=len(pins), lacks_lock=lacks_lock(settings), profile=settings.profile,
        env=settings.env, blob_url=(settings.blob_url or "").partition("://")[0],
    )  # fmt: skip


def lacks_lock(settings: Settings) -> bool:
    """Whether checkpoints must be pinned and there is no lock."""
    return settings.requires_pins and not settings.models_lock.exists()


def list_gpus() -> tuple[tuple[str, str], ...]:
    """Name and driver of each GPU, by NVIDIA's tool; empty without one."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [line.split(", ") for line in done.stdout.splitlines() if ", " in line]
    return tuple((name, driver) for name, driver in rows)


async def clock_ahead_s(url: str) -> float:
    """How far this node's clock is ahead of PostgreSQL's, in seconds."""
    connection = await connect(url, timeout=5)
    try:
        before_s = time.time()
        server_s = float(
            await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        )
        return (before_s + time.time()) / 2 - server_s
    finally:
        await connection.close()


def needed_driver() -> int:
    """The oldest driver for the CUDA that torch is built for; 0 if it is built without."""
    spec = find_spec("torch")  # importing torch would take seconds and 300 MB
    version = Path(str(spec and spec.origin)).with_name("version.py")
    match = re.search(r"^cuda\b.*= '(\d+)", version.read_text() if version.exists() else "", re.M)
    return DRIVER_OF_CUDA.get(match[1], 0) if match else 0
