"""`studio doctor` on a cluster: its nodes, its deployments, and the servers that they share."""

import asyncio
import logging
import os
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from deployments.serve.doctor.node import NodeState, inspect_node, needed_driver
from deployments.serve.studio import APPLICATION
from errors import SetupError, Unavailable
from integrations.cache import RedisCache
from local.doctor import Finding
from local.servers.tcp_ports import require_reachable
from settings import Settings

NEEDED_FILES = 65_536
RAY_PORT = 6379
LATE_S, VERY_LATE_S = 1.0, 30.0
PATIENCE_S = 60.0


def examine_cluster(settings: Settings, address: str) -> Iterator[Finding]:
    """Runs all checks, which change nothing; the nodes answer at the same time."""
    try:
        if address != "auto":  # Ray itself would try for a minute
            require_reachable("RAY_ADDRESS", f"ray://{address.rpartition('://')[2]}", RAY_PORT)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (SetupError, ConnectionError, RuntimeError, ValueError) as error:
        advice = "start Ray on a node and run this there, or set RAY_ADDRESS and RAY_AUTH_TOKEN"
        yield Finding("fail", "cluster", f"{address}: {type(error).__name__}", advice)
        return
    try:
        yield from _nodes()
        yield from _deployments()
    finally:
        ray.shutdown()
    yield from cache_findings("STUDIO_REDIS_URL", settings.redis_url, may_evict=True)
    if gcs := os.environ.get("RAY_REDIS_ADDRESS"):
        password = os.environ.get("RAY_REDIS_PASSWORD", "")
        url = gcs if "://" in gcs else f"redis://{f':{quote(password)}@' * bool(password)}{gcs}"
        yield from cache_findings("RAY_REDIS_ADDRESS", url, may_evict=False)
        if _server(url) == _server(settings.redis_url or ""):
            advice = "give Ray a Redis of its own, which never evicts"
            yield Finding("warn", "redis", "the cache's server also holds the GCS", advice)


def _nodes() -> Iterator[Finding]:
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    task = ray.remote(num_cpus=0, max_retries=0)(inspect_node)
    answers = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    ]
    for number, (node, answer) in enumerate(zip(nodes, answers, strict=True), 1):
        name, gpus = node["NodeManagerAddress"], node["Resources"].get("GPU", 0)
        try:
            state = ray.get(answer, timeout=PATIENCE_S)
        except RayError as error:
            advice = "look at the node in Ray's dashboard"
            yield Finding("fail", "node", f"{name}: {type(error).__name__}", advice)
            continue
        yield from node_findings(f"{number} {name}", state, gpus, len(nodes))


def node_findings(name: str, state: NodeState, gpus: float, nodes: int) -> Iterator[Finding]:
    """The findings of one node; `gpus`: as many as Ray gives to replicas there."""
    yield gpu_finding(name, state, gpus)
    if state.open_files < NEEDED_FILES:
        advice = f"`ulimit -n {NEEDED_FILES}` before `ray start`"
        yield Finding("warn", "open files", f"{name}: {state.open_files:,}", advice)
    if state.problem:
        advice = "give the node the STUDIO_* variables, and a way to the database"
        yield Finding("fail", "node", f"{name}: {state.problem}", advice)
        return
    yield clock_finding(name, state.clock_ahead_s or 0.0)
    if state.lacks_lock:
        advice = "`studio models lock`, then commit the file and deploy it to every node"
        yield Finding("fail", "models", f"{name}: there is no models.lock", advice)
    elif state.missing:
        detail = f"{name}: {len(state.missing)} pinned files are missing, as {state.missing[0]}"
        yield Finding("fail", "models", detail, "`studio models fetch` on that node")
    else:
        detail = f"{name}: the files of {state.pins} pinned checkpoints are there"
        yield Finding("ok", "models", detail)
    if state.blob_url == "file" and nodes > 1:
        detail = f"{name}: STUDIO_BLOB_URL is a folder, and there are {nodes} nodes"
        yield Finding("fail", "blobs", detail, "use azure://… or https://…")


def gpu_finding(name: str, state: NodeState, gpus: float) -> Finding:
    """Whether the node has the GPUs that Ray gives away, with drivers that torch can use."""
    if gpus > len(state.gpus):
        detail = f"{name}: Ray gives {gpus:g} GPUs away, the driver knows {len(state.gpus)}"
        return Finding("fail", "gpu", detail, "install the driver, or correct --num-gpus")
    if not state.gpus:
        return Finding("ok", "gpu", f"{name}: none")
    least = needed_driver()
    old = [driver for _, driver in state.gpus if int(driver.split(".")[0]) < least]
    models = ", ".join(f"{model} (driver {driver})" for model, driver in state.gpus)
    if old:
        return Finding("fail", "gpu", f"{name}: {models}", f"install a driver from {least} on")
    return Finding("ok", "gpu", f"{name}: {models}")


def clock_finding(name: str, ahead_s: float) -> Finding:
    """Whether leases, tokens and signed URLs have the same time there as in PostgreSQL."""
    detail = f"{name}: {ahead_s:+.2f} s against PostgreSQL"
    if abs(ahead_s) < LATE_S:
        return Finding("ok", "clock", detail)
    advice = "synchronise the clocks (chrony)"
    if abs(ahead_s) < VERY_LATE_S:
        return Finding("warn", "clock", detail, advice)
    return Finding("fail", "clock", detail, advice)


def _deployments() -> Iterator[Finding]:
    application = serve.status().applications.get(APPLICATION)
    if application is None:
        advice = "`serve deploy serve_config.yaml`"
        yield Finding("fail", "serve", "the application is not deployed", advice)
    else:
        yield from application_findings(application)


def application_findings(application: ApplicationStatusOverview) -> Iterator[Finding]:
    """Whether the last deploy succeeded, and the state of each deployment.

    A deploy may fail before a deployment is touched, as when a setting is wrong: then all of them
    are healthy.
    """
    if application.status is ApplicationStatus.DEPLOY_FAILED:
        advice = "correct that and deploy again; what ran before goes on"
        detail = f"the last deploy failed: {reason_of(application.message)}"
        yield Finding("fail", "serve", detail, advice)
    for name, deployment in application.deployments.items():
        replicas = ", ".join(f"{n} {state}" for state, n in deployment.replica_states.items())
        detail = f"{name}: {deployment.status.value}, {replicas or 'no replica'}"
        if deployment.status.value in ("HEALTHY", "DOWNSCALING"):
            yield Finding("ok", "serve", detail)
        elif deployment.status.value in ("UPDATING", "UPSCALING"):
            yield Finding("warn", "serve", detail, deployment.message or "wait for its replicas")
        else:
            advice = "`serve status` has the traceback, the replicas' logs the rest"
            yield Finding("fail", "serve", f"{detail}: {reason_of(deployment.message)}", advice)


def reason_of(message: str) -> str:
    """What follows the last frame of a traceback, in one line; the whole of another message."""
    lines = message.strip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith(" ")]
    start = frames[-1] + 1 if frames and frames[-1] + 1 < len(lines) else 0
    return " ".join(lines[start:])


def cache_findings(name: str, url: str | None, *, may_evict: bool) -> Iterator[Finding]:
    """Whether a Redis evicts what it must keep, or refuses what it could make room for."""
    if url is None:
        return
    try:
        policy, limit = asyncio.run(_eviction(url))
    except (Unavailable, ValueError):
        yield Finding("fail", "redis", f"{name}: no answer", "see its log, and the firewall")
        return
    detail = f"{name}: {policy}, at most {limit / 2**20:,.0f} MB"
    if limit and may_evict and policy == "noeviction":
        advice = "set maxmemory-policy to allkeys-lru: once full, nobody could sign in"
        yield Finding("warn", "redis", detail, advice)
    elif limit and not may_evict and policy != "noeviction":
        advice = "set maxmemory-policy to noeviction: the state of the cluster is in it"
        yield Finding("fail", "redis", detail, advice)
    else:
        yield Finding("ok", "redis", detail if limit else f"{name}: no limit of memory")


async def _eviction(url: str) -> tuple[str, int]:
    cache = RedisCache(url)
    try:
        return await cache.eviction()
    finally:
        await cache.aclose()


def _server(url: str) -> str:
    """Host and port, without the account."""
    return urlsplit(url).netloc.rpartition("@")[2]
