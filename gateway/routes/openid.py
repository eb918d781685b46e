"""Routes of signing in by an OpenID provider, where one is configured."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from pydantic import Field
from starlette.responses import RedirectResponse

from errors import NotAuthenticated, NotFound, StudioError
from gateway.deps import ClientAddressDep, Public, StudioDep, TokensDep
from gateway.routes.auth import SessionResponse, session_response
from gateway.wire import WireRequest
from integrations.openid import OpenIdProvider
from settings import Settings
from studio.accounts.accounts import Account
from studio.accounts.openid import (
    ATTEMPT_S,
    begin_login,
    exchange_code,
    finish_login,
    issue_code,
    sign_in,
)

PREFIX = "/api/auth/oidc"


@asynccontextmanager
async def keep_provider(app: FastAPI) -> AsyncIterator[None]:
    """The provider's connections live as long as the app."""
    provider = app.state.openid = open_provider(app.state.studio.settings)
    try:
        yield
    finally:
        if provider is not None:
            await provider.aclose()


def open_provider(settings: Settings) -> OpenIdProvider | None:
    """None where none is configured."""
    if settings.oidc_issuer is None:
        return None
    return OpenIdProvider(
        issuer=settings.oidc_issuer,
        client_id=settings.required("oidc_client_id"),
        client_secret=settings.required("oidc_client_secret"),
        redirect_uri=f"{settings.base_url}{PREFIX}/callback",
    )


router = APIRouter(prefix=PREFIX, tags=["auth"], lifespan=keep_provider)


async def get_provider(request: Request) -> OpenIdProvider:
    """The configured provider.

    Raises:
        NotFound: none is configured.
    """
    provider: OpenIdProvider | None = request.app.state.openid
    if provider is None:
        raise NotFound("this studio has no OpenID provider")
    return provider


ProviderDep = Annotated[OpenIdProvider, Depends(get_provider)]
Text = Annotated[str, Query(min_length=1, max_length=2000)]


@router.get(
    "/login", dependencies=[Public], status_code=302, response_class=RedirectResponse,
    responses={302: {"description": "to the provider"}},
)  # fmt: skip
async def login(studio: StudioDep, provider: ProviderDep) -> RedirectResponse:
    """Sends the browser to the provider; it returns to `callback`."""
    url, state = await begin_login(studio, provider)
    answer = RedirectResponse(url, status_code=302, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        cookie_name(studio.settings), state, max_age=ATTEMPT_S, path="/", httponly=True,
        samesite="lax", secure=studio.settings.has_tls,
    )  # fmt: skip
    return answer


@router.head("/login", dependencies=[Public], status_code=204, include_in_schema=False)
async def has_login(_: ProviderDep) -> Response:
    """Whether there is such a login: the page asks before it shows its button."""
    return Response(status_code=204)


def cookie_name(settings: Settings) -> str:
    """With TLS browsers refuse it from any other host or an insecure page."""
    return "__Host-studio-login" if settings.has_tls else "studio-login"


def began_here(request: Request, settings: Settings) -> str:
    """The state of the login that this browser has begun; empty where there is none."""
    return request.cookies.get(cookie_name(settings), "")


def forget_login(response: Response, settings: Settings) -> None:
    """The browser's part of the login is over."""
    response.delete_cookie(
        cookie_name(settings), path="/", httponly=True, samesite="lax", secure=settings.has_tls
    )


def is_navigation(request: Request) -> bool:
    """Whether a person's browser shows what is answered here."""
    mode = request.headers.get("sec-fetch-mode")
    return mode == "navigate" or (mode is None and "text/html" in request.headers.get("accept", ""))


def to_page(settings: Settings, fragment: str) -> RedirectResponse:
    """The page gets it by the fragment, which browsers send to no server and no log sees."""
    headers = {"Cache-Control": "no-store"}
    return RedirectResponse(f"{settings.base_url}/#{fragment}", status_code=303, headers=headers)


@router.get(
    "/callback", dependencies=[Public], response_model=SessionResponse,
    responses={303: {"description": "to the page, for a browser's navigation"}},
)  # fmt: skip
async def callback(
    request: Request,
    studio: StudioDep,
    provider: ProviderDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    response: Response,
    state: Text,
    code: Annotated[str | None, Query(max_length=2000)] = None,
) -> SessionResponse | RedirectResponse:
    """Only the browser that began the login can end it: at the page, or with a session as JSON."""

    async def finish() -> Account:
        began = began_here(request, studio.settings)
        if code is None or not hmac.compare_digest(began.encode(), state.encode()):
            raise NotAuthenticated("this browser has started no such login; start again")
        return await finish_login(studio, provider, code=code, state=state, ip=ip)

    if is_navigation(request):
        try:
            handed_over = await issue_code(studio, await finish(), state)
        except StudioError:
            return to_page(studio.settings, "signin-failed")
        return to_page(studio.settings, f"signin={handed_over}")
    found = await finish()
    account, signed_in = await sign_in(studio, found.id, found.token_version, ip=ip)
    forget_login(response, studio.settings)
    return session_response(tokens, account, signed_in)


class CodeRequest(WireRequest):
    """What the callback gave to the page."""

    code: Annotated[str, Field(min_length=1, max_length=100)]


@router.post("/session", dependencies=[Public])
async def exchange(
    request: Request,
    body: CodeRequest,
    studio: StudioDep,
    _: ProviderDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    response: Response,
) -> SessionResponse:
    """The page's code becomes a session: once, within a minute, in the browser that signed in."""
    state = began_here(request, studio.settings)
    account, signed_in = await exchange_code(studio, body.code, state=state, ip=ip)
    forget_login(response, studio.settings)
    return session_response(tokens, account, signed_in)
