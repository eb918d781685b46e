"""Login by an OpenID provider: stores attempts in the cache, and finds or creates accounts."""

import hmac
import json
import secrets
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.api_keys import delete_keys
from db.audit import insert_audit
from db.tables import User
from db.users import get_user, get_user_by_email, get_user_by_subject, insert_user, revoke_sessions
from errors import Conflict, Forbidden, NotAuthenticated
from integrations.openid import Identity, LoginAttempt, OpenIdProvider
from studio.accounts.accounts import MAX_NAME_CHARS, Account
from studio.accounts.addresses import normalise_email
from studio.accounts.client_network import limit_key
from studio.accounts.passwords import COST, dummy_hash
from studio.accounts.sessions import CheckedCredentials, SessionGrant, hash_token, open_session
from studio.context import current_request_id
from studio.forms import refuse_unstorable
from studio.ports import Studio

ATTEMPT_S = 600
CODE_S = 60


def attempt_key(state: str) -> str:
    """The cache key of an attempt."""
    return f"openid:{state}"


async def begin_login(studio: Studio, provider: OpenIdProvider) -> tuple[str, str]:
    """Starts a login. Returns the provider's address, and the state that the browser returns.

    Raises:
        Unavailable, UpstreamFailed: the cache or the provider does not answer.
    """
    attempt = LoginAttempt.begin()
    url = await provider.login_url(attempt)
    document = json.dumps(asdict(attempt)).encode()
    await studio.cache.set(attempt_key(attempt.state), document, lifetime_s=ATTEMPT_S)
    return url, attempt.state


async def finish_login(
    studio: Studio, provider: OpenIdProvider, *, code: str, state: str, ip: str | None
) -> Account:
    """Ends a login. Returns the account of the identity that the provider confirms.

    Raises:
        NotAuthenticated: the attempt is unknown, expired or used, or the answer is not valid.
        Forbidden: there is no account, and no verified address to create one.
    """
    document = await studio.cache.take(attempt_key(state))
    if document is None:
        raise NotAuthenticated("this login has expired or does not exist; start again")
    identity = await provider.redeem(code, LoginAttempt(**json.loads(document)))
    try:
        refuse_unstorable([identity.subject, identity.email, identity.name])
    except ValueError as error:
        raise NotAuthenticated("the provider's answer can't be stored") from error
    try:
        async with studio.database.transaction() as session:
            return Account.of(await get_or_create_user(session, identity, ip))
    except IntegrityError:
        raise Conflict("this account was created or linked just now; sign in again") from None


async def sign_in(
    studio: Studio, user_id: UUID, version: int, *, ip: str | None, user_agent: str | None = None
) -> tuple[Account, SessionGrant]:
    """Opens a session of an account that the provider confirmed at this `token_version`.

    Raises:
        NotAuthenticated: the account was signed out everywhere meanwhile.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.transaction() as session:
        grant = await open_session(
            session, user_id, studio.settings.refresh_token_days, network=network,
            user_agent=user_agent, expected=CheckedCredentials(None, version),
        )  # fmt: skip
        insert_audit(
            session, "LOGIN", actor_id=user_id, subject=str(user_id), ip=ip,
            detail={"by": "openid"}, request_id=current_request_id(),
        )  # fmt: skip
        user = await get_user(session, user_id)
        if user is None:
            raise NotAuthenticated("the account is gone")
        return Account.of(user), grant


async def issue_code(studio: Studio, account: Account, state: str) -> str:
    """A code that the browser of this attempt can exchange once, within a minute."""
    code = secrets.token_urlsafe(32)
    document = {"user_id": str(account.id), "version": account.token_version, "state": state}
    await studio.cache.set(code_key(code), json.dumps(document).encode(), lifetime_s=CODE_S)
    return code


async def exchange_code(
    studio: Studio, code: str, *, state: str, ip: str | None, user_agent: str | None = None
) -> tuple[Account, SessionGrant]:
    """Opens a session for a code of `issue_code`.

    Raises:
        NotAuthenticated: the code is unknown, used, expired, or of another browser's login.
    """
    stored = await studio.cache.take(code_key(code))
    document = {} if stored is None else json.loads(stored)
    if not document or not hmac.compare_digest(document["state"].encode(), state.encode()):
        raise NotAuthenticated("this login has expired or does not exist; start again")
    return await sign_in(
        studio, UUID(document["user_id"]), document["version"], ip=ip, user_agent=user_agent
    )


def code_key(code: str) -> str:
    """The cache key of a code: its hash, so that the keys contain no usable codes."""
    return f"openid-code:{hash_token(code).hex()}"


async def get_or_create_user(session: AsyncSession, identity: Identity, ip: str | None) -> User:
    """The account of an identity: linked before, linked now by its address, or created.

    Raises:
        Forbidden: there is no account, and the provider confirms no address; or the account with
            this address belongs to another identity.
    """
    user = await get_user_by_subject(session, identity.issuer, identity.subject)
    if user is not None:
        return user
    if identity.email is None:
        raise Forbidden("the provider has not verified an e-mail address")
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
    """Ends password, sessions and API keys of an account that was registered with this address.

    Registration does not prove that the address is the caller's own; the provider's answer does. So
    nobody gains access by registering another person's address in advance.

    Raises:
        Forbidden: the account belongs to another identity of the provider.
    """
    if user.oidc_subject is not None:
        raise Forbidden("this e-mail address belongs to another login of the provider")
    user.password_hash = no_password()
    await revoke_sessions(session, user.id)
    await delete_keys(session, user.id)


def no_password() -> str:
    """A hash that matches no password."""
    return dummy_hash(COST).decode("ascii")
