"""Whether a webhook is PayPal's own: its signature, checked here or by asking PayPal.

What is signed holds only a CRC32 of the body, which a forger who has seen one event can match with
another body. So an event is a hint to look again, and never itself a reason to believe in money.
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
"""PayPal sends an event again for three days."""
AHEAD = timedelta(minutes=5)
CERTIFICATES = 16
KEPT = timedelta(hours=12)


class Forged(Malformed):
    """The event is not PayPal's, or not as PayPal sent it."""


@dataclass(frozen=True)
class Signed:
    """The five headers of a transmission."""

    transmission_id: str
    transmission_time: str
    transmission_sig: str
    auth_algo: str
    cert_url: str

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Signed":
        """Raises:
        Forged: one is missing, or too long to be true.
        """
        found = {name: headers.get(f"paypal-{name.replace('_', '-')}") for name in SIGNED_FIELDS}
        if any(not value or len(value) > MAX_HEADER_CHARS for value in found.values()):
            raise Forged("this is no webhook of PayPal's")
        return cls(**{name: str(value) for name, value in found.items()})


SIGNED_FIELDS = tuple(Signed.__dataclass_fields__)


class WebhookVerifier:
    """Checks transmissions to one webhook; certificates are kept once they were trusted."""

    def __init__(self, paypal: PayPal) -> None:
        self._paypal = paypal
        self._account = paypal.account
        self._roots: Store | None = None
        self._keys: OrderedDict[str, tuple[RSAPublicKey, datetime]] = OrderedDict()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises:
        Forged: it must not be believed.
        UpstreamFailed: the certificate, or PayPal's opinion, can't be had now.
        """
        signed = Signed.read(headers)
        require_recent(signed.transmission_time)
        if self._account.postback:
            await self._ask(signed, body)
            return
        if signed.auth_algo != ALGORITHM:
            raise Forged("the signature's algorithm is not the agreed one")
        key = await self._trusted_key(signed.cert_url)
        try:
            signature = base64.b64decode(signed.transmission_sig, validate=True)
            key.verify(signature, self._message(signed, body), PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise Forged("the signature does not fit") from None

    def _message(self, signed: Signed, body: bytes) -> bytes:
        parts = (signed.transmission_id, signed.transmission_time, self._account.webhook_id)
        return "|".join((*parts, str(zlib.crc32(body)))).encode()

    async def _ask(self, signed: Signed, body: bytes) -> None:
        try:
            json.loads(body)  # so that it is one value inside our own document
        except ValueError:
            raise Forged("the event is no JSON") from None
        asked = {name: getattr(signed, name) for name in SIGNED_FIELDS}
        if not await self._paypal.verify_signature(
            asked | {"webhook_id": self._account.webhook_id}, body
        ):
            raise Forged("PayPal doesn't know this event")

    async def _trusted_key(self, url: str) -> RSAPublicKey:
        now = datetime.now(UTC)
        known = self._keys.get(url)
        if known is not None and known[1] > now:
            return known[0]
        self._require_ours(url)
        leaf, *others = read_certificates(await self._paypal.get_certificate(url))
        key = self._judge(leaf, others, now)
        self._keys[url] = (key, min(leaf.not_valid_after_utc, now + KEPT))
        while len(self._keys) > CERTIFICATES:
            self._keys.popitem(last=False)
        return key

    def _require_ours(self, url: str) -> None:
        """The address is the sender's word: only PayPal's own hosts, and nothing but a path."""
        site = self._account.site
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            raise Forged("the certificate's address is none") from None
        is_plain = not (parsed.userinfo or parsed.query or parsed.fragment)
        place = parsed.netloc.decode("ascii", "replace")
        if (
            parsed.scheme != httpx2.URL(site.api).scheme
            or place not in site.cert_hosts
            or not is_plain
            or not parsed.path.startswith(CERT_PATH)
            or ".." in parsed.path
        ):
            raise Forged("certificates are not fetched from there")

    def _judge(
        self, leaf: x509.Certificate, others: Sequence[x509.Certificate], now: datetime
    ) -> RSAPublicKey:
        """The leaf's key, where it leads to a trusted root and is made out to the right name."""
        if self._roots is None:
            self._roots = Store(read_roots(self._account.ca_file.read_bytes()))
        name = x509.DNSName(self._account.site.cert_name)
        verifier = PolicyBuilder().store(self._roots).time(now).build_server_verifier(name)
        try:
            verifier.verify(leaf, list(others))
        except (VerificationError, ValueError):
            raise Forged("the certificate is not to be trusted") from None
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Forged("the certificate has no RSA key")
        return key


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Raises:
    Forged: there is none in it.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Forged("the certificate can't be read") from None


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """All that can be read: the public bundles hold one whose serial number is no valid one."""
    roots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in pem.split(PEM_END)[:-1]:
            with suppress(ValueError):
                roots.append(x509.load_pem_x509_certificate(block + PEM_END))
    return roots


def require_recent(time: str) -> None:
    """Raises:
    Forged: the transmission claims to be from long ago, or from the future.
    """
    try:
        sent = datetime.fromisoformat(time)
    except ValueError:
        raise Forged("the transmission's time can't be read") from None
    now = datetime.now(UTC)
    if sent.tzinfo is None or not now - OLDEST < sent < now + AHEAD:
        raise Forged("the transmission is too old")
