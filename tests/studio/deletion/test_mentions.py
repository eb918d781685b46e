"""Ids of deleted pictures are removed from long histories, page by page."""

from uuid import UUID

from db.tables import Job, Mention, SearchLog
from studio.deletion.mentions import PAGES_OF_REQUEST, strip_due
from studio.files import files
from studio.ports import Studio
from tests.studio.deletion.rows import FILE, add, batch, rows, run

SEARCHES = """
INSERT INTO search_log (id, user_id, type, params, latency_ms, index_version, embedder_version,
    request_id)
SELECT gen_random_uuid(), :owner, 'image', jsonb_build_object('file_id', CAST(:file AS text)), 1,
    'v', 'e', 'r'
FROM generate_series(1, :count)
"""


async def test_a_deletion_leaves_long_histories_to_the_tidy(studio: Studio, owner: UUID) -> None:
    await run(studio, SEARCHES, owner=owner, file=str(FILE), count=6000)
    await add(studio, batch("running"), *(batch("failed") for _ in range(249)))
    await files.delete(studio, owner, FILE, ip=None)
    (entry,) = await rows(studio, Mention)
    assert entry.stage == "job" and PAGES_OF_REQUEST == 4
    assert await rows(studio, SearchLog.params) == [{}] * 6000
    assert await strip_due(studio.database) == 3
    unstripped = [
        payload for payload in await rows(studio, Job.payload) if str(FILE) in str(payload)
    ]
    assert len(unstripped) == 1  # of the one that runs
    await run(studio, "UPDATE job SET state = 'failed'")
    await run(studio, "UPDATE mention SET due_at = now()")
    assert await strip_due(studio.database) == 3
    assert await rows(studio, Job.payload) == [{"fileIds": [None, "another"]}] * 250
    assert await rows(studio, Mention) == []
