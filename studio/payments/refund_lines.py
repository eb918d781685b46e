"""The refunds of one payment, kept in its own row: asked for by us, or made at PayPal."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from studio.payments.money import Money
from studio.payments.states import REFUND_STATES, SeenRefund

STATES = ("REQUESTED", *REFUND_STATES)
"""A refund only moves down this list; REQUESTED is ours, the others are PayPal's words."""
GONE = ("FAILED", "CANCELLED")


@dataclass(frozen=True)
class RefundLine:
    """One refund.

    Attributes:
        id: our own, which PayPal keeps as `custom_id`; PayPal's where it was made there.
        minor: the amount, in minor units of the payment's currency.
        at: when it came into the books, RFC 3339.
        key, fingerprint: the caller's Idempotency-Key, and the request it stands for.
    """

    id: str
    minor: int
    at: str
    status: str = "REQUESTED"
    refund_id: str | None = None
    note: str | None = None
    key: str | None = None
    fingerprint: str | None = None
    request_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether PayPal has yet to say how it ended."""
        return self.status in ("REQUESTED", "PENDING")


Lines = dict[str, RefundLine]


def read_lines(stored: Mapping[str, Any]) -> Lines:
    """The column -> lines by id, oldest first."""
    lines = {name: RefundLine(**fields) for name, fields in stored.items()}
    return dict(sorted(lines.items(), key=lambda item: item[1].at))


def store_lines(lines: Lines) -> dict[str, Any]:
    """Lines -> the column."""
    return {name: asdict(line) for name, line in lines.items()}


def merge(lines: Lines, seen: Iterable[SeenRefund]) -> Lines:
    """What PayPal shows put into what we know; in any order, any number of times."""
    merged = dict(lines)
    by_refund_id = {line.refund_id: name for name, line in lines.items() if line.refund_id}
    for refund in seen:
        name = by_refund_id.get(refund.refund_id) or refund.custom_id
        if name not in merged:
            name = refund.refund_id
        line = merged.get(name) or RefundLine(name, refund.amount.minor, now())
        further = max(line.status, refund.status, key=STATES.index)
        merged[name] = replace(line, status=further, refund_id=refund.refund_id)
    return merged


def now() -> str:
    """This moment, as lines keep it."""
    return datetime.now(UTC).isoformat()


def completed(lines: Lines, currency: str) -> Money:
    """What has gone back to the payer."""
    done = (line.minor for line in lines.values() if line.status == "COMPLETED")
    return Money(currency, sum(done))


def promised(lines: Lines, currency: str) -> Money:
    """What has gone back, or may yet go."""
    kept = (line.minor for line in lines.values() if line.status not in GONE)
    return Money(currency, sum(kept))
