"""Runs `tests.support.scaled_index` in a process of its own, which has the cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from settings import PROJECT_ROOT, Settings


def scale(settings: Settings, data_dir: Path, *, slow_s: float, **plan: object) -> dict[str, Any]:
    """The fields of a `Scaling`; the replicas have their folders in `data_dir`."""
    data_dir.mkdir()
    variables = {
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYTHONWARNINGS": "ignore",
        "SLOW_BLOBS_S": str(slow_s),
        "STUDIO_DATA_DIR": str(data_dir),
        "STUDIO_DATABASE_URL": settings.required("database_url"),
        "STUDIO_BLOB_URL": settings.required("blob_url"),
        "STUDIO_JWT_SECRET": settings.required("jwt_secret"),
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.scaled_index", json.dumps(plan)],
        env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    scaling: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return scaling
