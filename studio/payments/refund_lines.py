"""The refunds of one payment as its row stores them: requested by us, or made at PayPal."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from studio.payments.money import Money
from studio.payments.paypal_documents import REFUND_STATES, PayPalRefund

STATES = ("REQUESTED", *REFUND_STATES)
"""A refund moves only forward in this list. REQUESTED is our own state; others are PayPal's."""
UNSUCCESSFUL = ("FAILED", "CANCELLED")


@dataclass(frozen=True)
class RefundLine:
    """One refund.

    Attributes:
        id: our own id, which PayPal stores as `custom_id`; PayPal's id if it was made there.
        minor: the amount, in minor units of the payment's currency.
        at: when it was first stored, RFC 3339.
        key, fingerprint: the caller's Idempotency-Key, and the fingerprint of its request.
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
        """Whether PayPal has not completed or refused it yet."""
        return self.status in ("REQUESTED", "PENDING")


Lines = dict[str, RefundLine]


def read_lines(column: Mapping[str, Any]) -> Lines:
    """The payment's column `refunds` -> refunds by id, oldest first."""
    lines = {name: RefundLine(**fields) for name, fields in column.items()}
    return dict(sorted(lines.items(), key=lambda item: item[1].at))


def store_lines(lines: Lines) -> dict[str, Any]:
    """Refunds by id -> the payment's column `refunds`."""
    return {name: asdict(line) for name, line in lines.items()}


def merge(lines: Lines, refunds: Iterable[PayPalRefund]) -> Lines:
    """The stored refunds with PayPal's reports merged in; the order of reports doesn't matter.

    Several reports of one refund become one line, even where some lack our id.
    """
    merged = dict(lines)
    by_refund_id = {line.refund_id: name for name, line in lines.items() if line.refund_id}
    for refund in sorted(refunds, key=lambda refund: refund.custom_id is None):
        name = by_refund_id.get(refund.refund_id) or refund.custom_id
        if name not in merged:
            name = refund.refund_id
        line = merged.get(name) or RefundLine(name, refund.amount.minor, now())
        further = max(line.status, refund.status, key=STATES.index)
        merged[name] = replace(line, status=further, refund_id=refund.refund_id)
        by_refund_id[refund.refund_id] = name
    return merged


def now() -> str:
    """The current time, RFC 3339."""
    return datetime.now(UTC).isoformat()


def completed(lines: Lines, currency: str) -> Money:
    """The sum that the payer has received back."""
    amounts = (line.minor for line in lines.values() if line.status == "COMPLETED")
    return Money(currency, sum(amounts))


def promised(lines: Lines, currency: str) -> Money:
    """The sum that the payer has received back or may still receive."""
    amounts = (line.minor for line in lines.values() if line.status not in UNSUCCESSFUL)
    return Money(currency, sum(amounts))
