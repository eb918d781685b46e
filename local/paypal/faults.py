"""Scripted faults: the call that fails, the kind of fault, and how often it occurs."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

CALLS = ("token", "create", "get", "capture", "refund", "verify", "certificate", "any")
KINDS = (
    "lost_request",  # the connection breaks before the call has an effect
    "lost_answer",  # the connection breaks after the effect
    "error",  # 500 without effect
    "error_after",  # 500 after the effect
    "busy",  # 429
    "slow",  # the answer comes after `seconds`
    "unauthorized",  # all tokens become invalid
    "refused",  # COMPLIANCE_VIOLATION without effect
    "declined",  # INSTRUMENT_DECLINED
    "pending",  # the capture or refund does not complete at once
)


@dataclass
class Fault:
    """One entry of the script; it is removed after `times` uses."""

    on: str
    kind: str
    times: int = 1
    seconds: float = 0.5


@dataclass
class Script:
    """An ordered list of faults; a call gets the first fault that matches it."""

    waiting: deque[Fault] = field(default_factory=deque)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Adds entries.

        Raises:
            ValueError: an entry names an unknown call or kind.
        """
        for entry in entries:
            fault = Fault(**entry)
            if fault.on not in CALLS or fault.kind not in KINDS:
                raise ValueError(f"no such fault: {entry}")
            self.waiting.append(fault)

    def next(self, call: str) -> Fault | None:
        """Takes the fault for this call out of the script, if there is one."""
        for fault in self.waiting:
            if fault.on in (call, "any"):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
