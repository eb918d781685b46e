"""Signatures of the local store's URLs."""

import time
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from errors import Forbidden
from integrations.blobs.signature import BlobSigner, Grant, is_short_number

SIGNER = BlobSigner(["the current secret"])


def query_of(signer: BlobSigner, grant: Grant) -> dict[str, str]:
    return dict(parse_qsl(signer.sign(grant)))


def grant(**changes: object) -> Grant:
    put = Grant("put", "uploads/a.png", int(time.time()) + 60, "image/png", 100)
    return replace(put, **changes)  # type: ignore[arg-type]


def test_a_signed_query_is_its_grant() -> None:
    allowed = grant()
    assert SIGNER.verify("put", allowed.key, query_of(SIGNER, allowed)) == allowed
    assert 58 <= allowed.seconds_left <= 60


@pytest.mark.parametrize(
    "changes",
    [{"max": "1000"}, {"ct": "text/html"}, {"exp": "99999999999"}, {"exp": ""}, {"sig": ""},
     {"exp": "-1"}, {"max": "\u0661"}],
)  # fmt: skip
def test_a_changed_query_is_refused(changes: dict[str, str]) -> None:
    query = query_of(SIGNER, grant()) | changes
    with pytest.raises(Forbidden):
        SIGNER.verify("put", "uploads/a.png", query)


def test_a_signature_is_for_one_key_one_operation_and_a_time() -> None:
    query = query_of(SIGNER, grant())
    with pytest.raises(Forbidden):
        SIGNER.verify("put", "uploads/b.png", query)
    with pytest.raises(Forbidden):
        SIGNER.verify("get", "uploads/a.png", query)
    with pytest.raises(Forbidden, match="expired"):
        SIGNER.verify("put", "uploads/a.png", query_of(SIGNER, grant(expires_at_s=1)))


def test_the_previous_secret_verifies_and_signs_no_more() -> None:
    both = BlobSigner(["the next secret", "the current secret"])
    allowed = grant()
    assert both.verify("put", allowed.key, query_of(SIGNER, allowed)) == allowed
    with pytest.raises(Forbidden):
        SIGNER.verify("put", allowed.key, query_of(both, allowed))


def test_short_numbers() -> None:
    assert is_short_number("123456789012") and not is_short_number("1234567890123")
    assert not any(map(is_short_number, ("", "1.0", "+1", "\u0661")))
