"""Failed logins make the next try wait, longer each time, per account and per network."""

import hashlib
import math
import secrets
from dataclasses import dataclass

from errors import RateLimited
from studio.accounts.client_network import limit_key
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


OWNER = Rule("owner", free_failures=5, longest_wait_s=60)
"""One account from a network that has signed in to it before. No other network's failures count
here, so that strangers can't keep an owner out."""
STRANGER = Rule("stranger", free_failures=5, longest_wait_s=900)
"""One account from one other network, so that one stranger can't take every turn of ACCOUNT."""
ACCOUNT = Rule("account", free_failures=5, longest_wait_s=60)
"""One account from all networks that have not signed in to it before."""
ADDRESS = Rule("address", free_failures=20, longest_wait_s=900)
"""One network, whatever the account."""
OF_ACCOUNT = (OWNER, STRANGER, ACCOUNT)


class LoginPace:
    """The waits of one account and one network; lives in the cache.

    account: the account's address as PostgreSQL's `lower` gives it, known to us or not.
    is_known: whether the network has signed in to this account before.
    """

    def __init__(
        self, cache: Cache, *, account: str, address: str | None, is_known: bool = False
    ) -> None:
        self._cache = cache
        self._failures: dict[Rule, int] = {}
        self._mark = secrets.token_bytes(16)
        self._own_gates: list[str] = []
        # The narrowest first: a try that one of them refuses must not hold up the wider ones.
        self._subjects: list[tuple[Rule, str]] = []
        if address is not None:
            network = limit_key(address)
            pair = OWNER if is_known else STRANGER
            self._subjects += [(pair, digest(account, network)), (ADDRESS, network)]
        if address is None or not is_known:
            self._subjects.append((ACCOUNT, digest(account)))

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
            if not wait_s:
                continue
            key = gate(rule, subject)
            if not await self._cache.add(key, self._mark, lifetime_s=wait_s):
                await self.withdraw()
                remaining_s = await self._remaining_s()
                raise SlowDown(f"too many failed logins; wait {remaining_s} s", remaining_s)
            self._own_gates.append(key)

    async def withdraw(self) -> None:
        """The try was not judged: it leaves no trace."""
        for rule, subject in self._subjects:
            await self._count(rule, subject, -1)
        for key in self._own_gates:
            await self._cache.discard(key, self._mark)
        self._own_gates.clear()

    async def shut(self) -> None:
        """After a failure: the gate shuts for the wait that follows it."""
        for rule, subject in self._subjects:
            if wait_s := rule.wait_s(self._failures[rule]):
                await self._cache.set(gate(rule, subject), self._mark, lifetime_s=wait_s)

    async def forgive(self) -> None:
        """After a success the account starts anew; the address gets back this one try only.

        Otherwise one own account would whitewash an address that guesses at others.
        """
        await self.withdraw()
        for rule, subject in self._subjects:
            if rule in OF_ACCOUNT:
                await self._cache.delete(counter(rule, subject))
                await self._cache.delete(gate(rule, subject))

    async def _count(self, rule: Rule, subject: str, by: int) -> int:
        return await self._cache.increment(counter(rule, subject), by, lifetime_s=REMEMBERED_S)

    async def _remaining_s(self) -> int:
        """Until every gate in the way has opened."""
        waits = [await self._cache.remaining_s(gate(*subject)) for subject in self._subjects]
        return max(1, math.ceil(max(waits)))


def digest(*parts: str) -> str:
    """One key for an account, or for an account and a network."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def counter(rule: Rule, subject: str) -> str:
    """The key of the failures of the last hour."""
    return f"login-failures:{rule.name}:{subject}"


def gate(rule: Rule, subject: str) -> str:
    """The key that is there while the next try has to wait."""
    return f"login-gate:{rule.name}:{subject}"
