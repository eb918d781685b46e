"""The order of payment states."""

from db.tables import PAYMENT_STATES
from studio.payments.states import CAPTURED, before


def test_states_only_move_on() -> None:
    for status in PAYMENT_STATES:
        later = PAYMENT_STATES[PAYMENT_STATES.index(status) :]
        assert not set(before(status)) & (set(later) - {"CREATED", "APPROVED"})
    for status in CAPTURED:
        assert not any(
            status in before(other) for other in PAYMENT_STATES[: PAYMENT_STATES.index(status)]
        )
