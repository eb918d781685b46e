"""One way to connect to PostgreSQL: what the URL says about TLS means the same to every client."""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from errors import SetupError

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFIED = ("verify-ca", "verify-full")
TLS_NAMES = ("ssl", "sslmode", "sslrootcert", "sslcert", "sslkey")


async def connect(url: str, **options: Any) -> Any:
    """A connection of asyncpg, by a URL as libpq and the providers write it.

    Args:
        url: `postgresql://…?sslmode=…&sslrootcert=…`; `sslrootcert=system`, or none with a mode
            that verifies, means the certificates that the machine trusts.
        options: what else `asyncpg.connect` takes.

    Raises:
        SetupError: the URL says something about TLS that does not exist.
        OSError, TimeoutError, asyncpg.PostgresError: no connection; `ssl.SSLError` is an OSError.
    """
    address, tls = read_url(url)
    return await asyncpg.connect(address, **({} if tls is None else {"ssl": tls}), **options)


def read_url(url: str) -> tuple[str, ssl.SSLContext | str | None]:
    """The URL without its TLS parameters, and what `asyncpg.connect(ssl=…)` makes of them.

    None where the URL says nothing: then TLS is tried first and nothing is verified.

    Raises:
        SetupError: an unknown `sslmode`, or a certificate file that can't be read.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = {name: value for name, value in query if name in TLS_NAMES}
    left = urlencode([(name, value) for name, value in query if name not in TLS_NAMES])
    scheme = parts.scheme.partition("+")[0]
    address = urlunsplit((scheme, parts.netloc, parts.path, left, ""))
    mode = ssl_mode(url)
    if mode in VERIFIED:
        return address, _verifying(mode, given)
    return address, mode


def ssl_mode(url: str) -> str | None:
    """What the URL asks for, in libpq's words; `ssl=` is SQLAlchemy's name for `sslmode=`.

    Raises:
        SetupError: there is no such mode.
    """
    given = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    mode = given.get("sslmode") or given.get("ssl")
    if mode is not None and mode not in SSL_MODES:
        raise SetupError(f"the database's URL: sslmode must be one of {', '.join(SSL_MODES)}")
    return mode


def _verifying(mode: str, given: dict[str, str]) -> ssl.SSLContext:
    roots = given.get("sslrootcert")
    try:
        context = ssl.create_default_context(cafile=None if roots in (None, "system") else roots)
        if "sslcert" in given:
            context.load_cert_chain(given["sslcert"], given.get("sslkey"))
    except OSError as error:
        raise SetupError(
            f"the database's URL: a certificate file can't be read: {error}"
        ) from error
    context.check_hostname = mode == "verify-full"
    return context
