"""API keys without HTTP: many requests share a query, and receipts are encrypted."""

import asyncio
import json
from dataclasses import replace

import pytest
from sqlmodel import update

from db.engine import Database
from db.tables import ApiKey
from errors import Conflict, Forbidden, NotAuthenticated, Unavailable
from studio.accounts import passwords
from studio.accounts.accounts import Account, create_user
from studio.accounts.keys import PREFIX, ApiKeyForm, ApiKeys, ReceiptSeal, create_key, is_api_key
from studio.ports import Studio
from tests.support.fakes import PASSWORD, SECRET

FORM = ApiKeyForm(name="a server")


@pytest.fixture
async def account(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(passwords, "COST", 4)
    return await create_user(
        studio.database, email="a@example.com", password=PASSWORD, role="merchant"
    )


async def test_many_requests_with_keys_share_a_query(studio: Studio, account: Account) -> None:
    keys = [(await create_key(studio, account, FORM, ip=None))[1] for _ in range(3)]
    finder = ApiKeys(studio.database)
    unknown = PREFIX + "x" * 43
    results = await asyncio.gather(
        *(finder.find(key) for key in [*keys, unknown] * 20), return_exceptions=True
    )
    owners = [one for one in results if not isinstance(one, BaseException)]
    assert len(owners) == 60 and {one.id for one in owners} == {account.id}
    assert len({one.key_id for one in owners}) == 3
    assert all(isinstance(one, NotAuthenticated) for one in results if one not in owners)


async def test_the_role_of_a_key_is_the_lower_one(studio: Studio, account: Account) -> None:
    form = ApiKeyForm(name="a", role="customer")
    _, key = await create_key(studio, account, form, ip=None)
    assert (await ApiKeys(studio.database).find(key)).role == "customer"
    async with studio.database.transaction() as session:
        await session.exec(update(ApiKey).values(role="admin"))
    assert (await ApiKeys(studio.database).find(key)).role == "merchant"
    with pytest.raises(Forbidden, match="at most your own: merchant"):
        await create_key(studio, account, ApiKeyForm(name="a", role="admin"), ip=None)


async def test_an_account_that_was_signed_out_makes_no_key(
    studio: Studio, account: Account
) -> None:
    older = replace(account, token_version=account.token_version - 1)
    with pytest.raises(NotAuthenticated):
        await create_key(studio, older, FORM, ip=None)


async def test_without_the_database_no_key_is_judged() -> None:
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await ApiKeys(database).find(PREFIX + "x" * 43)
    await database.aclose()


def test_receipts_are_encrypted_for_the_present_and_the_previous_secret() -> None:
    answer = {"key": PREFIX + "y" * 43, "name": "ä"}
    receipt = ReceiptSeal([SECRET]).close(answer)
    assert "yyy" not in json.dumps(receipt)
    assert ReceiptSeal(["b" * 40, SECRET]).open(receipt) == answer
    with pytest.raises(Conflict, match="can't be shown again"):
        ReceiptSeal(["b" * 40]).open(receipt)


def test_access_tokens_do_not_look_like_keys() -> None:
    assert is_api_key("sk_x") and not is_api_key("eyJhbGciOiJIUzI1NiJ9.e30.x")
