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
        SetupError: an unknown `sslmode`, or a certificate file that can't be read.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    tls = {name: value for name, value in query if name in TLS_NAMES}
    left = urlencode([(name, value) for name, value in query if name not in TLS_NAMES])
    scheme = parts.scheme.partition("+")[0]
    address = urlunsplit((scheme, parts.netloc, parts.path, left, ""))
    mode = ssl_mode(url)
    if mode in VERIFIED:
        return address, _verifying(mode, tls)
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


def _verifying(mode: str, tls: dict[str, str]) -> ssl.SSLContext:
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
    return context
