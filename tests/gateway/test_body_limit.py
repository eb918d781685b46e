"""Bodies that arrive slowly, or not at all, do not occupy a place for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from errors import Unavailable
from gateway import body_limit
from gateway.body_limit import MEGABYTE, UNFINISHED_BYTES, Unfinished
from studio.ports import Studio
from tests.support.fakes import sign_in

JSON = {"content-type": "application/json"}


async def dripping(pause_s: float, count: int) -> AsyncIterator[bytes]:
    yield b'{"query": "'
    for _ in range(count):
        await asyncio.sleep(pause_s)
        yield b"x"
    yield b'"}'


def check_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 408, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert "did not arrive in time" in answer.json()["detail"]


async def test_silence_ends_a_request(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "SILENCE_LIMIT_S", 0.2)
    check_refused(await client.post("/api/search/text", content=dripping(5, 1), headers=JSON))


async def test_a_small_body_can_not_take_for_ever(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "WHOLE_LIMIT_S", 0.5)
    check_refused(await client.post("/api/search/text", content=dripping(0.05, 100), headers=JSON))


async def test_a_large_upload_only_has_to_keep_coming(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "WHOLE_LIMIT_S", 0.2)
    headers = await sign_in(client, studio)
    body = {"filename": "x", "contentType": "image/jpeg", "sizeBytes": 100, "purpose": "selfie"}
    receipt = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    put = await client.put(receipt["url"], content=dripping(0.05, 10), headers=receipt["headers"])
    assert put.status_code == 201
    monkeypatch.setattr(body_limit, "SILENCE_LIMIT_S", 0.2)
    receipt = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    check_refused(
        await client.put(receipt["url"], content=dripping(5, 1), headers=receipt["headers"])
    )


def test_networks_that_trickle_leave_room_for_small_bodies() -> None:
    """Eight addresses with eight endless bodies each once blocked everybody."""
    unfinished = Unfinished()
    with ExitStack() as stack:
        for network in range(20):
            for _ in range(8):
                with suppress(Unavailable), ExitStack() as body:
                    body.enter_context(unfinished.of(f"192.0.2.{network}")).add(2 * MEGABYTE)
                    stack.push(body.pop_all())
        assert unfinished.total > UNFINISHED_BYTES // 2
        for network in range(16):
            stack.enter_context(unfinished.of(f"198.51.100.{network}")).add(MEGABYTE)
        assert unfinished.total <= UNFINISHED_BYTES
    assert unfinished.total == 0 and not unfinished.by_network


async def test_accounts_of_one_network_share_what_may_be_arriving(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "UNFINISHED_BYTES_EACH", 10_000)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def in_pieces() -> AsyncIterator[bytes]:
        yield b'{"query": "'
        yield b"x" * 8_000
        arrived.set()
        await go_on.wait()
        yield b'"}'

    accounts = [await sign_in(client, studio) for _ in range(2)]
    url = "/api/search/text"
    first = asyncio.create_task(client.post(url, content=in_pieces(), headers=JSON | accounts[0]))
    await arrived.wait()
    refused = await client.post(url, content=in_pieces(), headers=JSON | accounts[1])
    assert refused.status_code == 503 and "arriving" in refused.json()["detail"]
    go_on.set()
    assert (await first).status_code == 422  # the query is too long
