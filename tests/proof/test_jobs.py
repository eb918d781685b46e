"""`make proof`: a long run under fault injection, in which Ray's workers and raylet die too."""

import secrets
import tempfile
from pathlib import Path

import pytest

from tests.jobs.faults import run_under_faults

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]


def test_two_thousand_jobs_end_once_whoever_is_killed() -> None:
    seed = secrets.randbits(32)
    print(f"\nfault injection: seed {seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="studio-faults-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        faults = run_under_faults(
            seed=seed, jobs=2000, kinds=["pool", "pool", "ray"], folder=folder, lease_s=2.0,
            pause_s=0.15, pause_between_s=0.5, fault_count=1000, limit_s=3000,
        )  # fmt: skip
    print(f"fault injection: {dict(faults)}")  # noqa: T201
    assert min(faults[fault] for fault in ("worker killed", "raylet killed")) > 0
