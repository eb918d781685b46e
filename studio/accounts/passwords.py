"""Hashes and checks passwords with bcrypt, in threads, a few at a time."""

from functools import partial

import bcrypt
from anyio.lowlevel import RunVar

from errors import Invalid
from studio.accounts.hash_queue import HashQueue, Rank

COST = 12
MIN_BYTES = 12
MAX_BYTES = 72  # bcrypt ignores further bytes; truncating silently would weaken passwords
CONCURRENT_HASHES = 2
MAX_WAITING = 16
"""About two seconds of work; further calls are refused with a 503."""

_queue: RunVar[HashQueue] = RunVar("password_queue")
_dummies: dict[int, bytes] = {}


def check_password_rules(password: str) -> None:
    """Checks a new password.

    Raises:
        Invalid: it is too short, too long or can't be hashed.
    """
    size = len(password.encode("utf-8", "surrogatepass"))
    if size < MIN_BYTES:
        raise Invalid(f"the password must have at least {MIN_BYTES} bytes")
    if size > MAX_BYTES:
        raise Invalid(f"the password must have at most {MAX_BYTES} bytes in UTF-8")
    if "\x00" in password:
        raise Invalid("the password must not contain a NUL")


async def hash_password(password: str, rank: Rank = Rank.REGISTRATION) -> str:
    """A new salted hash; registrations wait behind sign-ins.

    Raises:
        Invalid: the password breaks a rule.
        Unavailable: too many hashes wait already.
    """
    check_password_rules(password)
    return await hash_unchecked(password, rank)


async def hash_unchecked(password: str, rank: Rank = Rank.REGISTRATION) -> str:
    """A new salted hash of a password that an operator chose; the rules don't apply to it."""
    salt = bcrypt.gensalt(COST)
    work = partial(bcrypt.hashpw, password.encode(), salt)
    return (await hash_queue().run(work, rank)).decode("ascii")


async def is_password(password: str, password_hash: str | None) -> bool:
    """Whether the password matches the hash; takes the same time if there is no hash.

    Raises:
        Unavailable: too many hashes wait already.
    """
    raw = password.encode("utf-8", "surrogatepass")
    possible = password_hash is not None and 0 < len(raw) <= MAX_BYTES
    expected = password_hash.encode() if password_hash is not None else dummy_hash(COST)
    work = partial(bcrypt.checkpw, raw[:MAX_BYTES], expected)
    matches = await hash_queue().run(work, Rank.SIGN_IN)
    return possible and matches


def dummy_hash(cost: int) -> bytes:
    """A well-formed hash that matches no password; creating it takes almost no time."""
    if cost not in _dummies:
        _dummies[cost] = bcrypt.gensalt(cost) + b"." * 31
    return _dummies[cost]


def hash_queue() -> HashQueue:
    """The queue of this event loop."""
    try:
        return _queue.get()
    except LookupError:
        queue = HashQueue(places=CONCURRENT_HASHES, most_waiting=MAX_WAITING)
        _queue.set(queue)
        return queue
