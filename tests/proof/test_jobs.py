"""`make proof`: the long fault injection, which also kills Ray's workers and raylet."""

import secrets
import tempfile
from pathlib import Path

import pytest

from tests.jobs.hunting import hunt_jobs

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]


def test_two_thousand_jobs_end_once_whoever_is_killed() -> None:
    seed = secrets.randbits(32)
    print(f"\nfault hunt: seed {seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="studio-hunt-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        deeds = hunt_jobs(
            seed=seed, jobs=2000, kinds=["pool", "pool", "ray"], folder=folder, lease_s=2.0,
            pause_s=0.15, strike_s=0.5, strikes=1000, limit_s=3000,
        )  # fmt: skip
    print(f"fault hunt: {dict(deeds)}")  # noqa: T201
    assert min(deeds[deed] for deed in ("worker killed", "raylet killed")) > 0
