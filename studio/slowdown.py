"""Failed logins make the next try wait, longer each time, per account and per address."""

import hashlib
from dataclasses import dataclass

from errors import RateLimited
from studio.ports import Cache

REMEMBERED_S = 3600


class SlowDown(RateLimited):
    """Too many failed logins; `retry_after_s` says when the next try is looked at."""

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Rule:
    """How many failures are free, and how long the wait may grow."""

    name: str
    free_failures: int
    longest_wait_s: int

    def wait_s(self, failures: int) -> int:
        """1, 2, 4, ... seconds after the free failures, up to the longest."""
        over = failures - self.free_failures
        return 0 if over < 0 else int(min(2 ** min(over, 20), self.longest_wait_s))


# A stranger can make an account's owner wait a minute, but not lock them out.
ACCOUNT = Rule("account", free_failures=5, longest_wait_s=60)
ADDRESS = Rule("address", free_failures=20, longest_wait_s=900)


class LoginPace:
    """The waits of one account and one address; lives in the cache."""

    def __init__(self, cache: Cache, *, email: str, address: str | None) -> None:
        self._cache = cache
        digest = hashlib.sha256(email.lower().encode("utf-8", "surrogatepass")).hexdigest()
        self._subjects = [(ACCOUNT, digest)]
        if address is not None:
            self._subjects.append((ADDRESS, address))
        self._failures = {ACCOUNT: 0, ADDRESS: 0}

    async def admit(self) -> None:
        """Lets one try pass per wait, however many come at once.

        A try counts as failed from here on, before it is judged: those that are judged side by
        side can't all slip through the same count.

        Raises:
            SlowDown: it is too early for another try.
            Unavailable: the cache is away; nobody signs in uncounted.
        """
        for rule, subject in self._subjects:
            self._failures[rule] = await self._count(rule, subject, 1)
        for rule, subject in self._subjects:
            wait_s = rule.wait_s(self._failures[rule] - 1)
            if wait_s and not await self._cache.add(gate(rule, subject), b"", lifetime_s=wait_s):
                for counted, who in self._subjects:
                    await self._count(counted, who, -1)
                raise SlowDown(f"too many failed logins; wait up to {wait_s} s", wait_s)

    async def shut(self) -> None:
        """After a failure: the gate shuts for the wait that follows it."""
        for rule, subject in self._subjects:
            if wait_s := rule.wait_s(self._failures[rule]):
                await self._cache.set(gate(rule, subject), b"", lifetime_s=wait_s)

    async def forgive(self) -> None:
        """After a success the account starts anew; the address gets back this one try only.

        Otherwise one own account would whitewash an address that guesses at others.
        """
        for rule, subject in self._subjects:
            if rule is ACCOUNT:
                await self._cache.delete(f"login-failures:{rule.name}:{subject}")
                await self._cache.delete(gate(rule, subject))
            else:
                await self._count(rule, subject, -1)

    async def _count(self, rule: Rule, subject: str, by: int) -> int:
        key = f"login-failures:{rule.name}:{subject}"
        return await self._cache.increment(key, by, lifetime_s=REMEMBERED_S)


def gate(rule: Rule, subject: str) -> str:
    """The key that is there while the next try has to wait."""
    return f"login-gate:{rule.name}:{subject}"
