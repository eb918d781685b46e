"""The PayPal site of the studio (live, sandbox or a simulator) and its credentials there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from settings import Settings


@dataclass(frozen=True)
class Site:
    """One PayPal site.

    Attributes:
        api: the URL of its API, without a trailing slash.
        cert_hosts: the hosts (`host` or `host:port`) of webhook certificates.
        cert_name: the name that such a certificate must be issued to.
    """

    api: str
    cert_hosts: frozenset[str]
    cert_name: str


LIVE = Site(
    "https://api-m.paypal.com",
    frozenset({"api.paypal.com", "api-m.paypal.com"}),
    "messageverificationcerts.paypal.com",
)
SANDBOX = Site(
    "https://api-m.sandbox.paypal.com",
    frozenset({"api.sandbox.paypal.com", "api-m.sandbox.paypal.com"}),
    "messageverificationcerts.sandbox.paypal.com",
)


@dataclass(frozen=True)
class PayPalAccount:
    """The site, the application's credentials there, and the webhook registered with it.

    Attributes:
        client_secret: returns the present secret.
        ca_file: a PEM file of the trusted roots of webhook certificates.
        postback: whether to ask PayPal about every signature, instead of verifying it here.
    """

    site: Site
    client_id: str
    client_secret: Callable[[], str]
    webhook_id: str
    ca_file: Path
    postback: bool = False


def paypal_account(settings: Settings) -> PayPalAccount | None:
    """The account of the settings; None if payments are off or no simulator is running."""
    url = settings.paypal_url
    if url is None or url == "off":
        return None
    sites = {"live": LIVE, "sandbox": SANDBOX}
    return PayPalAccount(
        site=sites.get(url) or simulator_site(url),
        client_id=settings.required("paypal_client_id"),
        client_secret=settings.secret("paypal_client_secret"),
        webhook_id=settings.required("paypal_webhook_id"),
        ca_file=settings.paypal_ca_file or Path(certifi.where()),
        postback=settings.paypal_webhook_verify == "postback",
    )


def simulator_site(url: str) -> Site:
    """A simulator on this machine: plain HTTP, with the sandbox's name in its certificates."""
    return Site(url.rstrip("/"), frozenset({urlsplit(url).netloc}), SANDBOX.cert_name)
