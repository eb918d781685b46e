"""Which PayPal the studio talks to, and as whom: live, sandbox or a simulator."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from settings import Settings


@dataclass(frozen=True)
class Site:
    """One PayPal.

    Attributes:
        api: where its API is, without a trailing slash.
        cert_hosts: the only places (`host` or `host:port`) webhook certificates come from.
        cert_name: whom such a certificate must be made out to.
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
        ca_file: PEM of the roots that webhook certificates must lead to.
        postback: whether PayPal is asked about every signature, instead of checking it here.
    """

    site: Site
    client_id: str
    client_secret: str
    webhook_id: str
    ca_file: Path
    postback: bool = False


def paypal_account(settings: Settings) -> PayPalAccount | None:
    """What the settings say; None where payments are off or no simulator was started."""
    url = settings.paypal_url
    if url is None or url == "off":
        return None
    known = {"live": LIVE, "sandbox": SANDBOX}
    return PayPalAccount(
        site=known.get(url) or simulator_site(url),
        client_id=settings.required("paypal_client_id"),
        client_secret=settings.required("paypal_client_secret"),
        webhook_id=settings.required("paypal_webhook_id"),
        ca_file=settings.paypal_ca_file or Path(certifi.where()),
        postback=settings.paypal_webhook_verify == "postback",
    )


def simulator_site(url: str) -> Site:
    """A PayPal on this machine: plain HTTP, the sandbox's name in its certificates."""
    return Site(url.rstrip("/"), frozenset({urlsplit(url).netloc}), SANDBOX.cert_name)
