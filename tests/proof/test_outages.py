"""`make proof`: a whole studio on servers of the user's, each stopped and started under load."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.engine import Database
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from studio.accounts.accounts import create_user
from tests.support.azurite import Azurite
from tests.support.cluster import WholeStudio
from tests.support.collector import Collector
from tests.support.fakes import PASSWORD
from tests.support.outages import Callers, Server, interrupt

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

DOWN_S = 8.0
TURNS = 2


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="studio-outage-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture
def servers(folder: Path) -> Iterator[list[Server]]:
    """The servers that an operator brings; the studio starts none of them."""
    (folder / "azurite").mkdir()
    postgres, valkey = Postgres(folder), Valkey(folder)
    azurite = Azurite(folder / "azurite")
    user_servers = [
        Server("PostgreSQL", postgres.stop, postgres.start),
        Server("Valkey", valkey.stop, valkey.start),
        Server("blob store", azurite.stop, azurite.start),
    ]
    for server in user_servers:
        server.start()
    azurite.make_container("studio")
    yield user_servers
    for server in user_servers:
        server.stop()


@pytest.fixture
def variables(servers: list[Server]) -> dict[str, str]:
    postgres, valkey, azurite = (server.stop.__self__ for server in servers)  # type: ignore[attr-defined]
    return {
        "STUDIO_DATABASE_URL": postgres.url(),
        "STUDIO_REDIS_URL": valkey.url,
        "STUDIO_BLOB_URL": azurite.blob_url("studio"),
    }


async def prepared(http: httpx.AsyncClient, database_url: str) -> Callers:
    """Waits for an active index and returns the callers of a merchant."""
    database = Database(database_url, pool_size=1)
    headers: dict[str, dict[str, str]] = {}
    for role in ("admin", "merchant"):
        email = f"{role}@example.com"
        await create_user(database, email=email, password=PASSWORD, role=role)
        answer = await http.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        headers[role] = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    await database.aclose()
    body = {"type": "rebuild-index", "payload": {}}
    job = (await http.post("/api/jobs", json=body, headers=headers["admin"])).json()["jobId"]
    until_s = time.monotonic() + 90
    state = ""
    while state != "succeeded":
        answer = await http.get(f"/api/jobs/{job}", headers=headers["admin"])
        state = answer.json()["state"]
        assert state != "failed" and time.monotonic() < until_s, answer.text
        await asyncio.sleep(0.5)
    callers = Callers(http, headers["merchant"])
    await callers.prepare()
    return callers


async def under_load(url: str, database_url: str, servers: list[Server]) -> Callers:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        callers = await prepared(http, database_url)
        for _ in range(TURNS):
            await interrupt(callers, servers, down_s=DOWN_S)
        health = (await http.get("/api/health")).json()["services"]
        assert {health[name]["status"] for name in ("rec", "jobs", "db", "cache", "blob")} == {"ok"}
    return callers


def test_servers_of_the_users_come_and_go(
    folder: Path, servers: list[Server], variables: dict[str, str]
) -> None:
    collector = Collector()
    studio = WholeStudio(folder / "data", collector, **variables)
    try:
        before = {one.pid for one in replicas(studio)}
        database_url = variables["STUDIO_DATABASE_URL"]
        callers = asyncio.run(under_load(studio.url, database_url, servers))
        assert before <= {one.pid for one in replicas(studio)}, "a replica was restarted"
    finally:
        studio.running.end()
        collector.close()
    log = callers.log
    answers = {f"{what} {status}": count for (what, status), count in sorted(log.statuses.items())}
    counts = {what: len(ids) for what, ids in log.acknowledged.items()}
    print(  # noqa: T201
        f"\n{TURNS} times {[one.name for one in servers]}, {DOWN_S:g} s each: answers {answers}; "
        f"wrong {len(log.wrong)}; kept {counts}, lost 0; well again after {log.recovered_s} s"
    )
    assert len(log.recovered_s) == TURNS * len(servers)


def replicas(studio: WholeStudio) -> list[Any]:
    return [one for one in studio.processes() if "ServeReplica:studio" in " ".join(one.cmdline())]
