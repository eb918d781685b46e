"""What follows a failure, and which jobs a dispatcher has capacity for."""

import pytest

from errors import Invalid, Unavailable
from jobs.capacity import plan_claims
from jobs.dispatcher import DispatcherArgs
from jobs.handler import Handler
from jobs.registry import HANDLERS
from jobs.retry import SURPRISE, RetryPolicy, reason
from studio.jobs.registry import JOB_TYPES
from tests.jobs.working import NOTE


async def nothing(*_: object) -> object:
    return None


def handler(num_cpus: float, *, alone: bool = False) -> Handler:
    return Handler(NOTE, nothing, num_cpus=num_cpus, alone=alone)  # type: ignore[arg-type]


def test_delays_double_spread_and_end() -> None:
    policy = RetryPolicy(first_s=2.0, longest_s=60.0)
    for attempts, whole_s in ((1, 2), (2, 4), (3, 8), (10, 60), (2000, 60)):
        delays = {policy.after_error(Unavailable("x"), attempts, 3000) for _ in range(50)}
        assert all(delay and whole_s / 2 <= delay <= whole_s for delay in delays)
        assert len(delays) > 10
    assert policy.after_error(Unavailable("x"), 5, 5) is None
    assert policy.after_error(Invalid("x"), 1, 5) is None
    assert policy.after_error(ZeroDivisionError(), 1, 5) is not None


def test_a_job_that_ends_its_worker_is_given_up_sooner() -> None:
    policy = RetryPolicy(max_crashes=3)
    assert policy.after_crash(2, 2, 10) is not None
    assert policy.after_crash(3, 3, 10) is None
    assert policy.after_crash(1, 10, 10) is None


def test_surprises_are_not_told_to_owners() -> None:
    assert reason(ValueError("/secret/path")) == SURPRISE
    assert reason(Invalid("said to the caller")) == "said to the caller"


def test_only_what_can_start_now_is_wanted() -> None:
    handlers = {"small": handler(0.5), "large": handler(2.0), "lone": handler(1.0, alone=True)}

    def room(*running: str, cpus: float = 2.0, slots: int = 4) -> list[tuple[list[str], int]]:
        requests = plan_claims(handlers, running, cpus=cpus, max_running=slots)
        return [(list(one.types), one.limit) for one in requests]

    assert room() == [(["lone"], 1), (["small", "large"], 1)]
    assert room("small") == [(["lone"], 1), (["small"], 3)]
    assert room("small", "small", "small") == [(["small"], 1)]
    assert room("large") == []
    assert room("small", slots=1) == []
    assert room(cpus=0.4) == []


def test_every_type_that_can_be_asked_for_is_done_by_somebody() -> None:
    assert set(HANDLERS) == {name for name, one in JOB_TYPES.items() if one.form is not None}
    assert set(JOB_TYPES) == {
        "tryon", "import-catalog", "segment-batch", "train-regressor", "rebuild-index",
    }  # fmt: skip


@pytest.mark.parametrize("lease_s", [0, 31])
def test_a_lease_is_at_most_thirty_seconds(lease_s: float) -> None:
    with pytest.raises(ValueError, match="lease_s"):
        DispatcherArgs(lease_s=lease_s)
