"""The capacity of a dispatcher, which claims only jobs that can start now."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import TypedDict

from jobs.claim import ClaimRequest
from jobs.handler import Handler, Handlers

ROUNDING = 1e-9


class Capacity(TypedDict):
    """The CPUs that all running jobs may use together, and how many jobs may run."""

    cpus: float
    max_running: int


@dataclass(frozen=True)
class FreeCapacity:
    """The CPUs and slots that no running job uses."""

    cpus: float
    slots: int

    def fits(self, handler: Handler) -> bool:
        """Whether a job of this handler can start now."""
        return self.slots > 0 and handler.num_cpus <= self.cpus


def free_capacity(
    handlers: Handlers, running: Iterable[str], *, cpus: float, max_running: int
) -> FreeCapacity:
    """The capacity that running jobs of these types leave free."""
    types = list(running)
    return FreeCapacity(
        cpus - sum(handlers[name].num_cpus for name in types) + ROUNDING, max_running - len(types)
    )


def plan_claims(
    handlers: Handlers,
    running: Iterable[str],
    *,
    cpus: float,
    max_running: int,
    reserved: str | None = None,
) -> list[ClaimRequest]:
    """The requests to try, in this order, while jobs of these types run.

    Call it again after each successful claim.

    Args:
        reserved: the type of a large job that has waited too long: no other type is claimed
            before it.
    """
    free = free_capacity(handlers, running, cpus=cpus, max_running=max_running)
    fitting = {
        name: handler
        for name, handler in handlers.items()
        if free.fits(handler) and reserved in (None, name)
    }
    lone = [
        ClaimRequest([name], 1, alone=True) for name, handler in fitting.items() if handler.alone
    ]
    others = {name: handler.num_cpus for name, handler in fitting.items() if not handler.alone}
    if not others:
        return lone
    largest = max(*others.values(), ROUNDING)
    limit = 1 if reserved else min(free.slots, floor(free.cpus / largest))
    return [*lone, ClaimRequest(list(others), limit)]


def find_starving_types(
    handlers: Handlers, running: Iterable[str], *, cpus: float, max_running: int
) -> tuple[list[str], list[str]]:
    """The types that do not fit now though smaller ones do, and the types that fit.

    It leaves out types that would not fit even if no job were running.
    """
    free = free_capacity(handlers, running, cpus=cpus, max_running=max_running)
    fitting = [name for name, handler in handlers.items() if free.fits(handler)]
    too_large = [
        name
        for name, handler in handlers.items()
        if name not in fitting and handler.num_cpus <= cpus
    ]
    return (too_large, fitting) if fitting else ([], [])
