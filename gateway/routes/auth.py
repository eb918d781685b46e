"""Routes of signing up, in, on and out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, Field, ValidationError
from starlette.responses import JSONResponse

from errors import Invalid, Malformed, NotAuthenticated
from gateway.auth import AccessTokens
from gateway.deps import (
    AccountsDep,
    Anyone,
    ClientAddressDep,
    Customer,
    Public,
    StudioDep,
    TokensDep,
)
from gateway.wire import WireRequest, WireResponse
from studio.accounts.accounts import Account, create_user, normalise_email
from studio.accounts.login import change_password, log_in
from studio.accounts.passwords import check_password_rules
from studio.accounts.sessions import (
    SessionGrant,
    close_all_sessions,
    close_session,
    close_session_of,
    refresh_session,
)

router = APIRouter(prefix="/api/auth", tags=["auth"])

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def valid_email(email: str) -> str:
    """The rule of `studio.accounts.accounts`, told as a field error."""
    try:
        return normalise_email(email)
    except Invalid as error:
        raise ValueError(error.detail) from None


def valid_password(password: str) -> str:
    """The rules of `studio.accounts.passwords`, told as a field error."""
    try:
        check_password_rules(password)
    except Invalid as error:
        raise ValueError(error.detail) from None
    return password


class RegisterRequest(WireRequest):
    """A new customer."""

    email: Annotated[str, Field(max_length=320), AfterValidator(valid_email)]
    password: Annotated[str, Field(max_length=1000), AfterValidator(valid_password)]
    name: str | None = Field(default=None, max_length=200)


class LoginRequest(WireRequest):
    """What an account proves itself with; not checked for form, so that nothing is told."""

    email: str = Field(max_length=1000)
    password: str = Field(max_length=1000)


class RefreshRequest(WireRequest):
    """The refresh token that was given last."""

    refresh_token: str = Field(max_length=200)


class LogoutRequest(WireRequest):
    """The session to end; without a token it is the one of the access token."""

    refresh_token: str | None = Field(default=None, max_length=200)
    everywhere: bool = False


class PasswordRequest(WireRequest):
    """A new password, in exchange for the one that holds."""

    current_password: str = Field(max_length=1000)
    new_password: Annotated[str, Field(max_length=1000), AfterValidator(valid_password)]


class UserResponse(WireResponse):
    """An account, to itself and to admins."""

    id: UUID
    email: str
    name: str | None
    role: str

    @classmethod
    def of(cls, account: Account) -> "UserResponse":
        """Account -> wire."""
        return cls(id=account.id, email=account.email, name=account.name, role=account.role)


class RegisterResponse(WireResponse):
    """The account that was made."""

    user: UserResponse


class SessionResponse(WireResponse):
    """The tokens of a session: one to act with, one to continue with."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int
    user: UserResponse


def session_response(
    tokens: AccessTokens, account: Account, signed_in: SessionGrant
) -> SessionResponse:
    """Adds a fresh access token to a session."""
    version = account.token_version
    return SessionResponse(
        access_token=tokens.issue(account.id, account.role, signed_in.session_id, version),
        refresh_token=signed_in.refresh_token,
        expires_in=tokens.lifetime_s,
        user=UserResponse.of(account),
    )


def is_form(request: Request) -> bool:
    """Whether the body is an OAuth2 password form, as Swagger's Authorize sends it."""
    return request.headers.get("content-type", "").lower().startswith(FORM_TYPES)


async def read_credentials(request: Request) -> LoginRequest:
    """JSON `{email, password}` or a form with `username` and `password`.

    Raises:
        Malformed: neither can be read.
    """
    if is_form(request):
        async with request.form(max_files=0, max_fields=20) as form:
            given: object = {"email": form.get("username"), "password": form.get("password")}
    else:
        try:
            given = await request.json()
        except (ValueError, RecursionError):
            raise Malformed("the body is not valid JSON") from None
    try:
        return LoginRequest.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in found]
        ) from None


LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": LoginRequest.model_json_schema()},
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
    body: RegisterRequest, studio: StudioDep, ip: ClientAddressDep
) -> RegisterResponse:
    """A new account with the role `customer`."""
    account = await create_user(
        studio.database, email=body.email, password=body.password, name=body.name, ip=ip
    )
    return RegisterResponse(user=UserResponse.of(account))


@router.post(
    "/login", dependencies=[Public], openapi_extra=LOGIN_BODY, response_model=SessionResponse
)
async def login(
    request: Request,
    credentials: Annotated[LoginRequest, Depends(read_credentials)],
    studio: StudioDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
) -> SessionResponse | JSONResponse:
    """A session; to an OAuth2 form the names of RFC 6749 are added."""
    account, signed_in = await log_in(
        studio, email=credentials.email, password=credentials.password, ip=ip
    )
    answer = session_response(tokens, account, signed_in)
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
    """The next pair of tokens; the one given is spent."""
    signed_in = await refresh_session(studio, body.refresh_token, ip=ip)
    account = await accounts.find(signed_in.user_id, signed_in.session_id)
    if account is None:
        raise NotAuthenticated("the session has ended; sign in again")
    return session_response(tokens, account, signed_in)


@router.post("/logout", status_code=204, response_class=Response)
async def logout(
    studio: StudioDep, user: Anyone, ip: ClientAddressDep, body: LogoutRequest | None = None
) -> None:
    """Ends the session of the refresh token, of the access token, or all of the account's."""
    if body is not None and body.everywhere and user is None:
        raise NotAuthenticated("to sign out everywhere, send an access token")
    if user is None and (body is None or body.refresh_token is None):
        raise NotAuthenticated("say which session: an access or a refresh token")
    if body is not None and body.refresh_token is not None:
        await close_session_of(studio, body.refresh_token, ip=ip)
    if user is not None:
        await close_session(studio, user.session_id, user.id, ip=ip)
        if body is not None and body.everywhere:
            await close_all_sessions(studio, user.id, actor_id=user.id, ip=ip)


@router.post("/password", status_code=204, response_class=Response)
async def change_own_password(
    body: PasswordRequest, user: Customer, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """A new password; every other session of the account ends."""
    await change_password(
        studio, user.id, current=body.current_password, new=body.new_password,
        session_id=user.session_id, ip=ip,
    )  # fmt: skip


@router.get("/me")
async def me(user: Customer) -> UserResponse:
    """Who the access token stands for."""
    return UserResponse(id=user.id, email=user.email, name=user.name, role=user.role)
