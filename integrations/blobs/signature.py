"""Signatures of the local blob store's URLs: one key, one verb, one end, nothing else."""

import base64
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import Forbidden

Operation = Literal["get", "put"]
VERSION = "v1"
MAX_EXPIRY_DIGITS = 12


@dataclass(frozen=True)
class Grant:
    """What a signed URL allows; content type and size matter for `put` only."""

    operation: Operation
    key: str
    expires_at_s: int
    content_type: str = ""
    max_bytes: int = 0

    @property
    def seconds_left(self) -> int:
        """Until the URL expires."""
        return int(self.expires_at_s - time.time())

    def canonical(self) -> bytes:
        """Every field on a line of its own; none of them can hold a line break."""
        fields = (
            VERSION, self.operation, self.key, str(self.expires_at_s), self.content_type,
            str(self.max_bytes),
        )  # fmt: skip
        return "\n".join(fields).encode()


class BlobSigner:
    """HMAC-SHA256 under a key of its own, derived from the studio's secret."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [derive_key(secret) for secret in secrets]

    def sign(self, grant: Grant) -> str:
        """The query of a signed URL."""
        fields = {"op": grant.operation, "exp": str(grant.expires_at_s)}
        if grant.operation == "put":
            fields |= {"ct": grant.content_type, "max": str(grant.max_bytes)}
        return urlencode(fields | {"sig": self._signature(grant, self._keys[0])})

    def verify(self, operation: Operation, key: str, query: Mapping[str, str]) -> Grant:
        """What the query allows.

        Raises:
            Forbidden: unsigned, tampered with, for another verb, or expired.
        """
        expires, max_bytes = query.get("exp", ""), query.get("max", "0")
        if not all(is_short_number(text) for text in (expires, max_bytes)):
            raise Forbidden("the address is not signed")
        content_type = query.get("ct", "")
        grant = Grant(operation, key, int(expires), content_type, int(max_bytes))
        given = query.get("sig", "").encode("utf-8", "replace")
        right = (self._signature(grant, each).encode() for each in self._keys)
        if not any(hmac.compare_digest(given, signature) for signature in right):
            raise Forbidden("the signature of the address is not valid")
        if grant.expires_at_s <= time.time():
            raise Forbidden("the address has expired")
        return grant

    @staticmethod
    def _signature(grant: Grant, key: bytes) -> str:
        digest = hmac.digest(key, grant.canonical(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_short_number(text: str) -> bool:
    """Digits only, few enough for any time or size of ours."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_EXPIRY_DIGITS


def derive_key(secret: str) -> bytes:
    """A leaked blob key tells nothing of the secret that tokens are signed with."""
    return HKDF(SHA256(), length=32, salt=None, info=b"studio blob urls v1").derive(secret.encode())
