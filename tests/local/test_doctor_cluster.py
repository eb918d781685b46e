"""`studio doctor` asks a real Ray: every finding has its line, and the command fails."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.running import environment, free_port, studio
from settings import PROJECT_ROOT

RAY = Path(sys.executable).with_name("ray")


@pytest.fixture
def address(tmp_path: Path, database_url: str) -> Iterator[str]:
    """A Ray head with a logical GPU, whose processes have the settings of a node."""
    port = free_port()
    started = subprocess.Popen(
        [
            str(RAY), "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
            "--num-gpus=1", "--include-dashboard=false", "--object-store-memory=80000000",
            f"--temp-dir=/tmp/sd{os.getpid()}",
        ],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(
            tmp_path, STUDIO_DATABASE_URL=database_url, STUDIO_BLOB_URL=f"file://{tmp_path}/blobs",
            RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0",
            PYTHONPATH=str(PROJECT_ROOT),
        ),
    )  # fmt: skip
    try:
        assert started.stdout is not None
        for line in started.stdout:
            if "Ray runtime started" in line:
                break
        yield f"127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(60)
        if started.stdout is not None:
            started.stdout.close()
        subprocess.run(["rm", "-rf", f"/tmp/sd{os.getpid()}"], check=True)


# Slow: a Ray head starts.
def test_the_doctor_looks_at_the_cluster(
    address: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    done = studio(
        tmp_path, "doctor", RAY_ADDRESS=address, RAY_AUTH_MODE="disabled",
        STUDIO_DATABASE_URL=database_url, STUDIO_REDIS_URL=redis_url,
        STUDIO_BLOB_URL=f"file://{tmp_path}/blobs", PYTHONPATH=str(PROJECT_ROOT),
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr

    def line_of(start: str) -> str:
        matches = [line for line in lines if re.match(start, line)]
        assert len(matches) == 1, done.stdout
        return matches[0]

    assert "Ray gives 1 GPUs away, the driver knows 0" in line_of("fail gpu")
    assert "s against PostgreSQL" in line_of("ok +clock")
    assert "the application is not deployed -> `serve deploy" in line_of("fail serve")
    assert "pinned checkpoints" in line_of("ok +models")
    assert "allkeys-lru, at most 128 MB" in line_of("ok +redis")
    assert "of 97 that the server allows" in line_of("(ok|warn) +connections")


def test_a_cluster_that_does_not_answer(tmp_path: Path, database_url: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = studio(tmp_path, "doctor", RAY_ADDRESS=address, STUDIO_DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "fail cluster" in done.stdout and "RAY_ADDRESS" in done.stdout, done.stdout
