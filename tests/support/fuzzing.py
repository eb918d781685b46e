"""What strangers may send, made up by hypothesis, and what has to hold for all of it.

`tests/gateway/test_fuzz.py` runs each target a little, `make proof` at length.
"""

import atexit
import base64
import io
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import hypothesis
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from errors import Forbidden, Invalid, Malformed, NotAuthenticated, StudioError
from gateway.auth import AccessTokens
from gateway.client_address import ClientAddress, parse_address
from gateway.paging import decode_cursor
from integrations.addresses import is_public_name
from integrations.blobs.keys import is_key
from integrations.blobs.local import LocalBlobStore
from integrations.blobs.signature import BlobSigner, Grant
from integrations.fetch import Fetcher
from models.images import FORMATS, decode_image, inspect_image, public_copy
from settings import Settings
from studio.catalog.form import read_line
from studio.catalog.import_lines import START_BYTES, check_start, count_lines, read_lines
from studio.files.rules import inspect_file
from tests.support import hostile
from tests.support.fakes import SECRET, picture
from tests.support.hostile import within_bounds

TOKENS = AccessTokens(Settings(jwt_secret=SECRET))
SIGNER = BlobSigner([SECRET])
STUDIO_URL = "http://studio.test"
NESTED = "[" * 50_000
HUGE = "9" * 5_000  # more digits than Python reads as a number

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Something good, cut, spliced, and with a few bytes changed."""
    data = bytearray(draw(good))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        deed = draw(st.sampled_from(["set", "insert", "cut", "repeat"]))
        if deed == "set":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
        elif deed == "insert":
            data[place:place] = draw(st.binary(max_size=20))
        elif deed == "cut":
            del data[place : place + draw(st.integers(0, 200))]
        else:
            data[place:place] = data[place : place + draw(st.integers(0, 50))]
    return bytes(data)


PICTURES = [picture("green", (21, 17), kind) for kind in FORMATS]


def check_picture(data: bytes) -> None:
    """It is read, or refused in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much that it puts up with
        for read in (inspect_image, decode_image, public_copy):
            with suppress(StudioError):
                within_bounds(read, data)


LINE = {
    "id": "p-1", "title": "Dress", "category": "dress", "price": "9.99", "currency": "EUR",
    "imageUrl": "https://pictures.example/a.jpg", "attributes": '{"size": "S"}',
}  # fmt: skip
CSV = (",".join(LINE) + "\n" + ",".join(f'"{value}"' for value in LINE.values()) + "\n").encode()
JSON_LINES = (json.dumps(LINE) + "\n").encode() * 2
cells = (
    st.sampled_from(['"', ",", "\n", "\r", "\x00", "\ufeff", "\u2028", "1e999999", HUGE, NESTED])
    | st.text(max_size=8)
    | st.sampled_from([*LINE, *LINE.values()])
)
datasets = (
    damaged(st.sampled_from([CSV, JSON_LINES]))
    | st.lists(cells, max_size=12).map(lambda parts: "".join(parts).encode("utf-8", "replace"))
    | st.dictionaries(st.sampled_from(list(LINE)), json_values).map(
        lambda fields: json.dumps(LINE | fields).encode()
    )
    | st.sampled_from([f'{{"a": {text}'.encode() for text in (HUGE, NESTED, HUGE + "}", "NaN}")])
)


def check_dataset(data: bytes) -> None:
    """Every line is a product or named as bad; nothing else comes out."""
    for kind in ("text/csv", "application/jsonl"):
        with suppress(Invalid):
            inspect_file(data, "dataset", kind)
    with suppress(Invalid):
        check_start(data[:START_BYTES], is_whole=len(data) <= START_BYTES)
    try:
        lines = list(read_lines(io.BytesIO(data)))
    except Invalid:
        return
    assert len(lines) == count_lines(io.BytesIO(data))
    for line in lines:
        assert (line.fields is None) == (line.error is not None)
        if line.fields is not None:
            with suppress(Invalid):
                read_line(line.fields)


@st.composite
def access_tokens(draw: st.DrawFn) -> str:
    """Really signed, of any claims and any other header; or a good one with letters changed."""
    now_s = int(time.time())
    if draw(st.booleans()):
        good = TOKENS.issue(draw(st.uuids()), "customer", draw(st.uuids()), 0)
        return draw(damaged(st.just(good.encode()))).decode("latin-1")
    claims: dict[str, Any] = {
        "iss": "ai-fashion-studio", "aud": "ai-fashion-studio-api", "sub": str(draw(st.uuids())),
        "sid": str(draw(st.uuids())), "jti": "j", "ver": 0, "iat": now_s, "exp": now_s + 60,
    }  # fmt: skip
    changed = draw(st.dictionaries(st.sampled_from(list(claims)), json_values, max_size=3))
    header = {"alg": "HS256", "typ": draw(st.sampled_from(["at+jwt", "at+JWT", "JWT"]))}
    try:
        return jwt.encode(header, claims | changed, OctKey.import_key(SECRET))
    except (ValueError, TypeError, UnicodeError):
        hypothesis.reject()


def check_token(token: str) -> None:
    """Claims of the right shape, or one refusal that says nothing."""
    try:
        claims = TOKENS.read(token)
    except NotAuthenticated:
        return
    assert isinstance(claims.version, int)


texts = st.text(max_size=40) | st.sampled_from(["..", "/", "%2e%2e", "\x00", "uploads", "a.jpg"])


@st.composite
def signed_urls(draw: st.DrawFn) -> tuple[Grant, str, dict[str, str]]:
    """What was granted, and the key and query that a caller makes of it."""
    grant = Grant(
        draw(st.sampled_from(["get", "put"])), draw(st.sampled_from(["a/b.jpg", "uploads/x.png"])),
        int(time.time()) + draw(st.integers(-2, 1000)), "image/jpeg", draw(st.integers(0, 10**12)),
    )  # fmt: skip
    if grant.operation == "get":
        grant = replace(grant, content_type="", max_bytes=0)
    query = dict(parse_qsl(SIGNER.sign(grant)))
    query |= draw(st.dictionaries(st.sampled_from([*query, "ct", "max"]), texts, max_size=2))
    return grant, draw(st.just(grant.key) | texts), query


@cache
def open_store() -> LocalBlobStore:
    """An empty one, gone when the tests end."""
    folder = tempfile.mkdtemp(prefix="studio-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return LocalBlobStore(Path(folder), STUDIO_URL, [SECRET])


def check_signed_url(given: tuple[Grant, str, dict[str, str]]) -> None:
    """Only what was granted is allowed, and no address leads out of the folder."""
    grant, key, query = given
    for operation in ("get", "put"):
        try:
            found = SIGNER.verify(operation, key, query)
        except Forbidden:
            continue
        assert found == grant
    store = open_store()
    own = store.key_of(f"{STUDIO_URL}/blobs/{key}?{urlencode(query)}")
    assert own is None or is_key(own)
    with suppress(StudioError):
        assert store.path_of(key).resolve().is_relative_to(store.path_of("x").parent.resolve())


cursors = st.text() | (
    st.lists(json_values, max_size=3)
    | st.tuples(st.datetimes().map(str), st.text()).map(list)
    | st.tuples(st.datetimes().map(lambda at: f"{at}+00:00"), st.uuids().map(str)).map(list)
).map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))


def check_cursor(text: str) -> None:
    """A moment and an id, or malformed."""
    try:
        cursor = decode_cursor(text)
    except Malformed:
        return
    assert decode_cursor(cursor.encode()) == cursor
    with suppress(Malformed):
        _ = cursor.key


pieces = st.sampled_from(
    ["https://", "http://", "pictures.example", "127.0.0.1", "[::1]", "@", ":", "443", "/", "\\",
     "#", "?", "%00", ".", "\u3002", "localhost", "0x7f", "x" * 70, "\n", " "]
)  # fmt: skip
addresses = st.text() | st.lists(pieces | st.text(max_size=5), max_size=8).map("".join)
FETCHER = Fetcher()


def check_address(text: str) -> None:
    """What would be dialled is a public name by https, and nothing is believed of a header."""
    with suppress(Invalid):
        url = FETCHER.check_url(text)
        assert url.scheme == "https" and is_public_name(url.raw_host.decode())
        assert urlsplit(str(url)).hostname == url.raw_host.decode()
    scope = {
        "type": "http", "client": ("10.0.0.1", 1),
        "headers": [(b"x-forwarded-for", text.encode("latin-1", "replace"))],
    }  # fmt: skip
    found = ClientAddress(["10.0.0.0/8"]).of(scope)
    assert parse_address(found) is not None


@dataclass(frozen=True)
class Target:
    """One way in."""

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    long_inputs: st.SearchStrategy[Any] | None = None
    """What `make proof` sends instead, where one input takes a while."""
    most_cases: int = 1_000_000
    is_bounded: bool = False
    """Whether the check bounds the CPU of each of its calls by itself."""


TARGETS = (
    Target(
        "pictures", damaged(st.sampled_from(PICTURES)) | st.binary(max_size=100), check_picture,
        is_bounded=True,
    ),
    Target("datasets", datasets, check_dataset),
    Target("tokens", access_tokens() | st.text(), check_token),
    Target("signed URLs", signed_urls(), check_signed_url),
    Target("cursors", cursors, check_cursor),
    Target("addresses", addresses, check_address),
    Target("JSON documents", hostile.documents(), hostile.check_body),
    Target("HTTP streams", hostile.streams(), hostile.check_stream),
    Target(
        "scans", hostile.bombs(640, 60), hostile.check_bomb, hostile.bombs(6_320, 20_000),
        most_cases=1_000, is_bounded=True,
    ),
    Target(
        "sales files", hostile.sales_files(1_000), hostile.check_sales,
        hostile.sales_files(300_000), most_cases=20_000,
    ),
    Target("log lines", hostile.lines, hostile.check_line),
)  # fmt: skip


def fuzz(target: Target, cases: int, seed: int, *, is_long: bool = False) -> int:
    """So many inputs; how many there were. Hypothesis shows the smallest one that breaks it.

    No call may take more than `hostile.MOST_CPU_S`.
    """
    made = 0
    inputs = target.inputs
    if is_long and target.long_inputs is not None:
        inputs = target.long_inputs

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases, database=None, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(inputs)
    def one(given: Any) -> None:
        nonlocal made
        made += 1
        if target.is_bounded:
            target.check(given)
        else:
            within_bounds(target.check, given)

    one()
    return made
