"""The dependencies of the routes; a route's signature says who may call it.

All of them are async: FastAPI runs a plain function in another thread, for every request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from db.tables import ROLES, Role
from errors import Forbidden, NotAuthenticated
from gateway.arrivals import Arrivals
from gateway.auth import AccessTokens, Credentials
from gateway.limits import RateLimits
from gateway.resources import Places, resources_of
from studio.accounts.accounts import Account, OpenAccounts
from studio.accounts.keys import KeyAccount
from studio.files.checks import FileChecks
from studio.forms import Storable
from studio.jobs.watch import JobWatch
from studio.ports import Studio
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter
from studio.telemetry.health import HealthWatch
from studio.telemetry.latency import LatencyLog

MAX_USER_AGENT_CHARS = 200


class Bearer(OAuth2PasswordBearer):
    """The OAuth 2 scheme of the OpenAPI document; `gateway.limits` has read the header already."""

    async def __call__(self, request: HTTPConnection) -> Any:
        """The token's `Identity`, None without a token, or the error of one that is not valid."""
        return request.scope["state"].get("identity")


bearer = Bearer(
    tokenUrl="/api/auth/login",
    auto_error=False,
    description="An access token of `POST /api/auth/login`, or an API key (`sk_…`).",
)


@dataclass(frozen=True)
class CurrentUser(Account):
    """The caller's account as it is at this moment; its role is limited by an API key's.

    Attributes:
        session_id: the session of the request's token; None for a request with an API key.
    """

    session_id: UUID | None

    @classmethod
    def of_account(cls, account: Account, session_id: UUID | None) -> Self:
        """The caller with this account."""
        names = Account.__dataclass_fields__
        return cls(**{name: getattr(account, name) for name in names}, session_id=session_id)

    def has_role(self, role: Role) -> bool:
        """Whether the user's role is this one or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class SignedInUser(CurrentUser):
    """A caller with a session, not with an API key."""

    session_id: UUID


async def get_studio(request: Request) -> Studio:
    """The studio that `create_app` was called with."""
    return resources_of(request).studio


async def get_places(request: Request) -> Places:
    """The bounded places for costly kinds of requests."""
    return resources_of(request).places


async def get_tokens(request: Request) -> AccessTokens:
    """Issues and reads access tokens."""
    return resources_of(request).tokens


async def get_credentials(request: Request) -> Credentials:
    """Reads access tokens and API keys."""
    return resources_of(request).credentials


async def get_user_agent(request: Request) -> str | None:
    """The printable characters of the header User-Agent, at most `MAX_USER_AGENT_CHARS`."""
    text = "".join(filter(str.isprintable, request.headers.get("user-agent", "")))
    return text[:MAX_USER_AGENT_CHARS] or None


async def get_limits(request: Request) -> RateLimits:
    """The rate limits."""
    return resources_of(request).limits


async def get_accounts(request: Request) -> OpenAccounts:
    """Finds accounts by their open sessions."""
    return resources_of(request).accounts


async def get_health_watch(request: Request) -> HealthWatch:
    """Checks the parts of the studio."""
    return resources_of(request).health


async def get_draining(request: Request) -> asyncio.Event:
    """Is set when this replica is to end."""
    return resources_of(request).draining


async def get_latency(request: Request) -> LatencyLog:
    """The latencies of the routes."""
    return resources_of(request).latency


async def get_file_checks(request: Request) -> FileChecks:
    """The checks of uploads that run in this Gateway."""
    return resources_of(request).file_checks


async def get_arrivals(request: Request) -> Arrivals:
    """The uploads that this Gateway is receiving for the local blob store."""
    return resources_of(request).arrivals


async def get_search_log(request: Request) -> SearchLogWriter:
    """The writer of the search log."""
    return resources_of(request).search_log


async def get_search_knowledge(request: Request) -> SearchKnowledge:
    """What this Gateway knows of the catalogue, to understand queries."""
    return resources_of(request).search_knowledge


async def get_job_watch(request: Request) -> JobWatch:
    """The event streams of jobs."""
    return resources_of(request).job_watch


StudioDep = Annotated[Studio, Depends(get_studio)]
PlacesDep = Annotated[Places, Depends(get_places)]
TokensDep = Annotated[AccessTokens, Depends(get_tokens)]
CredentialsDep = Annotated[Credentials, Depends(get_credentials)]
UserAgentDep = Annotated[str | None, Depends(get_user_agent)]
LimitsDep = Annotated[RateLimits, Depends(get_limits)]
AccountsDep = Annotated[OpenAccounts, Depends(get_accounts)]
HealthDep = Annotated[HealthWatch, Depends(get_health_watch)]
DrainingDep = Annotated[asyncio.Event, Depends(get_draining)]
LatencyDep = Annotated[LatencyLog, Depends(get_latency)]
FileChecksDep = Annotated[FileChecks, Depends(get_file_checks)]
ArrivalsDep = Annotated[Arrivals, Depends(get_arrivals)]
SearchLogDep = Annotated[SearchLogWriter, Depends(get_search_log)]
SearchKnowledgeDep = Annotated[SearchKnowledge, Depends(get_search_knowledge)]
JobWatchDep = Annotated[JobWatch, Depends(get_job_watch)]


async def get_client_address(request: Request) -> str:
    """The client's network address, as far as the configured proxies report it."""
    return str(request.scope["state"]["client_address"])


ClientAddressDep = Annotated[str, Depends(get_client_address)]
IdempotencyKey = Annotated[Storable | None, Header(min_length=1, max_length=255)]
RequiredKey = Annotated[Storable, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
"""The key of operations that must not run twice if a client repeats its request."""


async def find_user(
    accounts: AccountsDep, identity: Annotated[Any, Depends(bearer)]
) -> CurrentUser | None:
    """The caller, or None without a token.

    Raises:
        NotAuthenticated: the token is not valid, or its session has ended.
    """
    if identity is None:
        return None
    if isinstance(identity, KeyAccount):
        return CurrentUser.of_account(identity, session_id=None)
    if isinstance(identity, NotAuthenticated):
        raise NotAuthenticated(identity.detail)
    account = await accounts.find(identity.user_id, identity.session_id)
    # A password change raises the account's version and keeps the session that made it, whose
    # access token then has an older version. A token with a newer version than the account's was
    # issued before the database was restored from a backup.
    if account is None or account.token_version < identity.version:
        raise NotAuthenticated("the session has ended; sign in again")
    return CurrentUser.of_account(account, identity.session_id)


MaybeUser = Annotated[CurrentUser | None, Depends(find_user)]


def require(role: Role) -> Callable[[CurrentUser | None], Awaitable[CurrentUser]]:
    """A dependency that admits users of this role or a higher one."""

    async def check_role(user: MaybeUser) -> CurrentUser:
        if user is None:
            raise NotAuthenticated(
                "this needs an access token (POST /api/auth/login) or an API key"
            )
        if not user.has_role(role):
            raise Forbidden(f"this needs the role {role}")
        return user

    return check_role


async def allow_everyone() -> None:
    """Marks a route that ignores who the caller is."""


require_customer = require("customer")
require_merchant = require("merchant")
require_admin = require("admin")


async def require_session(
    user: Annotated[CurrentUser, Depends(require_customer)],
) -> SignedInUser:
    """Admits users with a session.

    Raises:
        Forbidden: the request has an API key.
    """
    if user.session_id is None:
        raise Forbidden("an API key can't do this; sign in with the account itself")
    return SignedInUser.of_account(user, user.session_id)


Public = Depends(allow_everyone)
"""`dependencies=[Public]` for routes that ignore who the caller is."""
SessionOnly = Depends(require_session)
"""`dependencies=[SessionOnly]`, beside a role, for routes that refuse API keys."""

Anyone = MaybeUser
Customer = Annotated[CurrentUser, Depends(require_customer)]
SignedIn = Annotated[SignedInUser, Depends(require_session)]
"""Keys, passwords, sessions and accounts are managed by people, not by their keys."""
Merchant = Annotated[CurrentUser, Depends(require_merchant)]
Admin = Annotated[CurrentUser, Depends(require_admin)]

PERMISSIONS: frozenset[Callable[..., Any]] = frozenset(
    {allow_everyone, find_user, require_customer, require_merchant, require_admin}
)
"""Every route depends on one of these; a test checks all routes."""
