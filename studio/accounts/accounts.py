"""Accounts: registration, roles, and the accounts of open sessions."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from db.audit import insert_audit
from db.engine import Database
from db.tables import ROLES, User
from db.users import get_accounts_in_sessions, get_user, insert_user, lock_admins
from errors import Conflict, Forbidden, Invalid, NotFound, StudioError
from studio.accounts.addresses import normalise_email
from studio.accounts.forms import RegistrationForm, RoleForm
from studio.accounts.passwords import hash_password
from studio.batching import MicroBatcher
from studio.context import current_request_id
from studio.ports import Studio

MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class Account:
    """An account without its password hash, as the rest of the studio uses it."""

    id: UUID
    email: str
    name: str | None
    role: str
    token_version: int

    @classmethod
    def of(cls, user: User) -> "Account":
        """The account of a row."""
        return cls(user.id, user.email, user.name, user.role, user.token_version)


async def register(database: Database, form: RegistrationForm, *, ip: str | None) -> Account:
    """Creates the account of a new customer.

    Raises:
        Conflict: the address has an account already.
    """
    return await create_user(
        database, email=form.email, password=form.password, name=form.name, ip=ip
    )


async def create_user(
    database: Database,
    *,
    email: str,
    password: str,
    role: str = "customer",
    name: str | None = None,
    ip: str | None = None,
) -> Account:
    """Creates an account with any role; for `register`, the command line and the demo seed.

    Raises:
        Invalid: the address, password, name or role is not valid.
        Conflict: the address has an account already.
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


class OpenAccounts:
    """Finds accounts by their open sessions; the results are never cached.

    Every request with a token looks up its account. Requests that arrive while a query runs share
    the next query, so a result is never older than the request.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher: MicroBatcher[tuple[UUID, UUID], Account | None] = MicroBatcher(
            self._find, max_batch=64, max_waiting=10_000, calls=2
        )

    async def find(self, user_id: UUID, session_id: UUID) -> Account | None:
        """The account, if this session of it is open.

        Raises:
            Unavailable: PostgreSQL can't be reached.
        """
        return await self._batcher.submit((user_id, session_id))

    async def _find(
        self, sessions: list[tuple[UUID, UUID]]
    ) -> list[Account | None] | list[StudioError]:
        try:
            async with self._database.read() as session:
                accounts = await get_accounts_in_sessions(session, sessions)
        except StudioError as error:
            return [error for _ in sessions]
        return [Account(*accounts[key]) if key in accounts else None for key in sessions]


async def change_role(
    studio: Studio, user_id: UUID, form: RoleForm, *, actor_id: UUID, ip: str | None
) -> Account:
    """Changes an account's role; the new role applies from the account's next request.

    Raises:
        NotFound: there is no such account.
        Conflict: the account is the actor's own. This rule ensures that there is always an admin.
        Forbidden: the actor is no longer an admin.
    """
    if user_id == actor_id:
        raise Conflict("admins can't change their own role")
    async with studio.database.transaction() as session:
        # If two admins demote each other, the second one waits here and then has lost the role.
        if actor_id not in await lock_admins(session):
            raise Forbidden("this needs the role admin")
        user = await get_user(session, user_id, lock=True)
        if user is None or user.ended_at is not None:
            raise NotFound("no such account")
        if user.role != form.role:
            insert_audit(
                session, "ROLE_CHANGED", actor_id=actor_id, subject=str(user_id), ip=ip,
                detail={"from": user.role, "to": form.role}, request_id=current_request_id(),
            )  # fmt: skip
            user.role = form.role
        return Account.of(user)
