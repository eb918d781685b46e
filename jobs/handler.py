"""What running one type of job takes: the function, its share of a machine, its patience."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from studio.job_types import JobRun, Outcome
from studio.ports import Studio

Run = Callable[[Studio, JobRun], Coroutine[Any, Any, Outcome]]
"""One attempt of a job."""


@dataclass(frozen=True)
class Handler:
    """How one type of job is run.

    Attributes:
        run: one attempt; may be repeated, so what it does twice must look as if done once.
        after: when the job has ended for good, whichever way; cleans up, may fail.
        num_cpus: of the machine that runs it; steps on a GPU are calls of warm deployments.
        stall_s: an attempt that reports no progress for so long is ended.
        alone: at most one such job runs at a time.
        deadline_s: one attempt may take so long.
        role: the least that the job's owner must have when it runs; None: whoever asked for it.
    """

    run: Run
    after: Callable[[Studio, JobRun], Coroutine[Any, Any, None]] | None = None
    num_cpus: float = 0.5
    stall_s: float = 600.0
    alone: bool = False
    deadline_s: float = 3600.0
    role: str | None = None


Handlers = Mapping[str, Handler]
