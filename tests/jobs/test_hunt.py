"""The fault hunt, short: `make proof` runs the long one with Ray among the prey."""

import secrets
import tempfile
from pathlib import Path

from tests.jobs.hunting import hunt_jobs


def test_jobs_end_once_whoever_is_killed() -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="studio-hunt-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        deeds = hunt_jobs(
            seed=seed, jobs=150, kinds=["pool", "pool"], folder=folder, lease_s=1.0,
            pause_s=0.15, strike_s=0.25, strikes=60, limit_s=240,
        )  # fmt: skip
    print(dict(deeds))  # noqa: T201
