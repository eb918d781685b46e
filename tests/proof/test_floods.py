"""`make proof`: floods from an address or account of their own, beside a caller who behaves.

Each flood runs after a harmless client that is as busy in its place; what is compared is how long
another caller waits for health and searches meanwhile.
"""

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import psutil
import pytest

from drawing.draw import Garment, draw_garment
from drawing.hostile.pictures import scan_bomb
from drawing.people.people import draw_person
from local.client import encode, sign_in, upload
from settings import PROJECT_ROOT
from tests.support.cluster import WholeStudio
from tests.support.flooding import Plan, request

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]

SECONDS = 60.0
RATIO = 3.0
GROWTH = 1.2
SETTLE_S = 5.0
CALLER = "127.0.0.77"
QUERIES = ("red striped dress", "navy shorts", "a bag", "something yellow", "white shoes")


@dataclass
class Waited:
    """The answers that the ordinary caller got."""

    health_s: list[float] = field(default_factory=list)
    search_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def p95_s(self) -> tuple[float, float]:
        """Waiting times for health and for searches, in seconds."""
        return tuple(
            sorted(times)[int(len(times) * 0.95)] for times in (self.health_s, self.search_s)
        )  # type: ignore[return-value]


async def ask(url: str, seconds: float) -> Waited:
    """Health and a search in turn, about four of each a second at most."""
    waited = Waited()
    until_s = time.monotonic() + seconds
    transport = httpx.AsyncHTTPTransport(local_address=CALLER)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=60) as client:
        turn = 0
        while time.monotonic() < until_s:
            turn += 1
            began_s = time.monotonic()
            health = await client.get("/api/health")
            waited.health_s.append(time.monotonic() - began_s)
            began_s = time.monotonic()
            query = {"query": f"{QUERIES[turn % len(QUERIES)]} {turn}", "topK": 5}
            search = await client.post("/api/search/text", json=query)
            waited.search_s.append(time.monotonic() - began_s)
            waited.statuses.update([health.status_code, search.status_code])
            await asyncio.sleep(0.1)
    return waited


async def ask_beside(plan: Plan) -> tuple[Waited, dict[str, int]]:
    """Asks while the plan runs; also what the plan's callers were answered."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flooding",
        cwd=PROJECT_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(plan.to_json())
    await child.stdin.drain()
    await asyncio.sleep(1)
    waited = await ask(plan.url, plan.seconds - 2)
    answers, _ = await child.communicate()
    counts: dict[str, int] = json.loads(answers)
    return waited, counts


def memory_by_process(studio: WholeStudio) -> dict[int, tuple[str, int]]:
    """Bytes of its own (USS), with the start of the command line. PostgreSQL's shared buffers count
    for none: they are as large as they are set, and whoever touches them first has their pages.
    """
    usage: dict[int, tuple[str, int]] = {}
    for process in studio.processes():
        with suppress(psutil.NoSuchProcess):  # workers of jobs come and go
            name = " ".join(process.cmdline())[:60]
            usage[process.pid] = name, process.memory_full_info().uss
    return usage


@dataclass(frozen=True)
class Setting:
    """What every plan needs: a customer's and a merchant's headers, pictures of the customer's."""

    url: str
    customer: dict[str, str]
    merchant: dict[str, str]
    job: dict[str, Any]
    ended_id: str
    waiting_id: str

    def plan(self, kind: str, workers: int, **fields: Any) -> Plan:
        """A plan whose requests come from their own address."""
        return Plan(self.url, "127.0.0.66", kind, workers, SECONDS, **fields)


@pytest.fixture(scope="module")
def setting(whole_studio: WholeStudio) -> Iterator[Setting]:
    with httpx.Client(base_url=whole_studio.url, timeout=60) as http:
        customer = sign_in(http, "shopper@demo.studio")
        worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
        person = draw_person(11, worn, (512, 384), full_figure=True).image
        garment = draw_garment(Garment("shirt", "green", "striped", 4), 320)
        urls = []
        for picture in (person, garment):
            _, completed = upload(http, customer, encode(picture, "PNG"), "image/png")
            urls.append(completed.json()["readUrl"])
        job = {"type": "tryon", "payload": {"personUrl": urls[0], "garmentUrl": urls[1]}}
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9000))
        ids = [
            http.post("/api/jobs", json=job | extra, headers=customer).json()["jobId"]
            for extra in ({}, {"runAt": later})
        ]
        merchant = sign_in(http)
        yield Setting(whole_studio.url, customer, merchant, job, *ids)


def photograph(size: int = 1600) -> str:
    """An ordinary JPEG, base64."""
    picture = draw_garment(Garment("dress", "blue", "plain", 3), size)
    return base64.b64encode(encode(picture, "JPEG", quality=90)).decode()


def huge_heads(setting: Setting) -> tuple[Plan, Plan]:
    """H1: heads of 8 MB in one header, and 20,000 headers."""
    one = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 8_000_000
    many = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 20_000 + b"\r\n"
    payloads = [base64.b64encode(head).decode() for head in (one, many)]
    flood = setting.plan("raw", 4, requests=payloads)
    return flood, replace(flood, requests=[request("GET", "/api/docs", {})])


def wrong_documents(setting: Setting) -> tuple[Plan, Plan]:
    """H2: JSON with hundreds of thousands of faults, unknown keys or levels."""
    brands = b'{"query":"x","filters":{"brand":[' + b"1," * 490_000 + b"1]}}"
    keys = b"{" + b",".join(b'"k%d":1' % number for number in range(110_000)) + b"}"
    deep = b'{"query":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    few = brands[:60_000] + b"1]}}"
    bodies = [request("POST", "/api/search/text", {}, body) for body in (brands, few, deep)]
    bodies.append(request("POST", "/api/auth/login", {}, keys))
    harmless = json.dumps({"query": "red dress", "topK": 10}).encode()
    flood = setting.plan("raw", 4, requests=bodies)
    return flood, replace(flood, requests=[request("POST", "/api/search/text", {}, harmless)])


def scan_bombs(setting: Setting) -> tuple[Plan, Plan]:
    """H3: progressive JPEGs of 85 KB that take seconds to decode."""
    bomb = base64.b64encode(scan_bomb(6320, 6320, 120)).decode()
    fields = {"headers": setting.customer, "content_type": "image/jpeg"}
    flood = setting.plan("upload", 8, content=bomb, **fields)
    return flood, replace(flood, content=photograph())


def spoilt_datasets(setting: Setting) -> tuple[Plan, Plan]:
    """H4: datasets of 20 MB whose last byte is wrong, completed by many at once."""
    lines = b"id,title\n" + b"a,b\n" * 5_000_000
    fields = {"headers": setting.merchant, "content_type": "text/csv", "purpose": "dataset"}
    content = base64.b64encode(lines[:-1] + b"\x00").decode()
    flood = setting.plan("upload", 8, content=content, **fields)
    return flood, replace(flood, content=base64.b64encode(lines).decode())


def job_storm(setting: Setting) -> tuple[Plan, Plan]:
    """H5: as many jobs as the API takes, with the highest priority where it is let in."""
    bodies = [json.dumps(setting.job | extra).encode() for extra in ({"priority": 100}, {})]
    requests = [request("POST", "/api/jobs", setting.customer, body) for body in bodies]
    flood = setting.plan("raw", 16, requests=requests)
    harmless = setting.plan("jobs", 2, headers=setting.customer, job=setting.job)
    return flood, harmless


def event_streams(setting: Setting) -> tuple[Plan, Plan]:
    """H6: 600 event streams of one account."""
    get = request("GET", f"/api/jobs/{setting.ended_id}", setting.customer)
    streams = [request("GET", f"/api/jobs/{setting.waiting_id}/events", setting.customer)]
    flood = setting.plan("raw", 600, requests=streams, pause_s=2.0)
    return flood, replace(flood, requests=[get], pause_s=2.0)


FLOODS = [huge_heads, wrong_documents, scan_bombs, spoilt_datasets, job_storm, event_streams]


@pytest.mark.parametrize("make", FLOODS)
def test_another_caller_hardly_notices(
    whole_studio: WholeStudio,
    setting: Setting,
    make: Callable[[Setting], tuple[Plan, Plan]],
) -> None:
    flood, harmless = make(setting)
    beside_harmless, harmless_answers = asyncio.run(ask_beside(harmless))
    time.sleep(SETTLE_S)
    before = memory_by_process(whole_studio)
    beside_flood, flood_answers = asyncio.run(ask_beside(flood))
    after = memory_by_process(whole_studio)
    grown = {
        name: (old, after[pid][1])
        for pid, (name, old) in before.items()
        if pid in after and after[pid][1] > old * GROWTH
    }
    usual, flooded = beside_harmless.p95_s(), beside_flood.p95_s()
    print(  # noqa: T201
        f"\n{make.__name__}: p95 of health {usual[0] * 1000:.0f} -> {flooded[0] * 1000:.0f} ms, "
        f"of searches {usual[1] * 1000:.0f} -> {flooded[1] * 1000:.0f} ms "
        f"({len(beside_flood.search_s)} of each); the other caller got "
        f"{dict(beside_flood.statuses)}\n  harmless: {harmless_answers}\n"
        f"  flood: {flood_answers}\n  grown: {grown}"
    )
    assert set(beside_flood.statuses) == {200}
    assert all(now <= RATIO * then for now, then in zip(flooded, usual, strict=True))
    assert not grown
    time.sleep(SETTLE_S)
