"""What a route may ask for; its signature says who may call it.

All of it is async: FastAPI would send a plain function to another thread, for every request.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from errors import Forbidden, NotAuthenticated
from gateway.auth import AccessClaims, AccessTokens
from gateway.wire import Storable
from integrations.shares import Shares
from studio.accounts.accounts import OpenAccounts
from studio.files.checks import FileChecks
from studio.ports import Studio
from studio.telemetry.health import HealthWatch

ROLES = ("customer", "merchant", "admin")


class Bearer(OAuth2PasswordBearer):
    """Stands in the document as OAuth 2; the header itself was read by `gateway.limits`."""

    async def __call__(self, request: HTTPConnection) -> Any:
        """Claims, nothing, or an error."""
        return request.scope["state"].get("identity")


bearer = Bearer(tokenUrl="/api/auth/login", auto_error=False)


@dataclass(frozen=True)
class CurrentUser:
    """Who is asking, by the state of the account right now."""

    id: UUID
    email: str
    name: str | None
    role: str
    session_id: UUID

    def has_role(self, role: str) -> bool:
        """Whether the user's role is this one or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


async def get_studio(request: Request) -> Studio:
    """The studio that `create_app` was given."""
    return cast(Studio, request.app.state.studio)


async def get_tokens(request: Request) -> AccessTokens:
    """The signer and reader of access tokens."""
    return cast(AccessTokens, request.app.state.tokens)


async def get_accounts(request: Request) -> OpenAccounts:
    """Who is who, right now."""
    return cast(OpenAccounts, request.app.state.accounts)


async def get_health_watch(request: Request) -> HealthWatch:
    """How the studio is."""
    return cast(HealthWatch, request.app.state.health)


async def get_file_checks(request: Request) -> FileChecks:
    """The checks of uploads that run in this Gateway."""
    return cast(FileChecks, request.app.state.file_checks)


async def get_turns(request: Request) -> Shares:
    """Places for deletions, which hold a connection while they wait for their account's lock."""
    return cast(Shares, request.app.state.turns)


async def get_presigns(request: Request) -> Shares:
    """Places for presigns, which do so too, but never for long: a page may send a hundred."""
    return cast(Shares, request.app.state.presigns)


StudioDep = Annotated[Studio, Depends(get_studio)]
TokensDep = Annotated[AccessTokens, Depends(get_tokens)]
AccountsDep = Annotated[OpenAccounts, Depends(get_accounts)]
TurnsDep = Annotated[Shares, Depends(get_turns)]
PresignsDep = Annotated[Shares, Depends(get_presigns)]
FileChecksDep = Annotated[FileChecks, Depends(get_file_checks)]
HealthDep = Annotated[HealthWatch, Depends(get_health_watch)]


async def get_client_address(request: Request) -> str:
    """The client's network address, as far as the named proxies can be believed."""
    return str(request.scope["state"]["client_address"])


ClientAddressDep = Annotated[str, Depends(get_client_address)]
IdempotencyKey = Annotated[Storable | None, Header(min_length=1, max_length=255)]
RequiredKey = Annotated[Storable, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
"""Of what must never be done twice by a second click."""


async def find_user(
    accounts: AccountsDep, identity: Annotated[Any, Depends(bearer)]
) -> CurrentUser | None:
    """The caller, or None without a token.

    Raises:
        NotAuthenticated: a token was given and is not valid (any more).
    """
    if identity is None:
        return None
    if not isinstance(identity, AccessClaims):
        raise NotAuthenticated("the access token is not valid or has expired")
    account = await accounts.find(identity.user_id, identity.session_id)
    # A session that a password change has kept is of a later version than its access token. One
    # of a later version than the account is of before the database was restored.
    if account is None or account.token_version < identity.version:
        raise NotAuthenticated("the session has ended; sign in again")
    return CurrentUser(account.id, account.email, account.name, account.role, identity.session_id)


MaybeUser = Annotated[CurrentUser | None, Depends(find_user)]


def require(role: str) -> Callable[[CurrentUser | None], Awaitable[CurrentUser]]:
    """A dependency that lets users of at least this role pass."""

    async def check_role(user: MaybeUser) -> CurrentUser:
        if user is None:
            raise NotAuthenticated("this needs an access token: POST /api/auth/login")
        if not user.has_role(role):
            raise Forbidden(f"this needs the role {role}")
        return user

    return check_role


async def allow_everyone() -> None:
    """Marks a route that never looks at who is asking."""


require_customer = require("customer")
require_merchant = require("merchant")
require_admin = require("admin")

Public = Depends(allow_everyone)
"""`dependencies=[Public]` for routes that never look at who is asking."""

Anyone = MaybeUser
Customer = Annotated[CurrentUser, Depends(require_customer)]
Merchant = Annotated[CurrentUser, Depends(require_merchant)]
Admin = Annotated[CurrentUser, Depends(require_admin)]

PERMISSIONS: frozenset[Callable[..., Any]] = frozenset(
    {allow_everyone, find_user, require_customer, require_merchant, require_admin}
)
"""Every route depends on one of these; a test walks the routes."""
