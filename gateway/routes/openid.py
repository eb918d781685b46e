"""Routes of signing in by an OpenID provider, if one is configured."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from starlette.responses import RedirectResponse

from errors import NotAuthenticated, NotFound, StudioError
from gateway.deps import ClientAddressDep, Public, StudioDep, TokensDep, UserAgentDep
from gateway.resources import resources_of
from gateway.routes.auth import SessionResponse
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

router = APIRouter(prefix="/api/auth/oidc", tags=["auth"])


async def get_provider(request: Request) -> OpenIdProvider:
    """The configured provider.

    Raises:
        NotFound: no provider is configured.
    """
    provider = resources_of(request).openid
    if provider is None:
        raise NotFound("this studio has no OpenID provider")
    return provider


ProviderDep = Annotated[OpenIdProvider, Depends(get_provider)]
Text = Annotated[str, Query(min_length=1, max_length=2000)]


@router.get(
    "/login", dependencies=[Public], status_code=302, response_class=RedirectResponse,
    responses={302: {"description": "redirect to the provider"}},
)  # fmt: skip
async def begin_openid_login(studio: StudioDep, provider: ProviderDep) -> RedirectResponse:
    """Redirects the browser to the provider, which sends it back to `callback`."""
    url, state = await begin_login(studio, provider)
    answer = RedirectResponse(url, status_code=302, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        cookie_name(studio.settings), state, max_age=ATTEMPT_S, path="/", httponly=True,
        samesite="lax", secure=studio.settings.has_tls,
    )  # fmt: skip
    return answer


@router.head("/login", dependencies=[Public], status_code=204, include_in_schema=False)
async def has_login(_: ProviderDep) -> Response:
    """Answers 204 if a provider is configured; the page checks this before it shows the button."""
    return Response(status_code=204)


def cookie_name(settings: Settings) -> str:
    """The cookie's name; `__Host-` makes browsers accept it only over TLS and from this host."""
    return "__Host-studio-login" if settings.has_tls else "studio-login"


def login_state(request: Request, settings: Settings) -> str:
    """The state of the login that this browser has started; empty if it has started none."""
    return request.cookies.get(cookie_name(settings), "")


def forget_login(response: Response, settings: Settings) -> None:
    """Deletes the login's cookie."""
    response.delete_cookie(
        cookie_name(settings), path="/", httponly=True, samesite="lax", secure=settings.has_tls
    )


def is_navigation(request: Request) -> bool:
    """Whether a browser will display the answer as a page."""
    mode = request.headers.get("sec-fetch-mode")
    return mode == "navigate" or (mode is None and "text/html" in request.headers.get("accept", ""))


def to_page(settings: Settings, fragment: str) -> RedirectResponse:
    """Redirects to the page; browsers send the fragment to no server, so no log records it."""
    headers = {"Cache-Control": "no-store"}
    return RedirectResponse(f"{settings.base_url}/#{fragment}", status_code=303, headers=headers)


@router.get(
    "/callback", dependencies=[Public], response_model=SessionResponse,
    responses={303: {"description": "redirect to the page, if a browser navigates"}},
)  # fmt: skip
async def finish_openid_login(
    request: Request,
    studio: StudioDep,
    provider: ProviderDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    user_agent: UserAgentDep,
    response: Response,
    state: Text,
    code: Annotated[str | None, Query(max_length=2000)] = None,
) -> SessionResponse | RedirectResponse:
    """Finishes a login in the browser that started it.

    A browser that navigates is redirected to the page; other clients get a session as JSON.
    """

    async def finish() -> Account:
        own_state = login_state(request, studio.settings)
        if code is None or not hmac.compare_digest(own_state.encode(), state.encode()):
            raise NotAuthenticated("this browser has not started this login; sign in again")
        return await finish_login(studio, provider, code=code, state=state, ip=ip)

    if is_navigation(request):
        try:
            page_code = await issue_code(studio, await finish(), state)
        except StudioError:
            return to_page(studio.settings, "signin-failed")
        return to_page(studio.settings, f"signin={page_code}")
    account = await finish()
    account, grant = await sign_in(
        studio, account.id, account.token_version, ip=ip, user_agent=user_agent
    )
    forget_login(response, studio.settings)
    return SessionResponse.of(tokens, account, grant)


class CodeRequest(WireRequest):
    """The code that the callback sent to the page."""

    code: Annotated[str, Field(min_length=1, max_length=100)]


@router.post("/session", dependencies=[Public])
async def exchange_openid_code(
    request: Request,
    body: CodeRequest,
    studio: StudioDep,
    _: ProviderDep,
    tokens: TokensDep,
    ip: ClientAddressDep,
    user_agent: UserAgentDep,
    response: Response,
) -> SessionResponse:
    """Exchanges the page's code for a session: once, within a minute, in the same browser."""
    state = login_state(request, studio.settings)
    account, grant = await exchange_code(
        studio, body.code, state=state, ip=ip, user_agent=user_agent
    )
    forget_login(response, studio.settings)
    return SessionResponse.of(tokens, account, grant)
