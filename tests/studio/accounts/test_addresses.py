"""E-mail addresses are stored in one form; what is no address is refused."""

import pytest

from errors import Invalid
from studio.accounts.addresses import normalise_email


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("  Ada@Example.COM ", "Ada@example.com"),
        ("admin@demo.studio", "admin@demo.studio"),
        ("ünï@example.com", "ünï@example.com"),
        ("a+b@sub.example.com", "a+b@sub.example.com"),
    ],
)
def test_how_addresses_are_stored(address: str, stored: str) -> None:
    assert normalise_email(address) == stored


@pytest.mark.parametrize(
    "text",
    ["", "a", "@b.com", "a@", "a@b", "a b@example.com", "a@exa mple.com", "a@b@example.com",
     "a@[127.0.0.1]", "a\n@example.com", "a@example.com\r\nBcc: x"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Invalid):
        normalise_email(text)
