"""What goes wrong on demand: at which call, how, how often."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

CALLS = ("token", "create", "get", "capture", "refund", "verify", "certificate", "any")
KINDS = (
    "lost_request",  # the connection breaks before anything was done
    "lost_answer",  # it breaks after it was done
    "error",  # 500, nothing done
    "error_after",  # 500, though it was done
    "busy",  # 429
    "slow",  # done, and told after `seconds`
    "unauthorized",  # the token is no longer taken
    "refused",  # COMPLIANCE_VIOLATION, nothing done
    "declined",  # INSTRUMENT_DECLINED
    "pending",  # the capture, or refund, takes a while
)


@dataclass
class Fault:
    """One entry of the script; used up after `times`."""

    on: str
    kind: str
    times: int = 1
    seconds: float = 0.5


@dataclass
class Script:
    """Faults in the order in which they come; the first that fits a call happens to it."""

    waiting: deque[Fault] = field(default_factory=deque)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Raises:
        ValueError: an entry names no call or kind of ours.
        """
        for entry in entries:
            fault = Fault(**entry)
            if fault.on not in CALLS or fault.kind not in KINDS:
                raise ValueError(f"no such fault: {entry}")
            self.waiting.append(fault)

    def next(self, call: str) -> Fault | None:
        """The fault for this call, if there is one."""
        for fault in self.waiting:
            if fault.on in (call, "any"):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
