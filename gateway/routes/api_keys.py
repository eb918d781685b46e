"""Routes of the caller's API keys."""

from datetime import datetime
from functools import partial
from typing import Self
from uuid import UUID

from fastapi import APIRouter, Response

from db.tables import ApiKey
from gateway.deps import ClientAddressDep, IdempotencyKey, SignedIn, StudioDep
from gateway.once import once
from gateway.paging import PageDep, page_of
from gateway.wire import Page, WireResponse
from studio.accounts.keys import (
    RECEIPT_S,
    ApiKeyForm,
    ReceiptSeal,
    create_key,
    list_keys,
    revoke_key,
)
from studio.idempotency import Answer, KeyedRequest, answer_by_cache

router = APIRouter(prefix="/api/auth/keys", tags=["auth"])


class ApiKeyResponse(WireResponse):
    """A key as its owner sees it.

    `hint` is the end of the key. `lastUsedAt` is exact to a minute.
    """

    id: UUID
    name: str
    role: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApiKeyResponse(ApiKeyResponse):
    """A new key; no later answer contains `key`."""

    key: str

    @classmethod
    def of(cls, row: ApiKey, key: str) -> Self:
        """Adds the key itself."""
        return cls.from_row(row, key=key)


@router.post("", status_code=201)
async def create_api_key(
    body: ApiKeyForm,
    user: SignedIn,
    studio: StudioDep,
    ip: ClientAddressDep,
    idempotency_key: IdempotencyKey = None,
) -> NewApiKeyResponse:
    """Creates a key for a server, which sends it as `Authorization: Bearer sk_…`.

    A key does what its role may do, and never more than the account's present role. It manages no
    keys, passwords, sessions or accounts. The key is in this answer only; the studio stores a hash.
    """
    seal = ReceiptSeal(studio.settings.jwt_secrets())

    async def make(_: KeyedRequest | None) -> Answer:
        answer = NewApiKeyResponse.of(*await create_key(studio, user, body, ip=ip))
        return seal.close(answer.model_dump(mode="json"))

    answer = partial(answer_by_cache, studio.cache, f"api-key:{user.id}", lifetime_s=RECEIPT_S)
    receipt = await once(idempotency_key, body, make, answer)
    return NewApiKeyResponse.model_validate(seal.open(receipt))


@router.get("")
async def list_api_keys(user: SignedIn, studio: StudioDep, page: PageDep) -> Page[ApiKeyResponse]:
    """Lists the caller's keys, newest first."""
    rows = await list_keys(studio, user.id, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, ApiKeyResponse.from_row)


@router.delete("/{key_id}", status_code=204, response_class=Response)
async def revoke_api_key(
    key_id: UUID, user: SignedIn, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """Revokes a key; it is refused from the next request on."""
    await revoke_key(studio, user.id, key_id, ip=ip)
