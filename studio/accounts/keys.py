"""API keys, by which an account's servers call the API: they are shown once and stored hashed."""

import base64
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import AwareDatetime, Field

from db import api_keys
from db.audit import insert_audit
from db.engine import Database
from db.tables import ROLES, ApiKey, Role
from db.users import get_database_time, get_user
from errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound, StudioError
from studio.accounts.accounts import Account
from studio.accounts.sessions import hash_token
from studio.batching import MicroBatcher
from studio.context import current_request_id
from studio.forms import Form
from studio.ports import Studio

PREFIX = "sk_"
KEY_BYTES = 32
KEY_CHARS = len(PREFIX) + 43
HINT_CHARS = 4
MAX_KEYS = 50
"""For one account, expired keys included."""
RECEIPT_S = 24 * 3600
"""How long a request that creates a key can be repeated under its `Idempotency-Key`."""


class ApiKeyForm(Form):
    """A key to create; by default it has the account's present role, and does not expire."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Role | None = None
    expires_at: AwareDatetime | None = None


@dataclass(frozen=True)
class KeyAccount(Account):
    """The account of an API key; its `role` is the lower one of the account's and the key's."""

    key_id: UUID


def is_api_key(token: str) -> bool:
    """Whether a bearer token has the form of an API key."""
    return token.startswith(PREFIX)


class ApiKeys:
    """Finds accounts by their keys; the results are never cached, so a revoked key ends at once.

    As in `OpenAccounts`, requests that arrive while a query runs share the next one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher: MicroBatcher[bytes, KeyAccount | None] = MicroBatcher(
            self._find, max_batch=64, max_waiting=10_000, calls=2
        )

    async def find(self, key: str) -> KeyAccount:
        """The account of a key.

        Raises:
            NotAuthenticated: the key is unknown, revoked or expired.
            Unavailable: PostgreSQL can't be reached.
        """
        account = await self._batcher.submit(hash_token(key)) if len(key) == KEY_CHARS else None
        if account is None:
            raise NotAuthenticated("the API key is not valid, was revoked or has expired")
        return account

    async def _find(
        self, hashes: list[bytes]
    ) -> Sequence[KeyAccount | None] | Sequence[StudioError]:
        try:
            async with self._database.read() as session:
                matches = await api_keys.match_keys(session, sorted(set(hashes)))
        except StudioError as error:
            return [error for _ in hashes]
        await self._note_use([match.key_id for match in matches.values() if match.is_due])
        return [account_of(matches[one]) if one in matches else None for one in hashes]

    async def _note_use(self, key_ids: list[UUID]) -> None:
        """Records the use of keys. If that fails, the requests are answered all the same."""
        if key_ids:
            with suppress(StudioError):
                async with self._database.transaction() as session:
                    await api_keys.note_use(session, key_ids)


def account_of(match: api_keys.KeyMatch) -> KeyAccount:
    """The account as the key may use it."""
    role = min(match.role, match.key_role, key=ROLES.index)
    return KeyAccount(
        match.user_id, match.email, match.name, role, match.token_version, match.key_id
    )


async def create_key(
    studio: Studio, account: Account, form: ApiKeyForm, *, ip: str | None
) -> tuple[ApiKey, str]:
    """Creates a key. Returns its row, and the key itself, which is stored nowhere.

    Raises:
        Forbidden: the role is above the account's.
        Invalid: the end is not in the future.
        Conflict: the account has the most keys that are allowed.
        NotAuthenticated: the account was signed out or deleted meanwhile.
    """
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    async with studio.database.transaction() as session:
        user = await get_user(session, account.id, lock=True)
        if user is None or user.token_version != account.token_version:
            raise NotAuthenticated("the account was changed or signed out just now; sign in again")
        role = form.role or user.role
        if ROLES.index(role) > ROLES.index(user.role):
            raise Forbidden(f"the role of a key is at most your own: {user.role}")
        if form.expires_at is not None and form.expires_at <= await get_database_time(session):
            raise Invalid("expiresAt must be in the future")
        if await api_keys.count_keys(session, user.id) >= MAX_KEYS:
            raise Conflict(f"an account has at most {MAX_KEYS} keys; delete one of them first")
        row = ApiKey(
            user_id=user.id, name=form.name, key_hash=hash_token(key), hint=key[-HINT_CHARS:],
            role=role, expires_at=form.expires_at,
        )  # fmt: skip
        row = await api_keys.insert_key(session, row)
        insert_audit(
            session, "API_KEY_CREATED", actor_id=user.id, subject=str(row.id), ip=ip,
            detail={"name": form.name, "role": role}, request_id=current_request_id(),
        )  # fmt: skip
        return row, key


async def list_keys(
    studio: Studio, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[ApiKey]:
    """Reads the account's keys, newest first."""
    async with studio.database.read() as session:
        return await api_keys.list_keys(session, user_id, limit=limit, after=after)


async def revoke_key(studio: Studio, user_id: UUID, key_id: UUID, *, ip: str | None) -> None:
    """Deletes a key; it is refused from the next request on.

    Raises:
        NotFound: the account has no such key.
    """
    async with studio.database.transaction() as session:
        name = await api_keys.delete_key(session, user_id, key_id)
        if name is None:
            raise NotFound("no such key")
        insert_audit(
            session, "API_KEY_REVOKED", actor_id=user_id, subject=str(key_id), ip=ip,
            detail={"name": name}, request_id=current_request_id(),
        )  # fmt: skip


class ReceiptSeal:
    """Encrypts the answers that contain a key, for as long as the cache holds their receipts."""

    def __init__(self, jwt_secrets: Sequence[str]) -> None:
        """Of the secrets, the first encrypts and all decrypt."""
        self._fernet = MultiFernet([Fernet(derive_seal(secret)) for secret in jwt_secrets])

    def close(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer as it may be stored."""
        return {"sealed": self._fernet.encrypt(json.dumps(answer).encode()).decode()}

    def open(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """The answer of `close`.

        Raises:
            Conflict: the secrets have changed since.
        """
        try:
            answer: dict[str, Any] = json.loads(self._fernet.decrypt(receipt["sealed"].encode()))
        except InvalidToken:
            raise Conflict("this key can't be shown again; create another one") from None
        return answer


def derive_seal(secret: str) -> bytes:
    """A Fernet key; it is of no use for tokens or signed URLs, which the same secret protects."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ai-fashion-studio api-key receipt")
    return base64.urlsafe_b64encode(hkdf.derive(secret.encode()))
