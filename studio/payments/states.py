"""Groups of payment states, their order, and which state may follow which."""

from db.tables import PAYMENT_STATES

UNPAID = ("CREATED", "APPROVED")
CAPTURED = ("PENDING", "COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
REFUNDABLE = ("COMPLETED", "PARTIALLY_REFUNDED")
CLOSED = ("FAILED", "VOIDED", "DECLINED", "REFUNDED")
"""States in which nothing more happens, unless a refund is still open."""


def rank(status: str) -> int:
    """The position of the state in the order of a payment's states."""
    return PAYMENT_STATES.index(status)


def before(status: str) -> tuple[str, ...]:
    """The states from which a payment may move to `status` because PayPal reports it."""
    if status in UNPAID:
        return ("CREATING", "FAILED", *UNPAID)
    return PAYMENT_STATES[: rank(status)]
