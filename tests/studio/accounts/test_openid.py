"""Codes for a login by OpenID: good once, in the browser of the attempt."""

import pytest

from errors import NotAuthenticated
from studio.accounts.accounts import create_user
from studio.accounts.openid import exchange_code, issue_code, sign_in
from studio.accounts.sessions import close_all_sessions
from studio.ports import Studio
from tests.support.fakes import PASSWORD


async def test_a_code_is_good_once_and_for_its_own_browser(studio: Studio) -> None:
    account = await create_user(studio.database, email="a@example.com", password=PASSWORD)
    code = await issue_code(studio, account, "state")
    with pytest.raises(NotAuthenticated):
        await exchange_code(studio, code, state="another", ip=None)
    with pytest.raises(NotAuthenticated):  # the attempt in the other browser has used it up
        await exchange_code(studio, code, state="state", ip=None)
    code = await issue_code(studio, account, "state")
    again, grant = await exchange_code(studio, code, state="state", ip="192.0.2.1")
    assert again == account and grant.user_id == account.id


async def test_a_sign_out_everywhere_ends_logins_under_way(studio: Studio) -> None:
    account = await create_user(studio.database, email="a@example.com", password=PASSWORD)
    await close_all_sessions(studio, account.id, actor_id=account.id, ip=None)
    with pytest.raises(NotAuthenticated):
        await sign_in(studio, account.id, account.token_version, ip=None)
