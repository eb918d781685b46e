"""Signing in by an OpenID provider ends at the page, with no token in any address."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from tests.support.fakes import make_settings
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdServer, running_provider
from tests.support.served import ServedStudio, serving_gateway
from tests.web.conftest import PATIENCE_MS


# Of the module, like the browser, and named before it: once Playwright's synchronous API is open,
# no other event loop can run in this thread.
@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdServer]:
    """Runs in a thread with its own event loop; the browser uses the loop of this thread."""
    providers: list[OpenIdServer] = []
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running_provider() as running:
            providers.append(running)
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    yield providers[0]
    ended.set()
    thread.join(10)


@pytest.fixture(scope="module")
def served(
    module_database_url: str,
    valkey_server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    provider: OpenIdServer,
) -> Iterator[ServedStudio]:
    settings = make_settings(
        module_database_url, valkey_server_url, tmp_path_factory.mktemp("openid") / "blobs",
        oidc_issuer=provider.issuer, oidc_client_id=CLIENT_ID,
        oidc_client_secret=SecretStr(CLIENT_SECRET),
    )  # fmt: skip
    with serving_gateway(settings) as serving:
        yield serving


@pytest.fixture
def tab(served: ServedStudio, provider: OpenIdServer, browser: Browser) -> Iterator[Page]:
    provider.claims = {}
    context = browser.new_context(base_url=served.url, locale="en-GB", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    opened.goto("/")
    yield opened
    context.close()


def go(tab: Page) -> list[str]:
    """Signs in at the provider and returns every address that the browser has requested."""
    addresses: list[str] = []
    tab.on("request", lambda request: addresses.append(request.url))
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_role("button", name="Sign in with your organisation").click()
    tab.wait_for_url("**/")
    return addresses


def test_a_person_is_signed_in_at_the_page(
    served: ServedStudio, provider: OpenIdServer, tab: Page
) -> None:
    addresses = go(tab)
    expect(tab.locator("#who-name")).to_have_text("Ada")
    session = tab.evaluate("JSON.parse(sessionStorage.getItem('studio.session'))")
    assert session["user"]["email"] == "Ada@example.com"
    assert any(address.startswith(provider.issuer) for address in addresses)
    secrets = (session["accessToken"], session["refreshToken"])
    assert not any(secret in address for secret in secrets for address in addresses)
    assert tab.url == f"{served.url}/" and tab.context.cookies() == []
    tab.reload()
    expect(tab.locator("#who-name")).to_have_text("Ada")


def test_a_login_that_fails_is_told_at_the_page(provider: OpenIdServer, tab: Page) -> None:
    provider.claims = {"aud": "another"}
    go(tab)
    expect(tab.locator("#account-notice")).to_contain_text("Signing in did not work")
    expect(tab.locator("#who-name")).to_be_hidden()


def test_a_code_of_another_browser_signs_nobody_in(tab: Page) -> None:
    """A link with an attacker's code would sign a victim in to the attacker's account."""
    tab.goto("/#signin=somebody-elses-code")
    tab.reload()
    expect(tab.locator("#account-notice")).to_contain_text("start again")
    expect(tab.locator("#who-name")).to_be_hidden()
