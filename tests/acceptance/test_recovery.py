"""What is killed comes back, callers meanwhile hear a clear problem, and a restart changes nothing."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from settings import PROJECT_ROOT
from tests.acceptance.client import search, sign_in
from tests.cluster import start_studio
from tests.embedded.running import RunningStudio

QUERIES = ("red striped dress", "navy shorts", "a bag", "something yellow")


@pytest.fixture
def client(whole_studio: RunningStudio) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{whole_studio.port}", timeout=60) as opened:
        yield opened


def replica(studio: RunningStudio, name: str) -> psutil.Process:
    """The process of a deployment's replica."""
    for process in psutil.Process(studio.pid).children(recursive=True):
        if f"ServeReplica:studio:{name}" in " ".join(process.cmdline()):
            return process
    raise AssertionError(f"no replica of {name}")


@pytest.mark.parametrize("name", ["Embedder", "Index", "Gateway"])
def test_a_killed_replica_comes_back(
    client: httpx.Client, whole_studio: RunningStudio, name: str
) -> None:
    before = search(client, "text", query="red striped dress")
    replica(whole_studio, name).kill()
    deadline_s = time.monotonic() + 90
    words = 0
    while time.monotonic() < deadline_s:
        words += 1  # words never asked before, so that the embedder is needed
        try:
            answer = client.post("/api/search/text", json={"query": f"red dress {words}"})
        except httpx.TransportError:
            assert name == "Gateway"
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            break
        assert answer.status_code in {503, 504}, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == 504 or int(answer.headers["retry-after"]) > 0
        time.sleep(0.2)
    after = search(client, "text", query="red striped dress")
    assert [(one["id"], one["score"]) for one in after] == [
        (one["id"], one["score"]) for one in before
    ]


def test_a_submitted_job_reindexes_the_running_studio(
    client: httpx.Client, whole_studio: RunningStudio
) -> None:
    line = next(
        line.split("Re-index")[1].strip()
        for line in whole_studio.output.splitlines()
        if "Re-index" in line
    )
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "products read" in done.stdout and "is active" in done.stdout
    admin = sign_in(client, "admin@demo.studio")
    versions = client.get("/api/admin/index/versions", headers=admin).json()["items"]
    assert [one["status"] for one in versions].count("active") == 1
    newest = next(one for one in versions if one["status"] == "active")
    assert newest["version"] in done.stdout
    time.sleep(2)
    answer = client.post("/api/search/text", json={"query": "red dress"}).json()
    assert answer["indexVersion"] == newest["version"]


def test_a_restart_finds_all_data_again_and_leaves_nothing_behind(
    client: httpx.Client, whole_studio: RunningStudio, studio_data_dir: Path
) -> None:
    def answers(http: httpx.Client) -> list[list[tuple[str, float]]]:
        return [
            [(one["id"], one["score"]) for one in search(http, "text", query=query, topK=50)]
            for query in QUERIES
        ]

    before = answers(client)
    tokens = sign_in(client)
    family = psutil.Process(whole_studio.pid).children(recursive=True)
    whole_studio.send(signal.SIGTERM)
    assert whole_studio.exit_code() == 0, whole_studio.output
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [" ".join(process.cmdline()) for process in alive]
    again = start_studio(studio_data_dir)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{again.port}", timeout=60) as http:
            assert answers(http) == before
            assert http.get("/api/auth/me", headers=tokens).status_code == 200
            assert http.get("/api/health").status_code == 200
    finally:
        again.end()


def test_the_shipped_weights_work() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "models", "verify"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
