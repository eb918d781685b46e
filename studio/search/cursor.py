"""Cursors of searches: where a page ended, in which index, and the vectors that were searched for.

The vectors are in the cursor, so that the next page needs no picture and no model, and its scores
are exactly those of the page before. A cursor is signed, and holds for its own query only.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errors import Invalid, Malformed
from models.index.shapes import Position, SearchAnswer
from studio.search.understanding.understood import Understood, from_document, to_document

SIGNATURE_BYTES = 16
CONTEXT = b"search cursor:"


@dataclass(frozen=True)
class SearchCursor:
    """The end of a page of one query.

    Attributes:
        image, text: the vectors of the query, float32 (dim,).
        understood: what was read out of its words for the first page; None: nothing was.
        placement: the fingerprint of what the rules did to the first page.
    """

    version: str
    embedder_version: str
    position: Position
    image: NDArray[np.float32] | None
    text: NDArray[np.float32] | None
    understood: Understood | None = None
    placement: str = ""

    @classmethod
    def of(
        cls,
        answer: SearchAnswer,
        position: Position,
        understood: Understood | None,
        placement: str,
    ) -> "SearchCursor":
        """The cursor of the page after an answer."""
        return cls(
            answer.index_version, answer.embedder_version, position, answer.image, answer.text,
            understood, placement,
        )  # fmt: skip

    def encode(self, query: str, secret: str) -> str:
        """The cursor as URL-safe text. `query`: the fingerprint of the query that it is for."""
        place = self.position
        vectors = [vector for vector in (self.image, self.text) if vector is not None]
        fields = [
            query, self.version, self.embedder_version, place.key, place.id, place.ceiling,
            place.floor, place.change_seq, sorted(place.listed),
            None if self.understood is None else to_document(self.understood), self.placement,
            self.image is not None, self.text is not None,
        ]  # fmt: skip
        head = json.dumps(fields, separators=(",", ":")).encode()
        body = head + b"\n" + b"".join(vector.astype("<f4").tobytes() for vector in vectors)
        return base64.urlsafe_b64encode(_sign(body, secret) + body).decode().rstrip("=")


def read_cursor(text: str, query: str, secret: str) -> SearchCursor:
    """Decodes a cursor that a caller sent with a query of the given fingerprint.

    Raises:
        Malformed: this API did not issue it.
        Invalid: it belongs to another query.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise Malformed("the cursor is not valid") from None
    signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(body, secret)):
        raise Malformed("the cursor is not valid")
    head, packed = body.split(b"\n", 1)
    fields = json.loads(head)
    own, version, embedder, key, last_id, ceiling, floor, seq, listed, words, placement, *has = (
        fields
    )
    if own != query:
        raise Invalid("the cursor belongs to another search: send it with the same fields")
    position = Position(key, last_id, ceiling, floor, seq, frozenset(listed))
    vectors = iter(np.frombuffer(packed, dtype="<f4").reshape(sum(has) or 1, -1).astype(np.float32))
    image, text_vector = (next(vectors) if is_there else None for is_there in has)
    understood = None if words is None else from_document(words)
    return SearchCursor(version, embedder, position, image, text_vector, understood, placement)


def _sign(body: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), CONTEXT + body, hashlib.sha256)[:SIGNATURE_BYTES]
