"""The PayPal site and credentials of the settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from integrations.paypal.account import LIVE, SANDBOX, Site, paypal_account
from settings import Settings

CREDENTIALS: dict[str, Any] = {
    "paypal_client_id": "id", "paypal_client_secret": "secret", "paypal_webhook_id": "webhook",
}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("live", LIVE),
        ("sandbox", SANDBOX),
        (
            "http://127.0.0.1:9/",
            Site("http://127.0.0.1:9", frozenset({"127.0.0.1:9"}), SANDBOX.cert_name),
        ),
    ],
)
def test_the_site_of_the_settings(url: str, site: Site) -> None:
    account = paypal_account(Settings(paypal_url=url, **CREDENTIALS))
    assert account is not None and account.site == site
    assert (account.client_id, account.webhook_id, account.postback) == ("id", "webhook", False)


def test_payments_may_be_off() -> None:
    assert paypal_account(Settings(paypal_url="off")) is None
    assert paypal_account(Settings()) is None


def test_a_site_needs_credentials() -> None:
    with pytest.raises(ValidationError, match="STUDIO_PAYPAL_CLIENT_ID"):
        Settings(paypal_url="sandbox")
