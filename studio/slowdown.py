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

    async def admit(self) -> None:
        """Lets one try pass per wait, however many come at once.

        Raises:
            SlowDown: it is too early for another try.
            Unavailable: the cache is away; nobody signs in uncounted.
        """
        for rule, subject in self._subjects:
            wait_s = rule.wait_s(await self._failures(rule, subject))
            if wait_s and not await self._cache.add(
                f"login-gate:{rule.name}:{subject}", b"", lifetime_s=wait_s
            ):
                raise SlowDown(f"too many failed logins; wait up to {wait_s} s", wait_s)

    async def count_failure(self) -> None:
        """One more failure for both; the gate shuts for the wait that follows it."""
        for rule, subject in self._subjects:
            failures = await self._failures(rule, subject) + 1
            key = f"login-failures:{rule.name}:{subject}"
            await self._cache.set(key, str(failures).encode(), lifetime_s=REMEMBERED_S)
            if wait_s := rule.wait_s(failures):
                gate = f"login-gate:{rule.name}:{subject}"
                await self._cache.set(gate, b"", lifetime_s=wait_s)

    async def forgive_account(self) -> None:
        """After a success; the address stays counted, or one own account would whitewash it."""
        rule, subject = self._subjects[0]
        await self._cache.delete(f"login-failures:{rule.name}:{subject}")
        await self._cache.delete(f"login-gate:{rule.name}:{subject}")

    async def _failures(self, rule: Rule, subject: str) -> int:
        return int(await self._cache.get(f"login-failures:{rule.name}:{subject}") or b"0")
