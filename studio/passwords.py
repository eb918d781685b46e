"""Password hashes: bcrypt, off the event loop, a few at a time."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import bcrypt
from anyio.lowlevel import RunVar

from errors import Invalid

COST = 12
MIN_BYTES = 12
MAX_BYTES = 72  # bcrypt reads no further; cutting silently would weaken long passwords
CONCURRENT_HASHES = 2

Result = TypeVar("Result")
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("password_limiter")
_dummies: dict[int, bytes] = {}


def check_password_rules(password: str) -> None:
    """Raises:
    Invalid: too short, too long or not hashable; says which.
    """
    size = len(password.encode("utf-8", "surrogatepass"))
    if size < MIN_BYTES:
        raise Invalid(f"the password must have at least {MIN_BYTES} bytes")
    if size > MAX_BYTES:
        raise Invalid(f"the password must have at most {MAX_BYTES} bytes in UTF-8")
    if "\x00" in password:
        raise Invalid("the password must not contain a NUL")


async def hash_password(password: str) -> str:
    """A new salted hash.

    Raises:
        Invalid: the password breaks a rule.
    """
    check_password_rules(password)
    return await hash_unchecked(password)


async def hash_unchecked(password: str) -> str:
    """A new salted hash of a password that an operator chose, however short."""
    salt = bcrypt.gensalt(COST)
    return (await _in_thread(bcrypt.hashpw, password.encode(), salt)).decode("ascii")


async def is_password(password: str, password_hash: str | None) -> bool:
    """Whether it is the one that was hashed; takes as long where there is no hash at all."""
    raw = password.encode("utf-8", "surrogatepass")
    possible = password_hash is not None and 0 < len(raw) <= MAX_BYTES
    expected = password_hash.encode() if password_hash is not None else dummy_hash(COST)
    matches = await _in_thread(bcrypt.checkpw, raw[:MAX_BYTES], expected)
    return possible and matches


def dummy_hash(cost: int) -> bytes:
    """A well-formed hash that no password has, made without the work of hashing."""
    if cost not in _dummies:
        _dummies[cost] = bcrypt.gensalt(cost) + b"." * 31
    return _dummies[cost]


async def _in_thread(work: Callable[[bytes, bytes], Result], raw: bytes, salt: bytes) -> Result:
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(CONCURRENT_HASHES)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(partial(work, raw, salt), limiter=limiter)
