"""A million sales rows, from upload to version: trained, or refused with a list of errors."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import psutil
import pytest

from jobs.dispatcher import DispatcherArgs
from studio.ports import Studio
from studio.sales.csv_file import MOST_ERRORS
from tests.gateway.routes.test_analytics import CSV, stock, versions, whoami
from tests.gateway.routes.test_jobs import dataset
from tests.jobs.working import dispatching, events_of, until_state
from tests.support.fakes import sign_in

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
LINES, PRODUCTS = 1_000_000, 120
DEPLOYED = DispatcherArgs()
"""With its timeouts: parsing holds the interpreter, which dispatcher and job share here."""
MOST_BYTES = 1_000_000_000
"""Beyond what the process holds before, XGBoost and matplotlib included; the file is 22 MB."""


def sales_csv(ids: list[str], bad: str = "", every: int = 0) -> bytes:
    """A product sells more the later it is listed; every `every`-th line is the bad one."""
    units = np.exp(2 + 0.02 * (np.arange(LINES) % len(ids))).round(2)
    lines = [
        f"{ids[at % len(ids)]},2025-{1 + at % 12:02}-{1 + at % 28:02},{units[at]}"
        for at in range(LINES)
    ]
    if every:
        lines[::every] = [bad] * len(lines[::every])
    return ("productId,date,units\n" + "\n".join(lines) + "\n").encode()


@contextmanager
def memory() -> Iterator[list[int]]:
    """The peak resident bytes of this process during the block, less those before it."""
    before, peak, ended = psutil.Process().memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], psutil.Process().memory_info().rss - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


async def train(
    client: httpx.AsyncClient, studio: Studio, headers: dict[str, str], data: bytes
) -> Any:
    """Trains and returns the finished job; prints its duration and peak memory."""
    file_id = await dataset(client, headers, data, **CSV)
    answer = await client.post("/api/analytics/train", json={"fileId": file_id}, headers=headers)
    started_s = time.perf_counter()
    with memory() as peak:
        async with dispatching(studio, args=DEPLOYED):
            job = await until_state(studio, UUID(answer.json()["jobId"]), timeout_s=600)
    took_s = time.perf_counter() - started_s
    print(f"\n{LINES:,} lines: {job.state} after {took_s:.0f} s, {peak[0] / 1e6:.0f} MB")  # noqa: T201
    assert peak[0] < MOST_BYTES and job.attempts == 1
    return job


async def test_a_million_good_lines_train(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), PRODUCTS)
    job = await train(client, studio, headers, sales_csv(ids))
    assert job.state == "succeeded", job.error
    assert job.result["metrics"]["products"] == PRODUCTS
    assert job.result["live"] and job.result["metrics"]["spearman"] > 0.8
    assert [row.status for row in await versions(studio)] == ["active"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("p-1,2025-01-01,-2", "250,000 of 1,000,000 lines can't be used: line 2: units: '-2'"),
        ("gone,2025-01-01,2", "250,000 of 1,000,000 lines can't be used: line 2: there is no"),
    ],
)
async def test_a_million_lines_with_bad_ones_train_nothing(
    client: httpx.AsyncClient, studio: Studio, bad: str, said: str
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), PRODUCTS)
    job = await train(client, studio, headers, sales_csv(ids, bad, every=4))
    assert job.state == "failed" and said in (job.error or "")
    events = await events_of(studio, job.id)
    errors = [error for event in events for error in event.progress.get("errors", [])]
    assert [error["line"] for error in errors] == [2 + 4 * at for at in range(MOST_ERRORS)]
    assert await versions(studio) == []
    assert [key async for key in studio.blobs.list("regressors/")] == []
