"""Waits after failed logins, in simulated time: what strangers reach, and what they can't."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import pytest

from errors import NotAuthenticated, RateLimited
from integrations.cache import RedisCache
from studio.accounts import passwords
from studio.accounts.accounts import create_user
from studio.accounts.forms import LoginForm
from studio.accounts.login import log_in
from studio.accounts.slowdown import ACCOUNT, ADDRESS, OWNER, LoginThrottle
from studio.ports import Studio
from tests.support.fakes import PASSWORD

HOUR_S = 3600
CREDENTIALS = LoginForm(email="a@example.com", password=PASSWORD)
IN_CAPITALS = LoginForm(email="A@Example.com", password=PASSWORD)
STRANGER, HOME, HOTEL = "198.51.100.7", "192.0.2.1", "203.0.113.9"


@dataclass
class ClockedCache:
    """The part of the cache that `LoginThrottle` uses, with a clock that the test sets."""

    now_s: float = 0.0
    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def _read(self, key: str) -> bytes | None:
        value, end_s = self.values.get(key, (b"", 0.0))
        return value if end_s > self.now_s else None

    async def set(self, key: str, value: bytes, *, lifetime_s: int) -> None:
        self.values[key] = (value, self.now_s + lifetime_s)

    async def add(self, key: str, value: bytes, *, lifetime_s: int) -> bool:
        if self._read(key) is not None:
            return False
        await self.set(key, value, lifetime_s=lifetime_s)
        return True

    async def increment(self, key: str, by: int, *, lifetime_s: int) -> int:
        count = int(self._read(key) or 0) + by
        await self.set(key, str(count).encode(), lifetime_s=lifetime_s)
        return count

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    async def discard(self, key: str, expected: bytes) -> bool:
        return self._read(key) == expected and self.values.pop(key) is not None

    async def remaining_s(self, key: str) -> float:
        return 0.0 if self._read(key) is None else self.values[key][1] - self.now_s


@pytest.fixture
def clocked() -> ClockedCache:
    return ClockedCache()


async def guess(
    cache: ClockedCache, account: str, address: str, *, is_known: bool = False
) -> int | None:
    """Tries a wrong password. Returns None if it was checked, else the Retry-After."""
    pace = LoginThrottle(
        cast(RedisCache, cache), account=account, address=address, is_known=is_known
    )
    try:
        await pace.admit()
    except RateLimited as refused:
        return refused.retry_after_s
    await pace.shut()
    return None


async def is_let_in(cache: ClockedCache, account: str, address: str, is_known: bool) -> int | None:
    """Tries the right password. Returns None if it was checked, else the Retry-After."""
    pace = LoginThrottle(
        cast(RedisCache, cache), account=account, address=address, is_known=is_known
    )
    try:
        await pace.admit()
    except RateLimited as refused:
        return refused.retry_after_s
    await pace.forgive()
    return None


@pytest.mark.parametrize("form", ["192.0.2.7", "2001:db8:1:2:3::{:x}", "::ffff:192.0.2.7"])
async def test_one_network_guesses_no_more_from_many_addresses(
    clocked: ClockedCache, form: str
) -> None:
    """600 guesses in an hour over 600 accounts; a /64 is one network, as for the rate limits."""
    judged = 0
    for number in range(600):
        clocked.now_s = number * HOUR_S / 600
        address = form.format(number + 1)
        judged += await guess(clocked, f"a{number}@example.com", address) is None
    assert 20 < judged <= 40


@pytest.mark.parametrize(("strangers", "phase_s"), [(1, 0.0), (1, 7.5), (8, 29.0)])
async def test_strangers_never_keep_an_owner_out(
    clocked: ClockedCache, strangers: int, phase_s: float
) -> None:
    """Strangers guess as often as they may, all day; the owner has another network."""
    for second in range(HOUR_S):
        clocked.now_s = second + 0.001  # always a moment before the owner
        for number in range(strangers):
            await guess(clocked, "owner@example.com", f"198.51.100.{number}")
        if second % 600 == int(phase_s):
            clocked.now_s = second + phase_s % 1 + 0.002
            assert await is_let_in(clocked, "owner@example.com", HOME, True) is None


async def test_a_stranger_takes_few_of_the_turns_of_all_new_networks(
    clocked: ClockedCache,
) -> None:
    """An owner in a new network, who obeys Retry-After, waits a minute or two, not for hours."""
    for second in range(2 * HOUR_S):
        clocked.now_s = second
        await guess(clocked, "owner@example.com", STRANGER)
    waited_s = 0
    for _ in range(5):
        clocked.now_s += 0.001
        retry_after_s = await is_let_in(clocked, "owner@example.com", HOTEL, False)
        if retry_after_s is None:
            break
        for _ in range(retry_after_s):
            clocked.now_s += 1
            waited_s += 1
            await guess(clocked, "owner@example.com", STRANGER)
    assert retry_after_s is None and waited_s <= 2 * ACCOUNT.longest_wait_s


async def test_a_refused_try_says_how_long_the_gate_is_still_shut(clocked: ClockedCache) -> None:
    for _ in range(12):
        while wait_s := await guess(clocked, "a@example.com", HOME, is_known=True):
            clocked.now_s += wait_s
    shut_s = clocked.now_s
    for later_s, remaining_s in ((0.0, 60), (20.5, 40), (59.4, 1)):
        clocked.now_s = shut_s + later_s
        assert await guess(clocked, "a@example.com", HOME, is_known=True) == remaining_s
    clocked.now_s = shut_s + OWNER.longest_wait_s
    assert await guess(clocked, "a@example.com", HOME, is_known=True) is None


async def test_a_try_that_one_gate_refuses_shuts_no_other(clocked: ClockedCache) -> None:
    """Otherwise a throttled address could shut an account by its attempts."""
    for number in range(30):
        while wait_s := await guess(clocked, f"a{number}@example.com", STRANGER):
            clocked.now_s += wait_s
    for _ in range(5):
        await guess(clocked, "owner@example.com", HOTEL)
    clocked.now_s += ACCOUNT.longest_wait_s
    assert await guess(clocked, "owner@example.com", STRANGER) is not None
    assert await is_let_in(clocked, "owner@example.com", HOME, False) is None


async def test_all_networks_together_guess_once_a_minute(clocked: ClockedCache) -> None:
    judged = 0
    for second in range(HOUR_S):
        clocked.now_s = second
        judged += await guess(clocked, "a@example.com", f"198.51.{second % 250}.7") is None
    assert judged <= 60 + ADDRESS.free_failures


async def test_the_network_of_a_sign_in_is_known_and_others_are_not(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real cache and rows: a stranger's failures shut their own gate, not the owner's."""
    monkeypatch.setattr(passwords, "COST", 4)
    await create_user(studio.database, email="a@example.com", password=PASSWORD)
    await log_in(studio, CREDENTIALS, ip="2001:db8:0:1::1")
    for address in (STRANGER, HOTEL):
        with pytest.raises(RateLimited):
            for _ in range(20):
                await fail(studio, address)
    await log_in(studio, IN_CAPITALS, ip="2001:db8:0:1::beef")
    with pytest.raises(RateLimited):
        await log_in(studio, CREDENTIALS, ip="2001:db8:0:2::1")


async def fail(studio: Studio, address: str) -> None:
    """Tries a wrong password; raises RateLimited if it is not checked."""
    with suppress(NotAuthenticated):
        await log_in(studio, LoginForm(email="a@example.com", password="wrong"), ip=address)


def test_waits_double_up_to_their_end() -> None:
    assert [ACCOUNT.wait_s(failures) for failures in (0, 4, 5, 6, 7, 8, 50)] == [
        0, 0, 1, 2, 4, 8, 60,
    ]  # fmt: skip
    assert ADDRESS.wait_s(19) == 0
    assert ADDRESS.wait_s(10_000) == 900


async def fail_login(studio: Studio, email: str, address: str | None) -> None:
    """One attempt that was admitted and failed."""
    pace = LoginThrottle(studio.cache, account=email, address=address)
    await pace.admit()
    await pace.shut()


async def test_one_try_per_wait_however_many_come(studio: Studio) -> None:
    for _ in range(5):
        await fail_login(studio, "a@example.com", None)
    pace = LoginThrottle(studio.cache, account="a@example.com", address="192.0.2.1")
    for _ in range(3):  # who was refused doesn't make the wait longer
        with pytest.raises(RateLimited) as slowed:
            await pace.admit()
        assert slowed.value.retry_after_s == 1
    await pace.forgive()
    await pace.admit()


async def test_tries_side_by_side_are_counted_before_they_are_judged(studio: Studio) -> None:
    paces = [LoginThrottle(studio.cache, account="a@example.com", address=None) for _ in range(40)]
    answers = await asyncio.gather(*(pace.admit() for pace in paces), return_exceptions=True)
    # Five are free, and of the others one a wait; the first waits are a second or two.
    assert 5 <= sum(answer is None for answer in answers) <= 9
    assert all(answer is None or isinstance(answer, RateLimited) for answer in answers)


async def test_an_address_slows_down_over_many_accounts(studio: Studio) -> None:
    for number in range(20):
        await fail_login(studio, f"a{number}@example.com", "192.0.2.1")
    fresh = LoginThrottle(studio.cache, account="new@example.com", address="192.0.2.1")
    with pytest.raises(RateLimited):
        await fresh.admit()
    await LoginThrottle(studio.cache, account="new@example.com", address="192.0.2.2").admit()


async def test_own_successes_do_not_whitewash_an_address(studio: Studio) -> None:
    for number in range(20):
        await fail_login(studio, f"a{number}@example.com", "192.0.2.1")
        own = LoginThrottle(studio.cache, account="own@example.com", address="192.0.2.1")
        if number < 19:
            await own.admit()
            await own.forgive()
    with pytest.raises(RateLimited):
        await own.admit()
