"""Routes of registration, sign-in, sessions and passwords."""

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import JSONResponse

from errors import Malformed, NotAuthenticated
from gateway.auth import AccessTokens
from gateway.deps import (
    AccountsDep,
    Anyone,
    ClientAddressDep,
    Customer,
    Public,
    SignedIn,
    StudioDep,
    TokensDep,
    UserAgentDep,
    require_session,
)
from gateway.wire import WireRequest, WireResponse
from studio.accounts.accounts import Account
from studio.accounts.accounts import register as register_customer
from studio.accounts.forms import LoginForm, PasswordForm, RegistrationForm
from studio.accounts.login import change_password, log_in
from studio.accounts.sessions import (
    SessionGrant,
    close_all_sessions,
    close_session,
    close_session_of,
    refresh_session,
)

router = APIRouter(prefix="/api/auth", tags=["auth"])

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class RefreshRequest(WireRequest):
    """The newest refresh token of the session."""

    refresh_token: str = Field(max_length=200)


class LogoutRequest(WireRequest):
    """The session to end; by default that of the access token."""

    refresh_token: str | None = Field(default=None, max_length=200)
    everywhere: bool = False


class UserResponse(WireResponse):
    """An account as its owner sees it."""

    id: UUID
    email: str
    name: str | None
    role: str


class RegisterResponse(WireResponse):
    """The new account."""

    user: UserResponse


class SessionResponse(WireResponse):
    """The tokens of a session; the refresh token is exchanged for the next pair."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int
    user: UserResponse

    @classmethod
    def of(cls, tokens: AccessTokens, account: Account, grant: SessionGrant) -> Self:
        """Issues an access token for the session."""
        version = account.token_version
        return cls(
            access_token=tokens.issue(account.id, account.role, grant.session_id, version),
            refresh_token=grant.refresh_token,
            expires_in=tokens.lifetime_s,
            user=UserResponse.from_row(account),
        )


def is_form(request: Request) -> bool:
    """Whether the body is an OAuth2 password form, as Swagger's Authorize sends it."""
    return request.headers.get("content-type", "").lower().startswith(FORM_TYPES)


async def read_credentials(request: Request) -> LoginForm:
    """Reads JSON `{email, password}` or a form with `username` and `password`.

    Raises:
        Malformed: the body is neither.
    """
    if is_form(request):
        async with request.form(max_files=0, max_fields=20) as form:
            credentials: Any = {"email": form.get("username"), "password": form.get("password")}
    else:
        try:
            credentials = await request.json()
        except (ValueError, RecursionError):
            raise Malformed("the body is not valid JSON") from None
    try:
        return LoginForm.model_validate(credentials)
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False, include_context=False)
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in items]
        ) from None


LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": LoginForm.model_json_schema()},
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "username": {"type": "string", "maxLength": 1000},
                        "password": {"type": "string", "maxLength": 1000},
                    },
                }
            },
        },
    }
}


@router.post("/register", status_code=201, dependencies=[Public])
async def register(
    body: RegistrationForm, studio: StudioDep, ip: ClientAddressDep
) -> RegisterResponse:
    """Creates an account with the role `customer`."""
    account = await register_customer(studio.database, body, ip=ip)
    return RegisterResponse(user=UserResponse.from_row(account))


@router.post(
    "/login", dependencies=[Public], openapi_extra=LOGIN_BODY, response_model=SessionResponse
)
async def login(
    request: Request,
    credentials: Annotated[LoginForm, Depends(read_credentials)],
    studio: StudioDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    user_agent: UserAgentDep,
) -> SessionResponse | JSONResponse:
    """Opens a session. The answer to an OAuth2 form also has the field names of RFC 6749."""
    account, grant = await log_in(studio, credentials, ip=ip, user_agent=user_agent)
    answer = SessionResponse.of(tokens, account, grant)
    if not is_form(request):
        return answer
    standard = answer.model_dump(mode="json", exclude={"user"})
    return JSONResponse(standard | answer.model_dump(mode="json", by_alias=True))


@router.post("/refresh", dependencies=[Public])
async def refresh(
    body: RefreshRequest,
    studio: StudioDep,
    accounts: AccountsDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
) -> SessionResponse:
    """Returns the next pair of tokens; the refresh token in the body is used up."""
    grant = await refresh_session(studio, body.refresh_token, ip=ip)
    account = await accounts.find(grant.user_id, grant.session_id)
    if account is None:
        raise NotAuthenticated("the session has ended; sign in again")
    return SessionResponse.of(tokens, account, grant)


@router.post("/logout", status_code=204, response_class=Response)
async def logout(
    studio: StudioDep, user: Anyone, ip: ClientAddressDep, body: LogoutRequest | None = None
) -> None:
    """Ends the session of the refresh token or of the access token, or all of the account's."""
    if body is not None and body.everywhere and user is None:
        raise NotAuthenticated("to sign out everywhere, send an access token")
    if user is None and (body is None or body.refresh_token is None):
        raise NotAuthenticated("send an access token or a refresh token to name the session")
    if body is not None and body.refresh_token is not None:
        await close_session_of(studio, body.refresh_token, ip=ip)
    if user is not None:
        session_id = (await require_session(user)).session_id
        await close_session(studio, session_id, user.id, ip=ip)
        if body is not None and body.everywhere:
            await close_all_sessions(studio, user.id, actor_id=user.id, ip=ip)


@router.post("/password", status_code=204, response_class=Response)
async def change_own_password(
    body: PasswordForm, user: SignedIn, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """Changes the password and ends every other session of the account."""
    await change_password(studio, user.id, body, session_id=user.session_id, ip=ip)


@router.get("/me")
async def read_account(user: Customer) -> UserResponse:
    """Returns the account of the access token or API key; the role is the one that it grants."""
    return UserResponse.from_row(user)
