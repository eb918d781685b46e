"""Callers that send requests without pause, from a process and an address of their own.

    python -m tests.support.flooding < plan.json

The plan is the JSON of `Plan`; it prints how often each status was returned.
"""

import asyncio
import base64
import json
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

PIECE = 65536
TIMEOUT_S = 60


@dataclass
class Plan:
    """What `workers` callers of one address repeat.

    Attributes:
        kind: "raw" sends `requests` unchanged; "upload" presigns, uploads and completes
            `content`; "jobs" submits `job` and waits until it has ended.
        requests: whole HTTP requests, base64.
        pause_s: the pause between two requests of one worker.
    """

    url: str
    address: str
    kind: str
    workers: int
    seconds: float
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    content: str = ""
    content_type: str = ""
    purpose: str = "product"
    job: dict[str, Any] = field(default_factory=dict)
    pause_s: float = 0.0

    def to_json(self) -> bytes:
        """The plan on one line, for the child's standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> str:
    """One HTTP/1.1 request, base64."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: studio",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return base64.b64encode("\r\n".join([*lines, "", ""]).encode() + body).decode()


async def flood(plan: Plan) -> Counter[str]:
    """Runs the plan for its time. Returns how often each status was returned."""
    counts: Counter[str] = Counter()
    work = {"raw": send_raw, "upload": send_uploads, "jobs": send_jobs}[plan.kind]
    tasks = [asyncio.create_task(work(plan, counts)) for _ in range(plan.workers)]
    await asyncio.wait(tasks, timeout=plan.seconds)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            counts[type(ended).__name__] += 1
    return counts


async def send_raw(plan: Plan, counts: Counter[str]) -> None:
    """Sends the requests in turn and waits for each response; reconnects after an error."""
    place = urlsplit(plan.url)
    payloads = [base64.b64decode(text) for text in plan.requests]
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(
                place.hostname, place.port, local_addr=(plan.address, 0), limit=2**20
            )
            try:
                while True:
                    for payload in payloads:
                        await send_one(payload, reader, writer, counts)
                        await asyncio.sleep(plan.pause_s)
            finally:
                writer.transport.abort()
        counts["closed"] += 1
        await asyncio.sleep(0.05)


async def send_one(
    payload: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    counts: Counter[str],
) -> None:
    """Sends one request in pieces and reads its response, which may begin before the last piece."""
    for start in range(0, len(payload), PIECE):
        writer.write(payload[start : start + PIECE])
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    counts[head.split(b" ", 2)[1].decode()] += 1
    fields = head.lower()
    if b"content-length:" in fields:
        length = int(fields.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    elif b"transfer-encoding: chunked" in fields:
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    if b"connection: close" in fields:
        raise ConnectionResetError


def client_of(plan: Plan) -> httpx.AsyncClient:
    """A client that sends from the plan's address."""
    transport = httpx.AsyncHTTPTransport(local_address=plan.address)
    return httpx.AsyncClient(
        base_url=plan.url, transport=transport, timeout=TIMEOUT_S, headers=plan.headers
    )


async def send_uploads(plan: Plan, counts: Counter[str]) -> None:
    """Presigns, uploads, completes and deletes files."""
    content = base64.b64decode(plan.content)
    body = {
        "filename": "f", "contentType": plan.content_type, "purpose": plan.purpose,
        "sizeBytes": len(content),
    }  # fmt: skip
    async with client_of(plan) as client, httpx.AsyncClient(timeout=TIMEOUT_S) as store:
        while True:
            with suppress(httpx.TransportError):
                receipt = await client.post("/api/files/presign", json=body)
                counts[f"presign {receipt.status_code}"] += 1
                if receipt.status_code != 201:
                    await asyncio.sleep(0.2)
                    continue
                upload = receipt.json()
                await store.put(upload["url"], content=content, headers=upload["headers"])
                done = await client.post(f"/api/files/{upload['fileId']}/complete")
                counts[f"complete {done.status_code}"] += 1
                await client.delete(f"/api/files/{upload['fileId']}")
            await asyncio.sleep(plan.pause_s)


async def send_jobs(plan: Plan, counts: Counter[str]) -> None:
    """Submits jobs, one after the other, and waits for the end of each."""
    async with client_of(plan) as client:
        while True:
            with suppress(httpx.TransportError):
                answer = await client.post("/api/jobs", json=plan.job)
                counts[str(answer.status_code)] += 1
                state = "queued" if answer.status_code == 202 else "refused"
                while state in ("queued", "running"):
                    await asyncio.sleep(0.2)
                    job = await client.get(f"/api/jobs/{answer.json()['jobId']}")
                    state = job.json().get("state", "refused")
                counts[state] += 1
            await asyncio.sleep(0.05)


def main() -> None:
    """Reads a plan, runs it, prints the counts as JSON."""
    plan = Plan(**json.loads(sys.stdin.readline()))
    sys.stdout.write(json.dumps(asyncio.run(flood(plan))))


if __name__ == "__main__":
    main()
