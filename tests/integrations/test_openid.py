"""The OpenID client: secrets of an attempt, and what an ID token must claim."""

from typing import Any

import pytest

from integrations.openid import LoginAttempt, OpenIdProvider

CLAIMS = {"aud": "studio", "sub": "subject", "email": "a@example.com", "email_verified": True}


@pytest.fixture
def provider() -> OpenIdProvider:
    return OpenIdProvider(
        issuer="https://id.example", client_id="studio", client_secret=lambda: "secret",
        redirect_uri="https://studio.example/callback",
    )  # fmt: skip


def test_every_secret_of_an_attempt_is_new() -> None:
    attempts = [LoginAttempt.begin() for _ in range(10)]
    secrets = {text for item in attempts for text in (item.state, item.nonce, item.verifier)}
    assert len(secrets) == 30 and min(map(len, secrets)) >= 43


@pytest.mark.parametrize(
    ("changes", "email"),
    [({}, "a@example.com"), ({"email_verified": "true"}, None), ({"email_verified": False}, None),
     ({"email": 7}, None)],
)  # fmt: skip
async def test_only_a_verified_address_counts(
    provider: OpenIdProvider, changes: dict[str, Any], email: str | None
) -> None:
    identity = provider._identify(CLAIMS | changes)
    assert (identity.issuer, identity.subject, identity.email) == (
        "https://id.example", "subject", email,
    )  # fmt: skip
    await provider.aclose()


@pytest.mark.parametrize(
    "changes", [{"aud": ["studio", "other"]}, {"azp": "other"}, {"sub": "x" * 256}, {"sub": 7}]
)
async def test_tokens_for_others_are_refused(
    provider: OpenIdProvider, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        provider._identify(CLAIMS | changes)
    await provider.aclose()
