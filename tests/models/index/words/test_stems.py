"""Forms of a word share a stem in one of the five languages."""

import pytest

from models.index.words.stems import stems_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dress", "dresses"), ("stripes", "striped"), ("kleid", "kleider"), ("robe", "robes"),
        ("noir", "noires"), ("camisas", "camisa"), ("pantalon", "pantalones"), ("borsa", "borse"),
        ("schuhe", "schuhen"),
    ],
)  # fmt: skip
def test_forms_share_a_stem(one: str, other: str) -> None:
    assert stems_of(one) & stems_of(other)


def test_different_words_and_codes_share_none() -> None:
    assert not stems_of("shirt") & stems_of("skirt")
    assert stems_of("x200") == stems_of("xl") == frozenset()
