"""Logins by password, and everything else that checks a password with the same limits."""

from uuid import UUID

from db.audit import insert_audit
from db.tables import User
from db.users import get_account_for_login, get_user, revoke_sessions
from errors import Conflict, Forbidden, NotAuthenticated, NotFound, Unavailable
from studio.accounts.accounts import Account
from studio.accounts.client_network import limit_key
from studio.accounts.forms import LoginForm, PasswordForm
from studio.accounts.hash_queue import Rank
from studio.accounts.passwords import hash_password, is_password
from studio.accounts.sessions import CheckedCredentials, SessionGrant, open_session
from studio.accounts.slowdown import LoginThrottle
from studio.context import current_request_id
from studio.ports import Studio


async def log_in(
    studio: Studio, form: LoginForm, *, ip: str | None, user_agent: str | None = None
) -> tuple[Account, SessionGrant]:
    """Checks the password and opens a session.

    Raises:
        NotAuthenticated: the address is unknown, or the password is wrong. The error is the same
            in both cases.
        RateLimited: there were too many failures recently.
        Unavailable: too many passwords are being checked.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.read() as session:
        key, user, is_known = await get_account_for_login(session, form.email.strip(), network)
    throttle = LoginThrottle(studio.cache, account=key, address=ip, is_known=is_known)
    if (
        not await _check_password(throttle, form.password, user.password_hash if user else None)
        or user is None
    ):
        await _record_failure(studio, user, ip)
        raise NotAuthenticated("the e-mail address or the password is wrong")
    await throttle.forgive()
    async with studio.database.transaction() as session:
        grant = await open_session(
            session, user.id, studio.settings.refresh_token_days, network=network,
            user_agent=user_agent,
            expected=CheckedCredentials(user.password_hash, user.token_version),
        )  # fmt: skip
        insert_audit(
            session, "LOGIN", actor_id=user.id, subject=str(user.id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
    return Account.of(user), grant


async def _check_password(
    throttle: LoginThrottle, password: str, password_hash: str | None
) -> bool:
    """Checks a password as one counted attempt; after a success the caller calls `forgive`.

    Raises:
        RateLimited: there were too many failures recently.
        Unavailable: too many passwords are being checked; the attempt doesn't count.
    """
    await throttle.admit()
    try:
        is_right = await is_password(password, password_hash)
    except Unavailable:
        await throttle.withdraw()
        raise
    if not is_right:
        await throttle.shut()
    return is_right


async def _record_failure(studio: Studio, user: User | None, ip: str | None) -> None:
    """Adds a failed login to the audit log, without the address if it is unknown."""
    async with studio.database.transaction() as session:
        insert_audit(
            session, "LOGIN_FAILED", actor_id=None, subject=str(user.id) if user else None,
            outcome="refused", ip=ip, request_id=current_request_id(),
        )  # fmt: skip


async def require_password(studio: Studio, user_id: UUID, password: str, *, ip: str | None) -> User:
    """Checks an account's current password, with the limits of a login. Returns the account.

    Raises:
        NotFound: there is no such account.
        Forbidden: the password is wrong.
        RateLimited: there were too many failures recently.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.read() as session:
        user = await get_user(session, user_id)
        if user is None:
            raise NotFound("no such account")
        key, _, is_known = await get_account_for_login(session, user.email, network)
    throttle = LoginThrottle(studio.cache, account=key, address=ip, is_known=is_known)
    if not await _check_password(throttle, password, user.password_hash):
        await _record_failure(studio, user, ip)
        raise Forbidden("the current password is wrong")
    await throttle.forgive()
    return user


async def change_password(
    studio: Studio, user_id: UUID, form: PasswordForm, *, session_id: UUID, ip: str | None
) -> None:
    """Changes a password and ends all other sessions of the account.

    Raises:
        Forbidden: the current password is wrong.
        RateLimited: there were too many failures recently.
        Conflict: another request changed the password meanwhile.
    """
    user = await require_password(studio, user_id, form.current_password, ip=ip)
    password_hash = await hash_password(form.new_password, Rank.SIGN_IN)
    async with studio.database.transaction() as session:
        row = await get_user(session, user_id, lock=True)
        if row is None or row.password_hash != user.password_hash:
            raise Conflict("the password was changed just now")
        row.password_hash = password_hash
        await revoke_sessions(session, user_id, keep=session_id)
        insert_audit(
            session, "PASSWORD_CHANGED", actor_id=user_id, subject=str(user_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
