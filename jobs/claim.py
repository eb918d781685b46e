"""A claim: the right to run a job once, proved by a fence number that only grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.engine import Database
from db.job_claims import claim_jobs


@dataclass(frozen=True)
class Claim:
    """The data that one attempt needs; it is pickled and sent to the worker.

    Attributes:
        fence: incremented at every claim; a write for the job must carry the newest fence.
        attempts: number of attempts, this one included.
        done: progress of earlier attempts, as they reported it.
        owner: the dispatcher that holds the lease until the worker takes it over.
    """

    id: UUID
    fence: int
    type: str
    owner_id: UUID | None
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    crashes: int
    done: int
    request_id: str | None
    traceparent: str | None
    deadline_s: float
    owner: str
    lease_s: float

    @property
    def row(self) -> dict[str, Any]:
        """The job's id and the fence, in the form that the queries of `db.job_claims` expect."""
        return {"id": self.id, "fence": self.fence}

    @property
    def key(self) -> tuple[UUID, int]:
        """The job's id and the fence, as the key of a mapping."""
        return self.id, self.fence


@dataclass(frozen=True)
class ClaimRequest:
    """The job types that a dispatcher can start now, and how many jobs of them."""

    types: Sequence[str]
    limit: int
    alone: bool = False
    """At most one job of these types runs at a time in the whole studio."""


async def claim(
    database: Database,
    request: ClaimRequest,
    *,
    owner: str,
    lease_s: float,
    deadlines: Mapping[str, float],
) -> list[Claim]:
    """Claims due jobs for this owner in one transaction; no job is claimed by two owners."""
    async with database.transaction() as session:
        rows = await claim_jobs(
            session, types=request.types, limit=request.limit, alone=request.alone,
            owner=owner, lease_s=lease_s, deadlines=deadlines,
        )  # fmt: skip
    return [
        Claim(
            **{name: value for name, value in row.items() if name != "progress_done"},
            done=row["progress_done"],
            owner=owner,
            lease_s=lease_s,
        )
        for row in rows
    ]
