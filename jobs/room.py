"""How much a dispatcher runs at a time, so that it claims only what can start now."""

from collections.abc import Iterable
from math import floor

from jobs.claim import Wanted
from jobs.handler import Handlers

ROUNDING = 1e-9


def wanted(
    handlers: Handlers, running: Iterable[str], *, cpus: float, max_running: int
) -> list[Wanted]:
    """What to claim, in turn, given the types that run; asked again after each claim."""
    busy = list(running)
    slots = max_running - len(busy)
    free = cpus - sum(handlers[name].num_cpus for name in busy) + ROUNDING
    fitting = {
        name: handler
        for name, handler in handlers.items()
        if handler.num_cpus <= free and slots > 0
    }
    lone = [Wanted([name], 1, alone=True) for name, handler in fitting.items() if handler.alone]
    others = {name: one.num_cpus for name, one in fitting.items() if not one.alone}
    if not others:
        return lone
    largest = max(*others.values(), ROUNDING)
    return [*lone, Wanted(list(others), min(slots, floor(free / largest)))]
