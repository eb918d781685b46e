"""Pictures are grouped in order, by number and size."""

from studio.batching import portions


def test_pictures_are_parted_by_number_and_size_and_none_is_lost() -> None:
    small = [bytes([turn]) for turn in range(9)]
    large = b"x" * 101
    items = [*small, large, large, b"y"]
    parts = list(portions(items, 4, 100))
    assert [item for part in parts for item in part] == items
    assert [len(part) for part in parts] == [4, 4, 1, 1, 1, 1]
    assert list(portions([], 4, 100)) == []
