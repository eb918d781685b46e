"""Races of a sign-in or a refresh against the end of all sessions, with pauses where it hurts.

The pause lies where the session's row was read and nothing is written yet. There the other side
begins, and either gets through, or waits for a lock that the paused one holds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest

from db.users import insert_refresh_token
from errors import NotAuthenticated
from integrations.openid import Identity
from studio.accounts import accounts, sessions
from studio.accounts.accounts import OpenAccounts, change_password, create_user, log_in
from studio.accounts.openid import _find_or_make
from studio.accounts.passwords import is_password
from studio.accounts.sessions import SignedIn, close_all_sessions, refresh_session
from studio.ports import Studio
from tests.support.fakes import PASSWORD

Opening = Literal["login", "refresh"]
Ending = Literal["password", "everywhere", "take-over"]
Pause = Literal["judged", "read", "none"]
OPENINGS: tuple[Opening, ...] = ("login", "refresh")
ENDINGS: tuple[Ending, ...] = ("password", "everywhere", "take-over")
PAUSES: tuple[Pause, ...] = ("judged", "read")
PAUSED = [
    (opening, ending, pause)
    for opening, ending, pause in product(OPENINGS, ENDINGS, PAUSES)
    if not (opening == "refresh" and pause == "judged")  # a refresh judges under its lock
]
LOCK_WAIT_S = 0.15
"""The other side either gets through within this time, or waits for a lock."""


@dataclass
class Sides:
    """What is run against what, for one account."""

    studio: Studio
    email: str
    user_id: UUID
    own: SignedIn
    stolen: SignedIn

    async def open(self, opening: Opening) -> SignedIn:
        """Whoever should have no session afterwards."""
        if opening == "login":
            return (await log_in(self.studio, email=self.email, password=PASSWORD, ip=None))[1]
        return await refresh_session(self.studio, self.stolen.refresh_token, ip=None)

    async def end(self, ending: Ending) -> None:
        """What ends all sessions but the owner's own."""
        if ending == "password":
            await change_password(
                self.studio, self.user_id, current=PASSWORD, new="another-" + PASSWORD,
                session_id=self.own.session_id, ip=None,
            )  # fmt: skip
        elif ending == "everywhere":
            await close_all_sessions(self.studio, self.user_id, actor_id=self.user_id, ip=None)
        else:
            identity = Identity("https://id.example", str(self.user_id), self.email, None)
            async with self.studio.database.transaction() as session:
                await _find_or_make(session, identity, None)


async def open_sides(studio: Studio) -> Sides:
    """An account with its owner's session and one that a thief holds."""
    email = f"{uuid4().hex}@example.com"
    account = await create_user(studio.database, email=email, password=PASSWORD)
    own, stolen = [
        (await log_in(studio, email=email, password=PASSWORD, ip=None))[1] for _ in range(2)
    ]
    return Sides(studio, email, account.id, own, stolen)


class Pausing:
    """Stops the first caller of a function until the other side is through or waits for it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.other: asyncio.Future[asyncio.Task[None]] = asyncio.Future()

    async def __call__(self) -> None:
        if self.reached.is_set():
            return
        self.reached.set()
        await asyncio.wait({await self.other}, timeout=LOCK_WAIT_S)


@contextmanager
def paused(pause: Pause) -> Iterator[Pausing]:
    """The pause is behind the judgement of a password, or before the insert of a token."""
    pausing = Pausing()

    def before(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            await pausing()
            return await function(*args, **kwargs)

        return wrapped

    def behind(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = await function(*args, **kwargs)
            await pausing()
            return result

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        if pause == "judged":
            patch.setattr(accounts, "is_password", behind(is_password))
        if pause == "read":
            patch.setattr(sessions, "insert_refresh_token", before(insert_refresh_token))
        yield pausing


async def race(studio: Studio, opening: Opening, ending: Ending, pause: Pause) -> bool:
    """Whether a session lives on that the end came after or beside of."""
    sides = await open_sides(studio)
    with paused(pause) as pausing:
        opener = asyncio.create_task(sides.open(opening))
        if pause == "none":
            await asyncio.sleep(random.uniform(0, 0.02))
        else:
            await pausing.reached.wait()
        ender = asyncio.create_task(sides.end(ending))
        pausing.other.set_result(ender)
        opened, ended = await asyncio.gather(opener, ender, return_exceptions=True)
    assert ended is None, ended
    assert isinstance(opened, SignedIn | NotAuthenticated), opened
    suspects = [sides.stolen] + ([opened] if isinstance(opened, SignedIn) else [])
    return any([await is_alive(studio, one) for one in suspects])


async def is_alive(studio: Studio, signed_in: SignedIn) -> bool:
    """Whether its access tokens or its refresh token still do anything."""
    found = await OpenAccounts(studio.database).find(signed_in.user_id, signed_in.session_id)
    if found is not None:
        return True
    try:
        await refresh_session(studio, signed_in.refresh_token, ip=None)
    except NotAuthenticated:
        return False
    return True
