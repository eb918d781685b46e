"""What `studio doctor` says about nodes, GPUs, clocks, checkpoints and Redis, and its advice."""

import socket
import warnings
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.running import free_port
from models.checkpoints.pins import Pin, write_lock
from tests.support.servers import empty_cache

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.common import DeploymentStatus, DeploymentStatusTrigger
    from ray.serve.schema import (
        ApplicationStatus,
        ApplicationStatusOverview,
        DeploymentStatusOverview,
    )

    from deployments.serve.doctor import cluster, node
    from deployments.serve.doctor.cluster import (
        application_findings,
        cache_findings,
        node_findings,
        reason_of,
    )
    from deployments.serve.doctor.node import NodeState, inspect_node, list_gpus, needed_driver

TRACEBACK = "Error:\nTraceback (most recent call last):\n  File x, line 1\n    load()\n{}\n"
SOUND = NodeState((("NVIDIA H200", "595.10"),), 100_000, 0.01, pins=3, blob_url="azure")


def problems(state: NodeState, gpus: float = 1, nodes: int = 2) -> list[tuple[str, str]]:
    findings = list(node_findings("1 10.0.0.1", state, gpus, nodes))
    assert all(finding.advice for finding in findings if finding.status != "ok")
    return [(finding.status, finding.subject) for finding in findings if finding.status != "ok"]


def test_a_sound_node() -> None:
    assert problems(SOUND) == []
    assert problems(replace(SOUND, gpus=()), gpus=0) == []


@pytest.mark.parametrize(
    ("change", "status", "subject"),
    [
        ({"gpus": ()}, "fail", "gpu"),
        ({"gpus": (("Tesla T4", "470.1"),)}, "fail", "gpu"),
        ({"open_files": 1024}, "warn", "open files"),
        ({"problem": "STUDIO_DATABASE_URL is not set"}, "fail", "node"),
        ({"clock_ahead_s": -3.0}, "warn", "clock"),
        ({"clock_ahead_s": 100.0}, "fail", "clock"),
        ({"lacks_lock": True}, "fail", "models"),
        ({"missing": ("Marqo/x/model.safetensors",)}, "fail", "models"),
        ({"blob_url": "file"}, "fail", "blobs"),
    ],
)
def test_a_problem_of_a_node(
    change: dict[str, object], status: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "needed_driver", lambda: 580)
    assert problems(replace(SOUND, **change)) == [(status, subject)]  # type: ignore[arg-type]


def test_a_folder_of_blobs_is_fine_on_one_node() -> None:
    assert problems(replace(SOUND, blob_url="file"), nodes=1) == []


def test_a_node_says_what_it_has(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "models.lock"
    write_lock(lock, {"shop/tiny": Pin("shop/tiny", "a" * 40, {"model.bin": "0" * 64})})
    monkeypatch.setenv("STUDIO_DATABASE_URL", database_url)
    monkeypatch.setenv("STUDIO_MODELS_LOCK", str(lock))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    state = inspect_node()
    assert state.problem == "" and state.open_files > 0
    assert abs(state.clock_ahead_s or 9) < 1
    assert (state.pins, state.missing) == (1, ("shop/tiny/model.bin",))
    monkeypatch.setenv("STUDIO_DATABASE_URL", f"postgresql://me:hidden@127.0.0.1:{free_port()}/x")
    state = inspect_node()
    assert state.problem and "hidden" not in state.problem


def test_gpus_are_those_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus() == ()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB, 550.54.15'\n")
    tool.chmod(0o755)
    assert list_gpus() == (("NVIDIA A100-SXM4-80GB", "550.54.15"),)


def test_the_needed_driver_is_known() -> None:
    """Of the torch that is installed; a new major version of CUDA needs a line in the table."""
    cuda = needed_driver()
    assert cuda in {0, *node.DRIVER_OF_CUDA.values()}


def test_a_deploy_that_failed_before_it_touched_a_deployment() -> None:
    healthy = DeploymentStatusOverview(
        status=DeploymentStatus.HEALTHY, status_trigger=DeploymentStatusTrigger.UNSPECIFIED,
        replica_states={}, message="",
    )  # fmt: skip
    overview = ApplicationStatusOverview(
        status=ApplicationStatus.DEPLOY_FAILED, last_deployed_time_s=0,
        message=TRACEBACK.format("SetupError: STUDIO_TRUSTED_PROXIES: 0.0.0.0/0"),
        deployments={"Index": healthy},
    )  # fmt: skip
    failed, index = application_findings(overview)
    assert (failed.status, index.status) == ("fail", "ok")
    reason = "SetupError: STUDIO_TRUSTED_PROXIES: 0.0.0.0/0"
    assert failed.detail == f"the last deploy failed: {reason}"
    running = replace(overview, status=ApplicationStatus.RUNNING)
    assert [finding.status for finding in application_findings(running)] == ["ok"]


def test_the_reason_of_a_replica_that_could_not_start() -> None:
    error = "SafetensorError: header too large\nwhile loading the checkpoint local-dir:/x"
    status = DeploymentStatusOverview(
        status=DeploymentStatus.DEPLOY_FAILED, message=TRACEBACK.format(error),
        status_trigger=DeploymentStatusTrigger.UNSPECIFIED,
        replica_states={},
    )  # fmt: skip
    (finding,) = application_findings(
        ApplicationStatusOverview(ApplicationStatus.RUNNING, "", 0, {"Embedder": status})
    )
    assert finding.status == "fail" and finding.detail == (
        "Embedder: DEPLOY_FAILED, no replica: SafetensorError: header too large "
        "while loading the checkpoint local-dir:/x"
    )
    assert [reason_of("one\ntwo\n"), reason_of("")] == ["one two", ""]


def configure(url: str, setting: str, value: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        command = f"AUTH {parts.password}\r\nCONFIG SET {setting} {value}\r\n"
        connection.sendall(command.encode())
        answer = b""
        while answer.count(b"+OK") < 2 and (more := connection.recv(256)):
            answer += more
    assert answer.count(b"+OK") == 2, answer


@pytest.mark.parametrize(
    ("policy", "may_evict", "status"),
    [
        ("noeviction", True, "warn"), ("allkeys-lru", True, "ok"),
        ("noeviction", False, "ok"), ("allkeys-lru", False, "fail"),
    ],
)  # fmt: skip
def test_what_redis_may_evict(redis_url: str, policy: str, may_evict: bool, status: str) -> None:
    configure(redis_url, "maxmemory", "100mb")
    configure(redis_url, "maxmemory-policy", policy)
    try:
        (finding,) = cache_findings("STUDIO_REDIS_URL", redis_url, may_evict=may_evict)
    finally:
        configure(redis_url, "maxmemory", "128mb")  # as `local/servers/valkey.py` starts it
        configure(redis_url, "maxmemory-policy", "allkeys-lru")
        empty_cache(redis_url)
    assert finding.status == status and policy in finding.detail
    assert bool(finding.advice) == (status != "ok")


def test_a_lost_redis_is_named_without_its_password() -> None:
    url = f"redis://:hidden-word@127.0.0.1:{free_port()}"
    (finding,) = cache_findings("STUDIO_REDIS_URL", url, may_evict=True)
    assert finding.status == "fail" and "hidden-word" not in finding.detail
