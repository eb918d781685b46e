"""Bodies that come slowly, or not at all, hold no place for long."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway import body_limit
from studio.ports import Studio
from tests.fakes import sign_in

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
    made = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    put = await client.put(made["url"], content=dripping(0.05, 10), headers=made["headers"])
    assert put.status_code == 201
    monkeypatch.setattr(body_limit, "SILENCE_LIMIT_S", 0.2)
    made = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    check_refused(await client.put(made["url"], content=dripping(5, 1), headers=made["headers"]))
