"""Killed replicas come back, callers get a clear problem meanwhile, a restart loses no data."""

import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from local.client import search, sign_in
from settings import PROJECT_ROOT
from tests.support.cluster import WholeStudio

QUERIES = ("red striped dress", "navy shorts", "a bag", "something yellow")


def replica(studio: WholeStudio, name: str) -> psutil.Process:
    """The process of a deployment's replica."""
    for process in studio.processes():
        if f"ServeReplica:studio:{name}" in " ".join(process.cmdline()):
            return process
    raise AssertionError(f"no replica of {name}")


# Slow: Ray Serve starts a replica in 5 to 10 s; the process imports torch and loads the weights.
@pytest.mark.parametrize("name", ["Embedder", "Index", "Gateway"])
def test_a_killed_replica_comes_back(
    http: httpx.Client, whole_studio: WholeStudio, name: str
) -> None:
    before = search(http, "text", query="red striped dress")
    replica(whole_studio, name).kill()
    deadline_s = time.monotonic() + 90
    words = 0
    while time.monotonic() < deadline_s:
        words += 1  # words never asked before, so that the embedder is needed
        try:
            answer = http.post("/api/search/text", json={"query": f"red dress {words}"})
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
    after = search(http, "text", query="red striped dress")
    assert [(one["id"], one["score"]) for one in after] == [
        (one["id"], one["score"]) for one in before
    ]


# Slow: `ray job submit` starts two processes, and the job embeds or reads the whole catalogue.
def test_a_submitted_job_reindexes_the_running_studio(
    http: httpx.Client, whole_studio: WholeStudio
) -> None:
    line = next(
        line.split("Re-index")[1].strip()
        for line in whole_studio.running.output.splitlines()
        if "Re-index" in line
    )
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "products read" in done.stdout and "is active" in done.stdout
    admin = sign_in(http, "admin@demo.studio")
    versions = http.get("/api/admin/index/versions", headers=admin).json()["items"]
    assert [one["status"] for one in versions].count("active") == 1
    newest = next(one for one in versions if one["status"] == "active")
    assert newest["version"] in done.stdout
    time.sleep(2)
    answer = http.post("/api/search/text", json={"query": "red dress"}).json()
    assert answer["indexVersion"] == newest["version"]


# Slow: the whole studio is stopped and started again.
def test_a_restart_finds_all_data_again_and_leaves_nothing_behind(
    http: httpx.Client, whole_studio: WholeStudio
) -> None:
    def answers() -> list[list[tuple[str, float]]]:
        return [
            [(one["id"], one["score"]) for one in search(http, "text", query=query, topK=50)]
            for query in QUERIES
        ]

    before = answers()
    tokens = sign_in(http)
    family = whole_studio.processes()
    whole_studio.running.send(signal.SIGTERM)
    assert whole_studio.running.exit_code() == 0, whole_studio.running.output
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [" ".join(process.cmdline()) for process in alive]
    whole_studio.start()
    assert answers() == before
    assert http.get("/api/auth/me", headers=tokens).status_code == 200
    assert http.get("/api/health").status_code == 200


# Slow: a new process imports torch and loads every shipped network.
def test_the_shipped_weights_work() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "models", "verify"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
