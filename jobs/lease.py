"""Keeps the leases of a worker's claims, from a thread of its own that no handler can block."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.job_claims import renew_leases
from errors import CancelRequested, JobStopped, StudioError, Superseded
from jobs.claim import Claim

BEATS_PER_LEASE = 3

log = structlog.get_logger("studio.jobs")


@dataclass
class Held:
    """A claim that is kept, and how its attempt is told to end."""

    claim: Claim
    stop: Callable[[JobStopped], None]
    stall_s: float
    moved_s: float = field(default_factory=time.monotonic)

    @property
    def is_stalled(self) -> bool:
        """A lease proves that a process lives; this, that it gets on."""
        return time.monotonic() - self.moved_s > self.stall_s

    def touch(self) -> None:
        """The attempt has got on."""
        self.moved_s = time.monotonic()


class LeaseKeeper:
    """Renews while attempts run and report; whoever lost a claim is told to stop.

    A database that is away changes nothing: until somebody else has the job, it is still ours.
    """

    def __init__(self, database_url: str) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._url = database_url
        self._held: dict[tuple[object, int], Held] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(
        self, claim: Claim, stop: Callable[[JobStopped], None], stall_s: float
    ) -> Iterator[Held]:
        """While the block runs, the claim's lease is renewed; `stop` is called in the thread."""
        held = Held(claim, stop, stall_s)
        with self._lock:
            self._held[claim.key] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield held
        finally:
            with self._lock:
                self._held.pop(claim.key, None)

    def close(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.run(self._renew_often())

    async def _renew_often(self) -> None:
        database = Database(self._url, pool_size=1)
        try:
            while not self._stopping.is_set():
                pause_s = await self._renew(database)
                self._stopping.wait(pause_s)  # nothing else lives in this loop
        finally:
            await database.aclose()

    async def _renew(self, database: Database) -> float:
        with self._lock:
            kept = [held for held in self._held.values() if not held.is_stalled]
            stalled = [held for held in self._held.values() if held.is_stalled]
        for held in stalled:
            held.stop(Superseded(f"no progress for {held.stall_s:g} s"))
        if not kept:
            return 0.2
        lease_s = min(held.claim.lease_s for held in kept)
        try:
            async with database.transaction() as session:
                rows = await renew_leases(
                    session, [held.claim.held for held in kept], owner=self.worker, lease_s=lease_s
                )
        except (StudioError, SQLAlchemyError) as error:
            log.warning("leases.late", reason=str(error))
            return lease_s / BEATS_PER_LEASE / 2
        found = {(row["id"], row["fence"]): row["cancel_requested"] for row in rows}
        for held in kept:
            self._judge(held, found.get(held.claim.key))
        return lease_s / BEATS_PER_LEASE

    def _judge(self, held: Held, cancel_requested: bool | None) -> None:
        with self._lock:
            if held.claim.key not in self._held:  # ended while its lease was renewed
                return
        if cancel_requested is None:
            held.stop(Superseded("another worker has this job"))
        elif cancel_requested:
            held.stop(CancelRequested("the job was cancelled"))
