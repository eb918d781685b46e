"""Verifies the signatures of PayPal's webhooks, by its certificate or by asking PayPal.

The signed text contains only a CRC32 of the body. Somebody who has received one event can make
another body with the same CRC32. So an event only says that something has changed; the studio reads
the order from PayPal before it writes anything about money.
"""

import base64
import binascii
import json
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from errors import Malformed
from integrations.paypal.paypal import PayPal

ALGORITHM = "SHA256withRSA"
PEM_END = b"-----END CERTIFICATE-----"
CERT_PATH = "/v1/notifications/certs/"
MAX_HEADER_CHARS = 1000
OLDEST = timedelta(days=4)
"""PayPal repeats an event for three days."""
CLOCK_SKEW = timedelta(minutes=5)
MAX_CACHED_KEYS = 16
KEY_LIFETIME = timedelta(hours=12)


class ForgedEvent(Malformed):
    """The event is not PayPal's, or was changed on its way."""


@dataclass(frozen=True)
class TransmissionHeaders:
    """The five headers of a transmission."""

    transmission_id: str
    transmission_time: str
    transmission_sig: str
    auth_algo: str
    cert_url: str

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "TransmissionHeaders":
        """The five headers of a request.

        Raises:
            ForgedEvent: one is missing or too long.
        """
        values = {name: headers.get(f"paypal-{name.replace('_', '-')}") for name in FIELDS}
        if any(not value or len(value) > MAX_HEADER_CHARS for value in values.values()):
            raise ForgedEvent("this is not a webhook of PayPal's")
        return cls(**{name: str(value) for name, value in values.items()})


FIELDS = tuple(TransmissionHeaders.__dataclass_fields__)


class WebhookVerifier:
    """Verifies transmissions to one webhook, and caches the keys of trusted certificates."""

    def __init__(self, paypal: PayPal) -> None:
        self._paypal = paypal
        self._account = paypal.account
        self._roots: Store | None = None
        self._keys: OrderedDict[str, tuple[RSAPublicKey, datetime]] = OrderedDict()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Verifies one transmission.

        Raises:
            ForgedEvent: it is not PayPal's.
            UpstreamFailed: PayPal can't be asked, or its certificate can't be fetched.
        """
        transmission = TransmissionHeaders.read(headers)
        require_recent(transmission.transmission_time)
        if self._account.postback:
            await self._ask(transmission, body)
            return
        if transmission.auth_algo != ALGORITHM:
            raise ForgedEvent("the algorithm of the signature is not the expected one")
        key = await self._trusted_key(transmission.cert_url)
        try:
            signature = base64.b64decode(transmission.transmission_sig, validate=True)
            key.verify(signature, self._message(transmission, body), PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise ForgedEvent("the signature does not match") from None

    def _message(self, transmission: TransmissionHeaders, body: bytes) -> bytes:
        """The text that PayPal signs."""
        parts = (
            transmission.transmission_id,
            transmission.transmission_time,
            self._account.webhook_id,
            str(zlib.crc32(body)),
        )
        return "|".join(parts).encode()

    async def _ask(self, transmission: TransmissionHeaders, body: bytes) -> None:
        """Asks PayPal whether it sent this event; raises as `verify`."""
        try:
            json.loads(body)  # the request to PayPal contains the event as one JSON value
        except ValueError:
            raise ForgedEvent("the event is not JSON") from None
        request = {name: getattr(transmission, name) for name in FIELDS}
        if not await self._paypal.verify_signature(
            request | {"webhook_id": self._account.webhook_id}, body
        ):
            raise ForgedEvent("PayPal doesn't know this event")

    async def _trusted_key(self, url: str) -> RSAPublicKey:
        """The key of the certificate at this address, cached or fetched and validated."""
        now = datetime.now(UTC)
        cached = self._keys.get(url)
        if cached is not None and cached[1] > now:
            return cached[0]
        self._require_paypal_url(url)
        leaf, *others = read_certificates(await self._paypal.get_certificate(url))
        key = self._validate(leaf, others, now)
        self._keys[url] = (key, min(leaf.not_valid_after_utc, now + KEY_LIFETIME))
        while len(self._keys) > MAX_CACHED_KEYS:
            self._keys.popitem(last=False)
        return key

    def _require_paypal_url(self, url: str) -> None:
        """Checks the certificate's address, which the sender of the event chose.

        Raises:
            ForgedEvent: it is not a plain path on one of PayPal's hosts.
        """
        site = self._account.site
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            raise ForgedEvent("the certificate's address is not valid") from None
        is_plain = not (parsed.userinfo or parsed.query or parsed.fragment)
        place = parsed.netloc.decode("ascii", "replace")
        if (
            parsed.scheme != httpx2.URL(site.api).scheme
            or place not in site.cert_hosts
            or not is_plain
            or not parsed.path.startswith(CERT_PATH)
            or ".." in parsed.path
        ):
            raise ForgedEvent("certificates are not fetched from there")

    def _validate(
        self, leaf: x509.Certificate, others: Sequence[x509.Certificate], now: datetime
    ) -> RSAPublicKey:
        """The leaf certificate's key.

        Raises:
            ForgedEvent: the certificate has no trusted root, or is issued to another name.
        """
        if self._roots is None:
            self._roots = Store(read_roots(self._account.ca_file.read_bytes()))
        name = x509.DNSName(self._account.site.cert_name)
        verifier = PolicyBuilder().store(self._roots).time(now).build_server_verifier(name)
        try:
            verifier.verify(leaf, list(others))
        except (VerificationError, ValueError):
            raise ForgedEvent("the certificate is not trusted") from None
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise ForgedEvent("the certificate has no RSA key")
        return key


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, the leaf first.

    Raises:
        ForgedEvent: it contains none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ForgedEvent("the certificate can't be read") from None


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """The readable certificates of a bundle; public bundles contain one with an invalid serial."""
    roots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in pem.split(PEM_END)[:-1]:
            with suppress(ValueError):
                roots.append(x509.load_pem_x509_certificate(block + PEM_END))
    return roots


def require_recent(time: str) -> None:
    """Checks the time that a transmission claims.

    Raises:
        ForgedEvent: it is long ago or in the future.
    """
    try:
        sent_at = datetime.fromisoformat(time)
    except ValueError:
        raise ForgedEvent("the transmission's time can't be read") from None
    now = datetime.now(UTC)
    if sent_at.tzinfo is None or not now - OLDEST < sent_at < now + CLOCK_SKEW:
        raise ForgedEvent("the transmission is too old")
