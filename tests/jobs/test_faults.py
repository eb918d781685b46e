"""A short run under fault injection; `make proof` has a long one with workers of Ray."""

import secrets
import tempfile
from pathlib import Path

from tests.jobs.faults import run_under_faults


# Slow: 60 faults, and the leases that end after them.
def test_jobs_end_once_whoever_is_killed() -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="studio-faults-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        faults = run_under_faults(
            seed=seed, jobs=150, kinds=["pool", "pool"], folder=folder, lease_s=1.0,
            pause_s=0.15, pause_between_s=0.25, fault_count=60, limit_s=240,
        )  # fmt: skip
    print(dict(faults))  # noqa: T201
