"""Renews the leases of a worker's claims in a separate thread, which no handler can block."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.connect import DatabaseUrl
from db.engine import Database
from db.job_claims import renew_leases
from errors import CancelRequested, JobStopped, StudioError, Superseded
from jobs.claim import Claim

BEATS_PER_LEASE = 3

log = structlog.get_logger("studio.jobs")


class LeasedAttempt(Protocol):
    """An attempt whose lease is renewed."""

    claim: Claim
    progress_s: float
    """When the attempt last reported progress, by `time.monotonic`."""

    def stop_soon(self, reason: JobStopped) -> None:
        """Stops the handler; safe to call from another thread."""
        ...


@dataclass(frozen=True)
class Lease:
    """An attempt, and how long it may run without reporting progress."""

    attempt: LeasedAttempt
    stall_s: float

    @property
    def claim(self) -> Claim:
        """The claim of the attempt."""
        return self.attempt.claim

    @property
    def is_stalled(self) -> bool:
        """Whether the attempt has reported no progress for longer than `stall_s`."""
        return time.monotonic() - self.attempt.progress_s > self.stall_s


class LeaseKeeper:
    """Renews leases while attempts run and make progress; stops an attempt that lost its claim.

    While the database is unreachable, the attempts continue: a worker keeps its job until another
    worker claims it.
    """

    def __init__(self, database_url: DatabaseUrl) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._url = database_url
        self._leases: dict[tuple[object, int], Lease] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(self, attempt: LeasedAttempt, stall_s: float) -> Iterator[None]:
        """Renews the lease of the attempt's claim while the block runs."""
        key = attempt.claim.key
        with self._lock:
            self._leases[key] = Lease(attempt, stall_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._leases.pop(key, None)

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
                self._stopping.wait(pause_s)  # blocks the loop, in which nothing else runs
        finally:
            await database.aclose()

    async def _renew(self, database: Database) -> float:
        """Renews every lease that is not stalled; returns the pause until the next renewal."""
        with self._lock:
            stalled = [lease for lease in self._leases.values() if lease.is_stalled]
            leases = [lease for lease in self._leases.values() if lease not in stalled]
        for lease in stalled:
            lease.attempt.stop_soon(Superseded(f"no progress for {lease.stall_s:g} s"))
        if not leases:
            return 0.2
        lease_s = min(lease.claim.lease_s for lease in leases)
        claims = [lease.claim.row for lease in leases]
        try:
            async with database.transaction() as session:
                rows = await renew_leases(session, claims, owner=self.worker, lease_s=lease_s)
        except (StudioError, SQLAlchemyError) as error:
            log.warning("leases.late", reason=str(error))
            return lease_s / BEATS_PER_LEASE / 2
        cancellations = {(row["id"], row["fence"]): row["cancel_requested"] for row in rows}
        for lease in leases:
            self._stop_if_needed(lease, cancellations.get(lease.claim.key))
        return lease_s / BEATS_PER_LEASE

    def _stop_if_needed(self, lease: Lease, cancel_requested: bool | None) -> None:
        """Stops an attempt whose claim is lost (None) or whose job is to be cancelled."""
        with self._lock:
            if lease.claim.key not in self._leases:  # the attempt ended during the renewal
                return
        if cancel_requested is None:
            lease.attempt.stop_soon(Superseded("another worker has this job"))
        elif cancel_requested:
            lease.attempt.stop_soon(CancelRequested("the job was cancelled"))
