"""Failed logins delay the next attempt, longer each time, per account and per network."""

import hashlib
import math
import secrets
from dataclasses import dataclass

from errors import RateLimited
from integrations.cache import RedisCache
from studio.accounts.client_network import limit_key

COUNTER_LIFETIME_S = 3600


@dataclass(frozen=True)
class Rule:
    """How many failures are free, and how long the wait may become."""

    name: str
    free_failures: int
    longest_wait_s: int

    def wait_s(self, failures: int) -> int:
        """The wait after this number of failures: 1, 2, 4, ... seconds, up to the longest."""
        over = failures - self.free_failures
        return 0 if over < 0 else int(min(2 ** min(over, 20), self.longest_wait_s))


OWNER = Rule("owner", free_failures=5, longest_wait_s=60)
"""One account, from a network that has signed in to it before. Failures of other networks don't
count here, so that strangers can't lock an owner out."""
STRANGER = Rule("stranger", free_failures=5, longest_wait_s=900)
"""One account, from one other network, so that a stranger can't use up the attempts of ACCOUNT."""
ACCOUNT = Rule("account", free_failures=5, longest_wait_s=60)
"""One account, from all networks that have not signed in to it before."""
ADDRESS = Rule("address", free_failures=20, longest_wait_s=900)
"""One network, over all accounts."""
OF_ACCOUNT = (OWNER, STRANGER, ACCOUNT)


class LoginThrottle:
    """The waits of one account and one network, stored in the cache.

    account: the e-mail address in lower case, as PostgreSQL writes it; it may have no account.
    is_known: whether the network has signed in to this account before.
    """

    def __init__(
        self, cache: RedisCache, *, account: str, address: str | None, is_known: bool = False
    ) -> None:
        self._cache = cache
        self._failures: dict[Rule, int] = {}
        self._mark = secrets.token_bytes(16)
        self._own_gates: list[str] = []
        # The narrowest rule first: an attempt that it refuses must not shut the wider gates.
        self._subjects: list[tuple[Rule, str]] = []
        if address is not None:
            network = limit_key(address)
            pair = OWNER if is_known else STRANGER
            self._subjects += [(pair, digest(account, network)), (ADDRESS, network)]
        if address is None or not is_known:
            self._subjects.append((ACCOUNT, digest(account)))

    async def admit(self) -> None:
        """Admits one attempt per wait, even if many arrive at once.

        An attempt counts as failed before its password is checked, so that concurrent attempts
        can't all pass at the same count.

        Raises:
            RateLimited: it is too early for another attempt.
            Unavailable: the cache does not answer; a login that can't be counted is refused.
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
                raise RateLimited(f"too many failed logins; wait {remaining_s} s", remaining_s)
            self._own_gates.append(key)

    async def withdraw(self) -> None:
        """Removes the attempt's count and gates, because its password was not checked."""
        for rule, subject in self._subjects:
            await self._count(rule, subject, -1)
        for key in self._own_gates:
            await self._cache.discard(key, self._mark)
        self._own_gates.clear()

    async def shut(self) -> None:
        """Shuts the gates for the wait that follows a failure."""
        for rule, subject in self._subjects:
            if wait_s := rule.wait_s(self._failures[rule]):
                await self._cache.set(gate(rule, subject), self._mark, lifetime_s=wait_s)

    async def forgive(self) -> None:
        """After a success, resets the account's failures, but not those of the network.

        Otherwise an attacker could reset the failures of a network by signing in to an own account
        between guesses at other accounts. Only this attempt is removed from the network's count.
        """
        await self.withdraw()
        for rule, subject in self._subjects:
            if rule in OF_ACCOUNT:
                await self._cache.delete(counter(rule, subject))
                await self._cache.delete(gate(rule, subject))

    async def _count(self, rule: Rule, subject: str, by: int) -> int:
        return await self._cache.increment(
            counter(rule, subject), by, lifetime_s=COUNTER_LIFETIME_S
        )

    async def _remaining_s(self) -> int:
        """The time until all gates are open."""
        waits = [await self._cache.remaining_s(gate(*subject)) for subject in self._subjects]
        return max(1, math.ceil(max(waits)))


def digest(*parts: str) -> str:
    """The hash of an account, or of an account and a network, for a cache key."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def counter(rule: Rule, subject: str) -> str:
    """The cache key that counts the failures of the last hour."""
    return f"login-failures:{rule.name}:{subject}"


def gate(rule: Rule, subject: str) -> str:
    """The cache key that exists while the next attempt has to wait."""
    return f"login-gate:{rule.name}:{subject}"
