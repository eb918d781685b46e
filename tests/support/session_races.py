"""Races of a login or a refresh against the end of all sessions, with pauses at critical points.

The opening side pauses after it has read the rows and before it writes. Then the ending side
starts; it either completes, or waits for a lock that the paused side holds.
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
from studio.accounts import login, sessions
from studio.accounts.accounts import OpenAccounts, create_user
from studio.accounts.forms import LoginForm, PasswordForm
from studio.accounts.login import change_password, log_in
from studio.accounts.openid import get_or_create_user
from studio.accounts.passwords import is_password
from studio.accounts.sessions import SessionGrant, close_all_sessions, refresh_session
from studio.ports import Studio
from tests.support.fakes import PASSWORD

Opening = Literal["login", "refresh"]
Ending = Literal["password", "everywhere", "take-over"]
Pause = Literal["checked", "read", "none"]
OPENINGS: tuple[Opening, ...] = ("login", "refresh")
ENDINGS: tuple[Ending, ...] = ("password", "everywhere", "take-over")
PAUSES: tuple[Pause, ...] = ("checked", "read")
PAUSED = [
    (opening, ending, pause)
    for opening, ending, pause in product(OPENINGS, ENDINGS, PAUSES)
    if not (opening == "refresh" and pause == "checked")  # a refresh checks under its lock
]
CHANGE = PasswordForm.model_validate(
    {"currentPassword": PASSWORD, "newPassword": f"another-{PASSWORD}"}
)
LOCK_WAIT_S = 0.15
"""The ending side either completes within this time, or waits for a lock."""


@dataclass
class Sides:
    """One account, and the two operations that race."""

    studio: Studio
    credentials: LoginForm
    user_id: UUID
    own: SessionGrant
    stolen: SessionGrant

    async def open(self, opening: Opening) -> SessionGrant:
        """Opens or continues a session, which must not survive the end."""
        if opening == "login":
            return (await log_in(self.studio, self.credentials, ip=None))[1]
        return await refresh_session(self.studio, self.stolen.refresh_token, ip=None)

    async def end(self, ending: Ending) -> None:
        """Ends all sessions but the owner's own."""
        if ending == "password":
            await change_password(
                self.studio, self.user_id, CHANGE, session_id=self.own.session_id, ip=None
            )
        elif ending == "everywhere":
            await close_all_sessions(self.studio, self.user_id, actor_id=self.user_id, ip=None)
        else:
            identity = Identity(
                "https://id.example", str(self.user_id), self.credentials.email, None
            )
            async with self.studio.database.transaction() as session:
                await get_or_create_user(session, identity, None)


async def open_sides(studio: Studio) -> Sides:
    """An account with its owner's session and a stolen one."""
    credentials = LoginForm(email=f"{uuid4().hex}@example.com", password=PASSWORD)
    account = await create_user(studio.database, **credentials.model_dump())
    own, stolen = [(await log_in(studio, credentials, ip=None))[1] for _ in range(2)]
    return Sides(studio, credentials, account.id, own, stolen)


class Pausing:
    """Pauses the first call of a function until the other side has ended or waits for a lock."""

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
    """Pauses after the check of a password, or before the insertion of a token."""
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
        if pause == "checked":
            patch.setattr(login, "is_password", behind(is_password))
        if pause == "read":
            patch.setattr(sessions, "insert_refresh_token", before(insert_refresh_token))
        yield pausing


async def race(studio: Studio, opening: Opening, ending: Ending, pause: Pause) -> bool:
    """Runs both sides concurrently. Returns whether a session survived."""
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
    assert isinstance(opened, SessionGrant | NotAuthenticated), opened
    suspects = [sides.stolen] + ([opened] if isinstance(opened, SessionGrant) else [])
    return any([await is_alive(studio, grant) for grant in suspects])


async def is_alive(studio: Studio, grant: SessionGrant) -> bool:
    """Whether the session's access tokens or its refresh token still work."""
    account = await OpenAccounts(studio.database).find(grant.user_id, grant.session_id)
    if account is not None:
        return True
    try:
        await refresh_session(studio, grant.refresh_token, ip=None)
    except NotAuthenticated:
        return False
    return True
