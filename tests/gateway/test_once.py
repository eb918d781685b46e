"""Requests with and without an `Idempotency-Key`."""

from typing import Any

from gateway.once import once
from studio.forms import Form
from studio.idempotency import Answer, KeyedRequest, Make


class Body(Form):
    query: str


class Receipts:
    """Answers once for each key and fingerprint."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}

    async def answer(self, keyed: KeyedRequest, make: Make) -> Answer:
        name = (keyed.key, keyed.fingerprint)
        if name not in self.answers:
            self.answers[name] = await make()
        return self.answers[name]


class Maker:
    """Records the key of every call."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []

    async def __call__(self, keyed: KeyedRequest | None) -> dict[str, Any]:
        self.keys.append(None if keyed is None else keyed.key)
        return {"call": len(self.keys)}


async def test_without_a_key_every_request_is_new() -> None:
    receipts, make = Receipts(), Maker()
    for call in (1, 2):
        assert await once(None, Body(query="red"), make, receipts.answer) == {"call": call}
    assert make.keys == [None, None]
    assert receipts.answers == {}


async def test_with_a_key_the_row_gets_it_and_a_repetition_makes_nothing() -> None:
    receipts, make = Receipts(), Maker()
    for _ in range(2):
        assert await once("k", Body(query="red"), make, receipts.answer) == {"call": 1}
    assert await once("k", Body(query="blue"), make, receipts.answer) == {"call": 2}
    assert make.keys == ["k", "k"]
