"""Slow connections do not keep other callers from being served."""

import asyncio

import httpx

from deployments.serve.head_limits import MAX_HEAD_BYTES
from local.client import search
from tests.support.cluster import WholeStudio
from tests.support.holding import KINDS, hold


# Slow: the connections are held for 5 s.
def test_a_hundred_slow_callers_keep_nobody_else_waiting(
    whole_studio: WholeStudio, http: httpx.Client
) -> None:
    before = search(http, "text", query="red dress", topK=3)
    outcome = asyncio.run(hold(whole_studio.url, 100, 5))
    assert outcome.open_at_most == 100 and all(outcome.kinds[kind] >= 25 for kind in KINDS)
    # On a busy machine a part of health may be late, which is a 503; searches are served.
    assert set(outcome.statuses) == {200} and set(outcome.health) <= {200, 503}
    assert [one["id"] for one in search(http, "text", query="red dress", topK=3)] == [
        one["id"] for one in before
    ]


def test_a_head_without_end_is_refused_in_words(http: httpx.Client) -> None:
    """The servers that Ray Serve starts have this limit, too."""
    refused = http.get("/api/health/live", headers={"X-A": "x" * (MAX_HEAD_BYTES + 1)})
    assert refused.status_code == 431
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["requestId"] == refused.headers["x-request-id"]
    assert http.get("/api/health/live").status_code == 200


def test_callers_give_no_orders_to_serve(http: httpx.Client) -> None:
    for value in (b"0.000001", b"\xff\xfe"):
        headers = [(b"x-request-timeout-seconds", value), (b"x-request-disconnect-disabled", value)]
        answer = http.get("/api/health/live", headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
