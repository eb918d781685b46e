"""Accounts: who may come in, which role they have, and how they are told apart."""

from dataclasses import dataclass
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError

from db.audit import insert_audit
from db.engine import Database
from db.tables import ROLES, User
from db.users import (
    find_account,
    get_accounts_in_sessions,
    get_user,
    insert_user,
    lock_admins,
    revoke_sessions,
)
from errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    StudioError,
    Unavailable,
)
from studio.accounts.client_network import limit_key
from studio.accounts.hash_queue import Rank
from studio.accounts.passwords import hash_password, is_password
from studio.accounts.sessions import Judged, SignedIn, open_session
from studio.accounts.slowdown import LoginPace
from studio.batching import MicroBatcher
from studio.context import current_request_id
from studio.ports import Studio

MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class Account:
    """An account as the rest of the studio may see it: without its password hash."""

    id: UUID
    email: str
    name: str | None
    role: str
    token_version: int

    @classmethod
    def of(cls, user: User) -> "Account":
        """Row -> account."""
        return cls(user.id, user.email, user.name, user.role, user.token_version)


def normalise_email(email: str) -> str:
    """As it is kept: trimmed, in one Unicode form, the domain in lower case.

    Raises:
        Invalid: no e-mail address.
    """
    try:
        checked = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Invalid(f"not an e-mail address: {error}") from None
    return checked.normalized


async def create_user(
    database: Database,
    *,
    email: str,
    password: str,
    role: str = "customer",
    name: str | None = None,
    ip: str | None = None,
) -> Account:
    """A new account with any role; for registration, the command line and the demo seed.

    Raises:
        Invalid: a bad address, password, name or role.
        Conflict: the address has an account.
    """
    if role not in ROLES:
        raise Invalid(f"the role must be one of {', '.join(ROLES)}")
    if name is not None and len(name) > MAX_NAME_CHARS:
        raise Invalid(f"the name must have at most {MAX_NAME_CHARS} characters")
    address = normalise_email(email)
    password_hash = await hash_password(password)
    try:
        async with database.transaction() as session:
            user = await insert_user(
                session, email=address, password_hash=password_hash, name=name, role=role
            )
            insert_audit(
                session, "REGISTER", actor_id=user.id, subject=str(user.id), ip=ip,
                detail={"role": role}, request_id=current_request_id(),
            )  # fmt: skip
            return Account.of(user)
    except IntegrityError:
        raise Conflict("this e-mail address has an account already") from None


async def log_in(
    studio: Studio, *, email: str, password: str, ip: str | None
) -> tuple[Account, SignedIn]:
    """A new session for the right password.

    Raises:
        NotAuthenticated: unknown address or wrong password; which one is not told.
        SlowDown: too many failures lately.
        Unavailable: too many passwords are being checked.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.read() as session:
        key, user, is_known = await find_account(session, email.strip(), network)
    pace = LoginPace(studio.cache, account=key, address=ip, is_known=is_known)
    if not await _judge(pace, password, user.password_hash if user else None) or user is None:
        await _record_failure(studio, user, ip)
        raise NotAuthenticated("the e-mail address or the password is wrong")
    await pace.forgive()
    async with studio.database.transaction() as session:
        signed_in = await open_session(
            session, user.id, studio.settings.refresh_token_days, network=network,
            judged=Judged(user.password_hash, user.token_version),
        )  # fmt: skip
        insert_audit(
            session, "LOGIN", actor_id=user.id, subject=str(user.id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
    return Account.of(user), signed_in


async def _judge(pace: LoginPace, password: str, password_hash: str | None) -> bool:
    """One counted try; a right one is forgiven by the caller, once it has done what it allows.

    Raises:
        SlowDown: too many failures lately.
        Unavailable: too many passwords are being checked; the try doesn't count.
    """
    await pace.admit()
    try:
        is_right = await is_password(password, password_hash)
    except Unavailable:
        await pace.withdraw()
        raise
    if not is_right:
        await pace.shut()
    return is_right


async def _record_failure(studio: Studio, user: User | None, ip: str | None) -> None:
    """In its own transaction: the failing one leaves nothing. Unknown addresses aren't kept."""
    async with studio.database.transaction() as session:
        insert_audit(
            session, "LOGIN_FAILED", actor_id=None, subject=str(user.id) if user else None,
            outcome="refused", ip=ip, request_id=current_request_id(),
        )  # fmt: skip


class OpenAccounts:
    """Accounts by their open sessions, as they are right now.

    Asked by every request with a token: those that come while the database works on others'
    share the next query, which begins after all of them have come.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher: MicroBatcher[tuple[UUID, UUID], Account | None] = MicroBatcher(
            self._find, max_batch=64, max_waiting=10_000, calls=2
        )

    async def find(self, user_id: UUID, session_id: UUID) -> Account | None:
        """The account, if this session of it was opened and not ended.

        Raises:
            Unavailable: PostgreSQL can't be reached.
        """
        return await self._batcher.submit((user_id, session_id))

    async def _find(
        self, asked: list[tuple[UUID, UUID]]
    ) -> list[Account | None] | list[StudioError]:
        try:
            async with self._database.read() as session:
                found = await get_accounts_in_sessions(session, asked)
        except StudioError as error:
            return [error for _ in asked]
        return [Account(*found[one]) if one in found else None for one in asked]


async def require_password(studio: Studio, user_id: UUID, password: str, *, ip: str | None) -> User:
    """The account as it was judged by its present password; a guess counts as those of logins do.

    Raises:
        NotFound: no such account.
        Forbidden: the password is wrong.
        SlowDown: too many failures lately.
    """
    network = None if ip is None else limit_key(ip)
    async with studio.database.read() as session:
        user = await get_user(session, user_id)
        if user is None:
            raise NotFound("no such account")
        key, _, is_known = await find_account(session, user.email, network)
    pace = LoginPace(studio.cache, account=key, address=ip, is_known=is_known)
    if not await _judge(pace, password, user.password_hash):
        await _record_failure(studio, user, ip)
        raise Forbidden("the current password is wrong")
    await pace.forgive()
    return user


async def change_password(
    studio: Studio, user_id: UUID, *, current: str, new: str, session_id: UUID, ip: str | None
) -> None:
    """Guesses at the current one are counted as those of logins are; other sessions end.

    Raises:
        Forbidden: the current password is wrong.
        Invalid: the new one breaks a rule.
        SlowDown: too many failures lately.
    """
    user = await require_password(studio, user_id, current, ip=ip)
    password_hash = await hash_password(new, Rank.SIGN_IN)
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


async def change_role(
    studio: Studio, user_id: UUID, role: str, *, actor_id: UUID, ip: str | None
) -> Account:
    """Acts on the next request of that account: roles are read from the row.

    Raises:
        Invalid: no such role.
        NotFound: no such account.
        Conflict: admins can't change their own role, so that one is always left.
        Forbidden: the actor has been demoted meanwhile.
    """
    if role not in ROLES:
        raise Invalid(f"the role must be one of {', '.join(ROLES)}")
    if user_id == actor_id:
        raise Conflict("nobody changes their own role")
    async with studio.database.transaction() as session:
        # Two admins who demote each other come one after the other here; the second is none.
        if actor_id not in await lock_admins(session):
            raise Forbidden("this needs the role admin")
        user = await get_user(session, user_id, lock=True)
        if user is None or user.ended_at is not None:
            raise NotFound("no such account")
        if user.role != role:
            insert_audit(
                session, "ROLE_CHANGED", actor_id=actor_id, subject=str(user_id), ip=ip,
                detail={"from": user.role, "to": role}, request_id=current_request_id(),
            )  # fmt: skip
            user.role = role
        return Account.of(user)
