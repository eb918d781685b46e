"""The places of backups."""

from integrations.blobs.archive import same_place


def test_backups_have_a_place_of_their_own() -> None:
    assert same_place("/data/blobs", "file:///data/blobs")
    assert same_place("/data", "file:///data/blobs")
    assert same_place("file:///data/blobs/backups", "file:///data/blobs")
    assert not same_place("/data/backups", "file:///data/blobs")
    assert same_place("azure://c;AccountName=a", "azure://c;AccountName=a")
