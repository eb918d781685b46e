"""Password hashes at their real cost."""

import asyncio
import time

import pytest

from errors import Invalid
from studio.accounts.passwords import hash_password, is_password


@pytest.fixture(autouse=True)
def cheap_passwords() -> None:
    """Replaces the fixture of tests/conftest.py that lowers the cost."""


async def test_the_hash_is_bcrypt_of_cost_12_and_salted() -> None:
    one, other = (
        await hash_password("correct-horse-battery"),
        await hash_password("correct-horse-battery"),
    )
    assert one.startswith("$2b$12$")
    assert one != other
    assert await is_password("correct-horse-battery", one)
    assert not await is_password("correct-horse-batterz", one)


async def test_72_bytes_are_told_apart_and_73_never_match() -> None:
    password = "x" * 72
    password_hash = await hash_password(password)
    assert await is_password(password, password_hash)
    assert not await is_password(password + "y", password_hash)
    assert not await is_password("x" * 71, password_hash)
    assert not await is_password("", password_hash)
    assert not await is_password("x" * 100_000, password_hash)


@pytest.mark.parametrize("password", ["x" * 11, "x" * 73, "€" * 25, "", "x" * 20 + "\x00"])
async def test_what_is_no_password(password: str) -> None:
    with pytest.raises(Invalid):
        await hash_password(password)


async def test_an_unknown_account_costs_the_same_time() -> None:
    password_hash = await hash_password("correct-horse-battery")

    async def best_of(hash_or_none: str | None) -> float:
        times = []
        for _ in range(3):
            started_s = time.perf_counter()
            assert not await is_password("wrong-horse-battery", hash_or_none)
            times.append(time.perf_counter() - started_s)
        return min(times)

    with_hash_s, without_s = await best_of(password_hash), await best_of(None)
    assert 0.5 < with_hash_s / without_s < 2


async def test_the_event_loop_goes_on_meanwhile() -> None:
    """The event loop runs while several passwords are hashed."""
    gaps: list[float] = []

    async def tick() -> None:
        last_s = time.perf_counter()
        while True:
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - last_s)
            last_s = time.perf_counter()

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(hash_password("correct-horse-battery") for _ in range(4)))
    ticker.cancel()
    assert len(gaps) > 10
    assert sorted(gaps)[len(gaps) // 2] < 0.1
