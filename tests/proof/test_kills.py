"""`make proof`: every part of production is killed, one after another, under mixed load."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from tests.support.outages import CallerLog
from tests.support.production.cluster import ProductionCluster, make_folder
from tests.support.production.load import LostConnections, ProductionCallers
from tests.support.production.nodes import CPU, GPU
from tests.support.production.shop import Shop

pytestmark = [pytest.mark.proof, pytest.mark.timeout(2400)]

REPLICAS = ("Embedder", "Segmenter", "TryOn", "Index", "Regressor", "Dispatcher", "Gateway")
RECOVERY_S, NODE_RECOVERY_S = 30.0, 120.0
"""The issue's bars: from the kill to the last answer that is not good."""
DOWN_S = 5.0
"""How long a server or the head stays away before it is started again."""
ANSWER_S = 135.0
"""Longer than the longest of the routes' own deadlines, after which they answer 504."""
QUIET_S = 15.0
"""All is good when every operation has succeeded and none has failed for this long."""


@dataclass(frozen=True)
class Death:
    """What is killed, how, how it comes back where nothing else brings it, and the bar."""

    name: str
    kill: Callable[[], None]
    bring_back: Callable[[], object] = lambda: None
    down_s: float = 0.0
    recovery_s: float = RECOVERY_S


@dataclass(frozen=True)
class Recovery:
    """What the callers got: `s` is the time from the kill to the last answer that is not good."""

    death: Death
    s: float
    answers: Counter[tuple[str, int]]

    def __str__(self) -> str:
        statuses: Counter[int] = Counter()
        for (_, status), count in self.answers.items():
            statuses[status] += count
        bad = sorted(f"{what} {status}" for what, status in self.answers if status >= 444)
        return f"{self.death.name}: well after {self.s:.1f} s, {dict(statuses)}, {bad}"


def deaths(cluster: ProductionCluster) -> list[Death]:
    """All deaths that the issue names."""
    nodes, servers = cluster.nodes, cluster.servers
    return [
        *(Death(f"{name} replica", lambda name=name: kill_replica(cluster, name))  # type: ignore[misc]
          for name in REPLICAS),
        *(Death(name, lambda server=server: kill_server(server), server.start, DOWN_S)  # type: ignore[misc]
          for name, server in (("PostgreSQL", servers.postgres), ("Valkey", servers.valkey))),
        Death("GPU node", lambda: nodes.kill("gpu"), lambda: nodes.add("gpu-2", GPU),
              recovery_s=NODE_RECOVERY_S),
        Death("CPU node", lambda: nodes.kill("cpu"), lambda: nodes.add("cpu-2", CPU),
              recovery_s=NODE_RECOVERY_S),
        Death("head", lambda: nodes.kill("head"), nodes.start_head, DOWN_S, NODE_RECOVERY_S),
    ]  # fmt: skip


def kill_replica(cluster: ProductionCluster, deployment: str) -> None:
    pid = next(one.pid for one in cluster.replicas(deployment) if one.state == "RUNNING")
    os.kill(pid, signal.SIGKILL)


def kill_server(server: Postgres | Valkey) -> None:
    """Ends all processes of a server, as a machine that loses its power."""
    main = psutil.Process(server.process.pid)
    for process in [main, *main.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server.process.wait(10)


async def die(cluster: ProductionCluster, callers: ProductionCallers, death: Death) -> Recovery:
    """Kills under load and waits until every operation succeeds again, or for too long."""
    log = callers.log
    before, killed_s = log.statuses.copy(), time.monotonic()
    await asyncio.to_thread(death.kill)
    await asyncio.sleep(death.down_s)
    await asyncio.to_thread(death.bring_back)
    back_s, late_s = time.monotonic(), killed_s + death.recovery_s + 2 * QUIET_S
    while (  # noqa: ASYNC110
        not is_quiet(log, max(log.failure_s, back_s)) and time.monotonic() < late_s
    ):
        await asyncio.sleep(0.1)
    end_s = max(log.failure_s, killed_s) if time.monotonic() < late_s else late_s
    await asyncio.to_thread(cluster.await_running)
    recovery = Recovery(death, end_s - killed_s, log.statuses - before)
    print(recovery)  # noqa: T201
    return recovery


def is_quiet(log: CallerLog, since_s: float) -> bool:
    """Whether every operation has succeeded since, and none has failed for a while."""
    return time.monotonic() - since_s > QUIET_S and min(log.success_s.values()) > since_s


async def kill_all(cluster: ProductionCluster, shop: Shop, merchant_shop: Shop) -> list[Recovery]:
    """Kills one part after another; raises where an answer is wrong or something is lost."""
    transport = LostConnections(limits=httpx.Limits(max_keepalive_connections=8))
    client = httpx.AsyncClient(base_url=cluster.url, transport=transport, timeout=ANSWER_S)
    async with client:
        callers = ProductionCallers(client, shop, merchant_shop)
        await callers.prepare()
        for operation in callers.kinds() * 3:  # every third product is deleted
            await operation()
        failures = [kind for kind in callers.log.statuses if kind[1] >= 400 and kind[0] != "score"]
        assert not failures and not callers.log.wrong, (failures, callers.log.wrong)
        ended = asyncio.Event()
        load = asyncio.create_task(callers.run_at_their_pace(ended))
        recoveries = []
        for death in deaths(cluster):
            recoveries.append(await die(cluster, callers, death))
            assert not load.done(), load.exception()
        ended.set()
        await load
        print(f"acknowledged {callers.counts()}, wrong {callers.log.wrong}")  # noqa: T201
        assert not callers.log.wrong, callers.log.wrong[:5]
        await callers.check_acknowledged()
        await callers.check_jobs()
    return recoveries


def spare_the_cores(schema: dict[str, Any]) -> None:
    """Keeps the least number of replicas, and starts one job's process at a time and dispatcher.

    More of them would only take the two cores from a replica that starts again.
    """
    application = schema["applications"][0]
    application["args"]["dispatcher"]["run"]["max_running"] = 1
    for deployment in application["deployments"]:
        scaling = deployment["autoscaling_config"]
        scaling["max_replicas"] = scaling["min_replicas"]


def test_every_part_is_killed_and_nothing_acknowledged_is_lost() -> None:
    cluster = ProductionCluster(
        make_folder(), change=spare_the_cores, STUDIO_ACCESS_TOKEN_MINUTES="60"
    )
    try:
        cluster.start(can_restart_head=True)
        with httpx.Client(base_url=cluster.url, timeout=60) as http:
            shop = Shop(http)
            shop.open(products=0)
            merchant_shop = Shop(http, {"customer": shop.people["merchant"]})
            for each in (shop, merchant_shop):
                each.send_pictures()
        recoveries = asyncio.run(kill_all(cluster, shop, merchant_shop))
    finally:
        cluster.end()
    late = [str(recovery) for recovery in recoveries if recovery.s > recovery.death.recovery_s]
    assert not late, late
