"""How much a dispatcher runs at a time, so that it claims only what can start now."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import TypedDict

from jobs.claim import Wanted
from jobs.handler import Handler, Handlers

ROUNDING = 1e-9


class Capacity(TypedDict):
    """What jobs may use together, and how many they may be."""

    cpus: float
    max_running: int


@dataclass(frozen=True)
class Room:
    """What is free on a dispatcher's machine."""

    cpus: float
    slots: int

    def fits(self, handler: Handler) -> bool:
        """Whether a job can start now."""
        return self.slots > 0 and handler.num_cpus <= self.cpus


def room_beside(
    handlers: Handlers, running: Iterable[str], *, cpus: float, max_running: int
) -> Room:
    """What jobs of these types leave."""
    busy = list(running)
    return Room(
        cpus - sum(handlers[name].num_cpus for name in busy) + ROUNDING, max_running - len(busy)
    )


def wanted(
    handlers: Handlers,
    running: Iterable[str],
    *,
    cpus: float,
    max_running: int,
    reserved: str | None = None,
) -> list[Wanted]:
    """What to claim, in turn, given the types that run; asked again after each claim.

    `reserved`: the type of a job that has waited for room: nothing else is claimed before it.
    """
    room = room_beside(handlers, running, cpus=cpus, max_running=max_running)
    fitting = {
        name: handler
        for name, handler in handlers.items()
        if room.fits(handler) and reserved in (None, name)
    }
    lone = [Wanted([name], 1, alone=True) for name, handler in fitting.items() if handler.alone]
    others = {name: one.num_cpus for name, one in fitting.items() if not one.alone}
    if not others:
        return lone
    largest = max(*others.values(), ROUNDING)
    most = 1 if reserved else min(room.slots, floor(room.cpus / largest))
    return [*lone, Wanted(list(others), most)]


def starved(
    handlers: Handlers, running: Iterable[str], *, cpus: float, max_running: int
) -> tuple[list[str], list[str]]:
    """The types that don't fit while others do, and these others; only what fits at all."""
    room = room_beside(handlers, running, cpus=cpus, max_running=max_running)
    fitting = [name for name, handler in handlers.items() if room.fits(handler)]
    too_large = [
        name
        for name, handler in handlers.items()
        if name not in fitting and handler.num_cpus <= cpus
    ]
    return (too_large, fitting) if fitting else ([], [])
