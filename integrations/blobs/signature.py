"""Signs the local blob store's URLs: each is valid for one key, one method and a limited time."""

import base64
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import Forbidden
from secret_files import Following

Operation = Literal["get", "put"]
Secrets = Sequence[str] | Callable[[], Sequence[str]]
"""The secrets of the signatures, or a function that returns the present ones."""
VERSION = "v1"
MAX_EXPIRY_DIGITS = 12


@dataclass(frozen=True)
class Grant:
    """The permission in a signed URL; content type and size are for `put` only."""

    operation: Operation
    key: str
    expires_at_s: int
    content_type: str = ""
    max_bytes: int = 0

    @property
    def seconds_left(self) -> int:
        """The seconds until the URL expires."""
        return int(self.expires_at_s - time.time())

    def canonical(self) -> bytes:
        """The signed text: every field on a line of its own; no field can contain a line break."""
        fields = (
            VERSION, self.operation, self.key, str(self.expires_at_s), self.content_type,
            str(self.max_bytes),
        )  # fmt: skip
        return "\n".join(fields).encode()


class BlobSigner:
    """Signs with HMAC-SHA256 and keys that are derived from the studio's secrets."""

    def __init__(self, secrets: Secrets) -> None:
        """Of the secrets, the first signs and all verify."""
        present = secrets if callable(secrets) else lambda: secrets
        self._keys = Following(present, lambda texts: [derive_key(text) for text in texts])

    def sign(self, grant: Grant) -> str:
        """The query string of a signed URL."""
        fields = {"op": grant.operation, "exp": str(grant.expires_at_s)}
        if grant.operation == "put":
            fields |= {"ct": grant.content_type, "max": str(grant.max_bytes)}
        return urlencode(fields | {"sig": self._signature(grant, self._keys()[0])})

    def verify(self, operation: Operation, key: str, query: Mapping[str, str]) -> Grant:
        """The grant of a signed query string.

        Raises:
            Forbidden: it is unsigned, changed, for another method, or expired.
        """
        expires, max_bytes = query.get("exp", ""), query.get("max", "0")
        if not all(is_short_number(text) for text in (expires, max_bytes)):
            raise Forbidden("the address is not signed")
        content_type = query.get("ct", "")
        grant = Grant(operation, key, int(expires), content_type, int(max_bytes))
        signature = query.get("sig", "").encode("utf-8", "replace")
        valid = (self._signature(grant, signing_key).encode() for signing_key in self._keys())
        if not any(hmac.compare_digest(signature, expected) for expected in valid):
            raise Forbidden("the signature of the address is not valid")
        if grant.expires_at_s <= time.time():
            raise Forbidden("the address has expired")
        return grant

    @staticmethod
    def _signature(grant: Grant, key: bytes) -> str:
        digest = hmac.digest(key, grant.canonical(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_short_number(text: str) -> bool:
    """Whether the text is a number of few digits."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_EXPIRY_DIGITS


def derive_key(secret: str) -> bytes:
    """A signing key, from which the secret that also signs access tokens can't be derived."""
    return HKDF(SHA256(), length=32, salt=None, info=b"studio blob urls v1").derive(secret.encode())
