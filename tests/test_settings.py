"""Settings that contradict each other are refused by name, before anything starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from errors import SetupError
from integrations.paypal.account import LIVE, SANDBOX, paypal_account
from settings import Settings, load_settings

ACCOUNT = {
    "paypal_client_id": "id", "paypal_client_secret": "secret", "paypal_webhook_id": "WH1",
}  # fmt: skip
PRODUCTION = {
    "env": "production", "database_url": "postgresql://db/x?sslmode=verify-full",
    "redis_url": "rediss://cache", "blob_url": "https://blobs.example/c",
    "jwt_secret": "k3Yq8sVw0ZrT5uNb1LxHc7JdPm2RfAg9",
    "public_url": "https://studio.example",
}  # fmt: skip


@pytest.mark.parametrize(("site", "expected"), [("live", LIVE), ("sandbox", SANDBOX)])
def test_production_takes_a_real_paypal(site: str, expected: Any) -> None:
    values: dict[str, Any] = PRODUCTION | ACCOUNT | {"paypal_url": site}
    account = paypal_account(Settings(**values))
    assert account is not None and account.site == expected


def test_production_may_sell_nothing() -> None:
    values: dict[str, Any] = PRODUCTION | {"paypal_url": "off"}
    assert paypal_account(Settings(**values)) is None


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8100", "https://api-m.paypal.com"])
def test_production_refuses_the_simulator(url: str | None) -> None:
    values: dict[str, Any] = PRODUCTION | ACCOUNT | {"paypal_url": url}
    with pytest.raises(ValidationError, match="STUDIO_PAYPAL_URL"):
        Settings(**values)


@pytest.mark.parametrize("name", ACCOUNT)
def test_an_account_without_a_part_is_named(name: str) -> None:
    values: dict[str, Any] = ACCOUNT | {"paypal_url": "sandbox", name: None}
    with pytest.raises(ValidationError, match=f"STUDIO_{name.upper()}"):
        Settings(**values)


def test_credentials_go_to_paypal_or_this_machine_only() -> None:
    for url in ("https://paypal.evil.example", "http://10.0.0.1:80", "paypal"):
        values: dict[str, Any] = ACCOUNT | {"paypal_url": url}
        with pytest.raises(ValidationError, match="STUDIO_PAYPAL_URL"):
            Settings(**values)


WHOLE = PRODUCTION | {"paypal_url": "off"}


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"env"}))
def test_production_takes_nothing_embedded(name: str) -> None:
    values: dict[str, Any] = WHOLE | {name: None}
    with pytest.raises(ValidationError, match=f"STUDIO_{name.upper()}"):
        Settings(**values)


@pytest.mark.parametrize("name", ["jwt_secret", "jwt_previous_secret"])
def test_a_short_secret_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"STUDIO_{name.upper()}", "tooshort")
    with pytest.raises(SetupError, match=f"STUDIO_{name.upper()} must have at least 32") as error:
        load_settings()
    assert "tooshort" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("public_url", "http://studio.example", "STUDIO_PUBLIC_URL of https"),
        ("blob_url", "file:///srv/blobs", "STUDIO_BLOB_URL that every node reaches"),
        ("jwt_secret", "a" * 32, "STUDIO_JWT_SECRET is too regular"),
        ("jwt_previous_secret", "ab" * 20, "STUDIO_JWT_PREVIOUS_SECRET is too regular"),
        ("database_url", "postgresql://db/x", "sslmode=verify-full in STUDIO_DATABASE_URL"),
        ("database_url", "postgresql://db/x?sslmode=require", "STUDIO_DATABASE_URL"),
        ("redis_url", "redis://cache", "STUDIO_REDIS_URL of rediss"),
        ("redis_url", "rediss://cache?ssl_cert_reqs=none", "certificates verified"),
    ],
)
def test_production_refuses_what_is_open(name: str, value: str, message: str) -> None:
    values: dict[str, Any] = WHOLE | {name: value}
    with pytest.raises(ValidationError, match=message):
        Settings(**values)


def test_servers_without_tls_are_taken_on_this_machine_and_on_an_encrypted_network() -> None:
    plain: dict[str, Any] = {"database_url": "postgresql://db/x", "redis_url": "redis://cache"}
    Settings(**(WHOLE | plain | {"private_network": True}))
    local: dict[str, Any] = {
        "database_url": "postgresql://127.0.0.1/x", "redis_url": "redis://localhost",
    }  # fmt: skip
    Settings(**(WHOLE | local))
    sockets: dict[str, Any] = {
        "database_url": "postgresql:///x?host=/run/postgresql", "redis_url": "unix:///run/valkey",
    }  # fmt: skip
    Settings(**(WHOLE | sockets))


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("https://shop.example", ("https://shop.example",)),
        (" https://Shop.example:443/ ,http://localhost:3000,",
         ("https://shop.example", "http://localhost:3000")),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
    ],
)  # fmt: skip
def test_origins_are_read_as_browsers_send_them(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STUDIO_CORS_ORIGINS", text)
    assert load_settings().cors_origins == origins


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*", "name each shop's origin"),
        ("https://*.shop.example", "name each shop's origin"),
        ("shop.example", "expected https://host"),
        ("https://shop.example/page", "expected https://host"),
        ("https://shop.example?x", "expected https://host"),
        ("https://user@shop.example", "expected https://host"),
        ("ftp://shop.example", "expected https://host"),
        ("https://", "expected https://host"),
        ("null", "expected https://host"),
        ("https://käse.example", "xn--"),
        ("https://shop.example:port", "ort"),
    ],
)
def test_only_exact_origins_are_taken(
    monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setenv("STUDIO_CORS_ORIGINS", f"https://good.example,{text}")
    with pytest.raises(SetupError, match=f"STUDIO_CORS_ORIGINS.*{reason}"):
        load_settings()


def test_production_lets_pages_in_that_nobody_can_change_on_the_way() -> None:
    good: dict[str, Any] = WHOLE | {"cors_origins": "https://shop.example,http://localhost:3000"}
    assert len(Settings(**good).cors_origins) == 2
    bad: dict[str, Any] = WHOLE | {"cors_origins": "http://shop.example"}
    with pytest.raises(ValidationError, match="in STUDIO_CORS_ORIGINS: http:"):
        Settings(**bad)
