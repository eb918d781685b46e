"""How one type of job runs: its function, its share of the machine, and when it stalls."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from studio.job_types import JobRun, JobType, Outcome
from studio.ports import Studio

Run = Callable[[Studio, JobRun], Coroutine[Any, Any, Outcome]]
"""Runs one attempt of a job."""


@dataclass(frozen=True)
class Handler:
    """How one type of job runs.

    Attributes:
        job_type: has the deadline of an attempt and the role that the job's owner must have.
        run: runs one attempt; a job may run twice, so doing its work twice must look like once.
        after: runs when the job has succeeded or was cancelled, to clean up; it may fail.
        num_cpus: CPUs of the machine that runs it; work on a GPU is a call of a warm deployment.
        stall_s: an attempt that reports no progress for this many seconds is stopped.
        alone: at most one such job runs at a time.
    """

    job_type: JobType
    run: Run
    after: Callable[[Studio, JobRun], Coroutine[Any, Any, None]] | None = None
    num_cpus: float = 0.5
    stall_s: float = 600.0
    alone: bool = False


Handlers = Mapping[str, Handler]
"""The handler of each job type, by the type's name."""
