"""Signing in by an OpenID provider: attempts are kept in the cache, accounts are found or made."""

import hmac
import json
import secrets
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from db.audit import insert_audit
from db.engine import AsyncSession
from db.tables import User
from db.users import (
    get_user,
    get_user_by_email,
    get_user_by_subject,
    insert_user,
    revoke_sessions,
)
from errors import Conflict, Forbidden, NotAuthenticated
from integrations.openid import Attempt, Identity, OpenIdProvider
from studio.accounts.accounts import MAX_NAME_CHARS, Account, normalise_email
from studio.accounts.client_network import limit_key
from studio.accounts.passwords import COST, dummy_hash
from studio.accounts.sessions import Judged, SignedIn, hash_token, open_session
from studio.context import current_request_id
from studio.forms import refuse_unstorable
from studio.ports import Studio

ATTEMPT_S = 600
CODE_S = 60


def attempt_key(state: str) -> str:
    """Where the cache keeps an attempt."""
    return f"openid:{state}"


async def begin_login(studio: Studio, provider: OpenIdProvider) -> tuple[str, str]:
    """(where the browser goes, the attempt's state, which the browser has to bring back).

    Raises:
        Unavailable, UpstreamFailed: the cache or the provider is away.
    """
    attempt = Attempt.begin()
    url = await provider.login_url(attempt)
    kept = json.dumps(asdict(attempt)).encode()
    await studio.cache.set(attempt_key(attempt.state), kept, lifetime_s=ATTEMPT_S)
    return url, attempt.state


async def finish_login(
    studio: Studio, provider: OpenIdProvider, *, code: str, state: str, ip: str | None
) -> Account:
    """The account of whom the provider vouches for; an attempt can be finished once.

    Raises:
        NotAuthenticated: the attempt is unknown, over or used, or the provider's answer is wrong.
        Forbidden: there is no account, and no verified address to make one for.
    """
    kept = await studio.cache.take(attempt_key(state))
    if kept is None:
        raise NotAuthenticated("this login is over or was never begun; begin anew")
    identity = await provider.redeem(code, Attempt(**json.loads(kept)))
    try:
        refuse_unstorable([identity.subject, identity.email, identity.name])
    except ValueError as error:
        raise NotAuthenticated("the provider's answer can't be kept") from error
    try:
        async with studio.database.transaction() as session:
            return Account.of(await _find_or_make(session, identity, ip))
    except IntegrityError:
        raise Conflict("this account was made or linked just now; sign in again") from None


async def sign_in(
    studio: Studio, user_id: UUID, version: int, *, ip: str | None
) -> tuple[Account, SignedIn]:
    """A new session of an account that the provider has vouched for at this `token_version`.

    Raises:
        NotAuthenticated: the account was signed out everywhere since.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.transaction() as session:
        signed_in = await open_session(
            session, user_id, studio.settings.refresh_token_days, network=network,
            judged=Judged(None, version),
        )  # fmt: skip
        insert_audit(
            session, "LOGIN", actor_id=user_id, subject=str(user_id), ip=ip,
            detail={"by": "openid"}, request_id=current_request_id(),
        )  # fmt: skip
        user = await get_user(session, user_id)
        if user is None:
            raise NotAuthenticated("the account is gone")
        return Account.of(user), signed_in


async def issue_code(studio: Studio, account: Account, state: str) -> str:
    """A code that the page exchanges once, within a minute, in the browser of this attempt."""
    code = secrets.token_urlsafe(32)
    vouched = {"user_id": str(account.id), "version": account.token_version, "state": state}
    await studio.cache.set(code_key(code), json.dumps(vouched).encode(), lifetime_s=CODE_S)
    return code


async def exchange_code(
    studio: Studio, code: str, *, state: str, ip: str | None
) -> tuple[Account, SignedIn]:
    """A new session for a code of `issue_code`.

    Raises:
        NotAuthenticated: unknown, used, too old, or of another browser's login.
    """
    kept = await studio.cache.take(code_key(code))
    vouched = {} if kept is None else json.loads(kept)
    if not vouched or not hmac.compare_digest(vouched["state"].encode(), state.encode()):
        raise NotAuthenticated("this login is over or was never begun; begin anew")
    return await sign_in(studio, UUID(vouched["user_id"]), vouched["version"], ip=ip)


def code_key(code: str) -> str:
    """Where the cache keeps a code: under its hash, so that whoever reads keys has no code."""
    return f"openid-code:{hash_token(code).hex()}"


async def _find_or_make(session: AsyncSession, identity: Identity, ip: str | None) -> User:
    user = await get_user_by_subject(session, identity.issuer, identity.subject)
    if user is not None:
        return user
    if identity.email is None:
        raise Forbidden("the provider vouches for no verified e-mail address")
    email = normalise_email(identity.email)
    user = await get_user_by_email(session, email, lock=True)
    action = "LINKED"
    if user is None:
        name = identity.name[:MAX_NAME_CHARS] if identity.name else None
        user = await insert_user(
            session, email=email, password_hash=no_password(), name=name, role="customer"
        )
        action = "REGISTER"
    else:
        await _take_over(session, user)
    user.oidc_issuer, user.oidc_subject = identity.issuer, identity.subject
    insert_audit(
        session, action, actor_id=user.id, subject=str(user.id), ip=ip,
        detail={"by": "openid", "issuer": identity.issuer}, request_id=current_request_id(),
    )  # fmt: skip
    return user


async def _take_over(session: AsyncSession, user: User) -> None:
    """Whoever registered the address never proved that it is theirs; now somebody has.

    So an account made in advance with a stranger's address is of no use to who made it: its
    password and its sessions end.
    """
    if user.oidc_subject is not None:
        raise Forbidden("this e-mail address belongs to another login of the provider")
    user.password_hash = no_password()
    await revoke_sessions(session, user.id)


def no_password() -> str:
    """A hash that no password has."""
    return dummy_hash(COST).decode("ascii")
