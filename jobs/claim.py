"""A claim: the right to run a job once, proved by a fence number that only ever grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.engine import Database
from db.job_claims import claim_jobs


@dataclass(frozen=True)
class Claim:
    """What one attempt needs to know; it travels to the worker.

    Attributes:
        fence: raised at every claim; whoever writes for the job must show the newest.
        attempts: this one included.
        done: how far earlier attempts came, by what they reported.
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
    def held(self) -> dict[str, Any]:
        """The claim as `db.job_claims` takes it."""
        return {"id": self.id, "fence": self.fence}

    @property
    def key(self) -> tuple[UUID, int]:
        """The same as a key of mappings."""
        return self.id, self.fence


@dataclass(frozen=True)
class Wanted:
    """What a dispatcher has room for."""

    types: Sequence[str]
    limit: int
    alone: bool = False
    """At most one job of these types runs at a time, whoever runs it."""


async def claim(
    database: Database,
    wanted: Wanted,
    *,
    owner: str,
    lease_s: float,
    deadlines: Mapping[str, float],
) -> list[Claim]:
    """Due jobs, now this owner's, in one transaction; two claimers never get the same one."""
    async with database.transaction() as session:
        rows = await claim_jobs(
            session, types=wanted.types, limit=wanted.limit, alone=wanted.alone,
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
