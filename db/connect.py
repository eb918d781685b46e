"""Connects to PostgreSQL; every client reads the TLS parameters of the URL in the same way."""

import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from errors import SetupError

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFIED = ("verify-ca", "verify-full")
DatabaseUrl = str | Callable[[], str]
TLS_NAMES = ("ssl", "sslmode", "sslrootcert", "sslcert", "sslkey")
UNSUPPORTED = (
    "channel_binding", "connect_timeout", "gssencmode", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "requiressl",
    "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcompression", "sslcrl",
    "sslcrldir", "sslpassword", "sslsni", "tcp_user_timeout",
)  # fmt: skip
"""Parameters of libpq that would be ignored, or sent to the server, which doesn't know them."""


async def connect(url: DatabaseUrl, **options: Any) -> Any:
    """Opens an asyncpg connection by a URL in the form of libpq.

    Args:
        url: `postgresql://…?sslmode=…&sslrootcert=…`; `sslrootcert=system`, or no `sslrootcert`
            with a mode that verifies, means the certificates that the machine trusts. A function
            gives the present URL where the password may change.
        options: other arguments of `asyncpg.connect`.

    Raises:
        SetupError: a TLS parameter has an unknown value.
        OSError, TimeoutError, asyncpg.PostgresError: no connection; `ssl.SSLError` is an OSError.
    """
    address, tls = read_url(url() if callable(url) else url)
    return await asyncpg.connect(address, **({} if tls is None else {"ssl": tls}), **options)


def read_url(url: str) -> tuple[str, ssl.SSLContext | str | None]:
    """Splits off the TLS parameters: the URL without them, and the value of `asyncpg`'s `ssl`.

    The value is None where the URL has none: then TLS is tried first and nothing is verified.

    Raises:
        SetupError: an unknown `sslmode`, a parameter that can't be obeyed, or a certificate file
            that can't be read.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    for name, _ in query:
        if name in UNSUPPORTED:
            raise SetupError(f"the database's URL: {name} is not supported; remove it")
    tls = {name: value for name, value in query if name in TLS_NAMES}
    left = urlencode([(name, value) for name, value in query if name not in TLS_NAMES])
    scheme = parts.scheme.partition("+")[0]
    address = urlunsplit((scheme, parts.netloc, parts.path, left, ""))
    mode = ssl_mode(url)
    if mode == "require" and "sslrootcert" in tls:
        mode = "verify-ca"  # as libpq does
    if mode in VERIFIED or (mode == "require" and "sslcert" in tls):
        return address, _context(mode, tls)
    if "sslcert" in tls:
        raise SetupError("the database's URL: sslcert needs an sslmode of require or verify-full")
    return address, mode


def ssl_mode(url: str) -> str | None:
    """The URL's `sslmode`; `ssl=` is SQLAlchemy's name for it.

    Raises:
        SetupError: there is no such mode.
    """
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    mode = query.get("sslmode") or query.get("ssl")
    if mode is not None and mode not in SSL_MODES:
        raise SetupError(f"the database's URL: sslmode must be one of {', '.join(SSL_MODES)}")
    return mode


def _context(mode: str, tls: dict[str, str]) -> ssl.SSLContext:
    roots = tls.get("sslrootcert")
    try:
        context = ssl.create_default_context(cafile=None if roots in (None, "system") else roots)
        if "sslcert" in tls:
            context.load_cert_chain(tls["sslcert"], tls.get("sslkey"))
    except OSError as error:
        raise SetupError(
            f"the database's URL: a certificate file can't be read: {error}"
        ) from error
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if mode in VERIFIED else ssl.CERT_NONE
    return context
