"""Fetches share places by caller, network and host; nobody delays others."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import RateLimited, UpstreamFailed
from integrations import fetch
from integrations.fair_semaphore import Caller
from integrations.fetch import Fetcher
from tests.support.picture_server import JPEG, NAME, PictureServer, open_fetcher, url_of


async def until(is_so: Callable[[], bool]) -> None:
    """Looks often; a test's own time limit ends what never comes."""
    while not is_so():  # noqa: ASYNC110 - the server changes it
        await asyncio.sleep(0.005)


async def test_one_caller_delays_nobody_else(
    server: PictureServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One caller fetches from many slow hosts, and another caller does not wait for them."""
    monkeypatch.setattr(fetch, "TOTAL_S", 1.0)
    monkeypatch.setattr(fetch, "WAIT_S", 0.5)
    names = [f"s{number}.{NAME}" for number in range(30)]
    server.hosts |= {name: [["127.0.0.1"]] for name in names}
    async with open_fetcher(server, certificate) as fetcher:
        slow = [
            asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow", name), "ip:1"))
            for name in names
        ]
        await asyncio.sleep(0.1)
        assert len(server.resolved) <= fetch.MAX_PER_CALLER
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), "ip:2") == JPEG
        results = await asyncio.gather(*slow, return_exceptions=True)
        refused = [error for error in results if isinstance(error, RateLimited)]
        assert len(refused) >= 30 - fetch.MAX_PER_CALLER - fetch.MAX_WAITING_PER_CALLER
        assert {type(error) for error in results} <= {fetch.FetchesBusy, UpstreamFailed}
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), "ip:1") == JPEG


async def test_accounts_of_one_network_share_its_fetches(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty accounts of one address took all places while only accounts were counted."""
    monkeypatch.setattr(fetch, "TOTAL_S", 60.0)
    names = [f"s{number}.{NAME}" for number in range(40)]
    server.hosts |= {name: [["127.0.0.1"]] for name in names}
    slow = [
        asyncio.create_task(
            fetcher.fetch_image(
                url_of(server, "/slow", name), Caller(f"user:{number // 2}", "192.0.2.1")
            )
        )
        for number, name in enumerate(names)
    ]
    await until(lambda: len(server.resolved) >= fetch.MAX_PER_NETWORK)
    await asyncio.sleep(0.1)
    assert len(server.resolved) == fetch.MAX_PER_NETWORK
    other = Caller("user:other", "192.0.2.2")
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), other) == JPEG
    for task in slow:
        task.cancel()
    results = await asyncio.gather(*slow, return_exceptions=True)
    refused = [error for error in results if isinstance(error, RateLimited)]
    assert len(refused) == 40 - fetch.MAX_PER_NETWORK - fetch.MAX_WAITING_PER_NETWORK


async def test_whoever_waits_for_a_host_keeps_nobody_from_another(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More callers than there are places fetch from one slow host."""
    monkeypatch.setattr(fetch, "TOTAL_S", 60.0)
    slow = [
        asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow"), f"ip:{number}"))
        for number in range(fetch.MAX_FETCHES + 4)
    ]
    await until(lambda: len(server.requests) >= fetch.MAX_PER_HOST)
    other = asyncio.create_task(fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"), "ip:x"))
    await asyncio.wait({other, *slow}, return_when=asyncio.FIRST_COMPLETED)
    assert other.done() and await other == JPEG
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_patient_caller_waits_and_is_never_refused(
    server: PictureServer, fetcher: Fetcher
) -> None:
    """One caller fetches more pictures than may run and wait, as two evaluations do."""
    count = 2 * (fetch.MAX_PER_CALLER + fetch.MAX_WAITING_PER_CALLER)
    caller = Caller("user:1", "192.0.2.1")
    pictures = await asyncio.gather(
        *(
            fetcher.fetch_image(url_of(server, "/ok.jpg"), caller, is_patient=True)
            for _ in range(count)
        )
    )
    assert pictures == [JPEG] * count


async def test_one_host_delays_no_other(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.5)
    slow = [
        asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow"), f"ip:{number}"))
        for number in range(20)
    ]
    await asyncio.sleep(0.1)
    assert len(server.requests) <= fetch.MAX_PER_HOST
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"), "ip:x") == JPEG
    await asyncio.gather(*slow, return_exceptions=True)


async def test_the_studios_own_work_bounds_itself(server: PictureServer, fetcher: Fetcher) -> None:
    pictures = await asyncio.gather(
        *(fetcher.fetch_image(url_of(server, "/ok.jpg")) for _ in range(fetch.MAX_PER_HOST * 2))
    )
    assert set(pictures) == {JPEG}
