"""Routes whose requests may carry an `Idempotency-Key`."""

from collections.abc import Awaitable, Callable
from functools import partial

from studio.forms import Form, fingerprint
from studio.idempotency import Answer, KeyedRequest, Make

AnswerOnce = Callable[[KeyedRequest, Make], Awaitable[Answer]]


async def once(
    key: str | None,
    body: Form,
    make: Callable[[KeyedRequest | None], Awaitable[Answer]],
    answer: AnswerOnce,
) -> Answer:
    """Calls `make`; with a key only for the first of the requests that carry it.

    Args:
        key: the request's `Idempotency-Key`, if any.
        body: the content, which must be the same in all requests with one key.
        make: does the work; it gets the key for the row that it inserts.
        answer: finds or stores the receipt, such as a `partial` of `answer_by_row`.
    """
    if key is None:
        return await make(None)
    keyed = KeyedRequest(key, fingerprint(body.model_dump(mode="json")))
    return await answer(keyed, partial(make, keyed))
