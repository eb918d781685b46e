"""What this process knows of the rollouts: shares, the active embedder, and which models answer.

Requests never wait for a model that does not answer: its version is asked for beside them.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.index_versions import get_active_version
from db.model_rollouts import list_rollouts
from errors import StudioError
from studio.context import current_caller, current_request_id

FRESH_S = 1.0
"""An older state is read again, beside the requests that still use it."""
STALE_S = 4.0
WAIT_S = 1.0
"""Requests wait for this time for a new state rather than use one that is older than `STALE_S`."""
PROBE_S = 2.0
"""How long a next model may take to name its version before it counts as down."""

Probe = Callable[[], Awaitable[str]]

log = structlog.get_logger("studio.rollout")


@dataclass(frozen=True)
class RolloutState:
    """The rollouts at one moment.

    shares: of the traffic, by model. active_embedder: the embedder of the active index. next: the
    versions of those next models that answer.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    active_embedder: str | None = None
    next: Mapping[str, str] = field(default_factory=dict)


class RolloutWatch:
    """Reads the rollouts when they are needed, at most once a second.

    probes: how to ask each next model for its version.
    """

    def __init__(self, database: Database, probes: Mapping[str, Probe]) -> None:
        self._database = database
        self._probes = probes
        self._state = RolloutState()
        self._read_at_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def state(self) -> RolloutState:
        """The rollouts as of the last second or two, where the database answers."""
        age_s = time.monotonic() - self._read_at_s
        if age_s > FRESH_S and (self._reading is None or self._reading.done()):
            # A context of its own: the deadline of the request that happens to start it is no
            # limit for the others.
            self._reading = asyncio.create_task(self._read(), name="rollouts", context=Context())
        if age_s > STALE_S and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=WAIT_S)
        return self._state

    async def is_for_next(self, model: str, key: str | None = None) -> bool:
        """Whether the next model answers this caller; `key` stands for the caller if given.

        A caller stays on one side while the share stays the same, and a larger share takes no
        caller back.
        """
        state = await self.state()
        share = state.shares.get(model, 0.0) if model in state.next else 0.0
        return share > 0 and place_of(model, key or caller_key()) < share

    async def _read(self) -> None:
        try:
            async with self._database.read() as session:
                rollouts = await list_rollouts(session)
                active = await get_active_version(session)
        except (StudioError, SQLAlchemyError) as error:
            log.warning("rollout.unreadable", reason=str(error))
            self._read_at_s = time.monotonic()
            return
        versions = dict(zip(self._probes, await self._probe_all(), strict=True))
        self._state = RolloutState(
            {rollout.model: rollout.share for rollout in rollouts},
            active.embedder_version if active else None,
            {model: version for model, version in versions.items() if version is not None},
        )
        self._read_at_s = time.monotonic()

    async def _probe_all(self) -> list[str | None]:
        return list(await asyncio.gather(*(_probe(probe) for probe in self._probes.values())))


async def _probe(probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(PROBE_S):
            return await probe()
    except (StudioError, TimeoutError):
        return None


def caller_key() -> str:
    """The current caller: its account or address; without one, the request."""
    caller = current_caller()
    return caller.name if caller else current_request_id()


def place_of(model: str, key: str) -> float:
    """A number from 0 to below 1: the caller's place, another one for each model."""
    digest = hashlib.sha256(f"{model}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
