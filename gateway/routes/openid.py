"""Routes of signing in by an OpenID provider, where one is configured."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from starlette.responses import RedirectResponse

from errors import NotAuthenticated, NotFound
from gateway.deps import ClientAddressDep, Public, StudioDep, TokensDep
from gateway.routes.auth import SessionResponse, session_response
from integrations.openid import OpenIdProvider
from settings import Settings
from studio.openid import ATTEMPT_S, begin_login, finish_login

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


def cookie_name(settings: Settings) -> str:
    """With TLS browsers refuse it from any other host or an insecure page."""
    return "__Host-studio-login" if settings.has_tls else "studio-login"


@router.get("/callback", dependencies=[Public])
async def callback(
    request: Request,
    studio: StudioDep,
    provider: ProviderDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    response: Response,
    state: Text,
    code: Annotated[str | None, Query(max_length=2000)] = None,
) -> SessionResponse:
    """A session; only the browser that began the login can end it."""
    cookie = cookie_name(studio.settings)
    began = request.cookies.get(cookie, "")
    if code is None or not hmac.compare_digest(began.encode(), state.encode()):
        raise NotAuthenticated("this browser has begun no such login; begin anew")
    account, signed_in = await finish_login(studio, provider, code=code, state=state, ip=ip)
    response.delete_cookie(
        cookie, path="/", httponly=True, samesite="lax", secure=studio.settings.has_tls
    )
    return session_response(tokens, account, signed_in)
