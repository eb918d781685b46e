"""Keys of blobs, and content types by extension."""

import time

import pytest

from errors import NotFound
from integrations.blobs.keys import (
    CONTENT_TYPES,
    EXTENSIONS,
    MAX_KEY_CHARS,
    OCTETS,
    check_key,
    content_type_of,
    is_key,
    read_url_end,
)


@pytest.mark.parametrize("key", ["a", "a/b.png", "indexes/v1=2/_x", "a" * MAX_KEY_CHARS])
def test_valid_keys(key: str) -> None:
    assert is_key(key) and check_key(key) == key


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a b", "a\\b", "a\n", "\u00e4"],
)
def test_other_keys_have_no_blob(key: str) -> None:
    assert not is_key(key)
    with pytest.raises(NotFound):
        check_key(key)


def test_every_type_has_one_extension() -> None:
    assert {content_type_of(f"a{extension}") for extension in EXTENSIONS.values()} == set(
        CONTENT_TYPES.values()
    )
    assert content_type_of("a.PNG") == "image/png" and content_type_of("a") == OCTETS


def test_a_read_url_ends_on_a_round_time() -> None:
    end = read_url_end(900)
    assert end.timestamp() % 300 == 0
    assert 900 <= end.timestamp() - time.time() <= 1200
