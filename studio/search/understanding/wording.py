"""The words that are left of a query: as they were written, and in English where they are known."""

from collections.abc import Sequence

from studio.search.understanding.languages.language import Role
from studio.search.understanding.spans import Query, Span

REMOVED = frozenset({"price", "size", "stock", "sort", "not", "brand"})
"""Uses of spans that don't say what a product looks like."""
_JOINTS: tuple[tuple[Role, str], ...] = (
    ("with", "with"), ("for", "for"), ("and", "and"), ("or", "or"), ("in", "in"),
)  # fmt: skip
_LOOSE: tuple[Role, ...] = ("and", "or", "but", "with", "for", "in", "article", "not")


def text_of(query: Query) -> str:
    """The text for vectors and for the catalogue's texts.

    An English query keeps its words and their order. In another language, the words for a look are
    translated and stand before their garment, as in English.
    """
    spans = [span for span in query.spans if span.use not in REMOVED]
    is_foreign = any(span.is_foreign for span in spans)
    is_whole = len(spans) == len(query.spans)
    if is_whole and not is_foreign and not any(span.is_corrected for span in spans):
        return query.text.strip()
    spans = _trimmed(spans)
    if is_foreign:
        return " ".join(filter(None, map(_in_english, _reordered(spans))))
    return _joined(spans, query.spans)


def phrase_of(query: Query) -> str:
    """The words as they were written, brands included, for the catalogue's own texts."""
    spans = [span for span in query.spans if span.use == "brand" or span.use not in REMOVED]
    if len(spans) == len(query.spans) and not any(span.is_corrected for span in spans):
        return query.text.strip()
    return _joined(_trimmed(spans), query.spans)


def translations_of(query: Query) -> tuple[tuple[str, str], ...]:
    """(word as it was written, English term) of the looks in another language."""
    return tuple(
        (span.written, span.term.english)
        for span in query.spans
        if span.term is not None and span.is_foreign and span.use not in REMOVED
    )


def _trimmed(spans: Sequence[Span]) -> list[Span]:
    """Without the words of the grammar that have lost what they joined."""
    start, end = 0, len(spans)
    while end > start and _is_loose(spans[end - 1]):
        end -= 1
    while end > start and _is_loose(spans[start]):
        start += 1
    return list(spans[start:end])


def _is_loose(span: Span) -> bool:
    return span.term is None and span.value is None and span.has(*_LOOSE)


def _joined(spans: Sequence[Span], all_spans: Sequence[Span]) -> str:
    """The words with the signs that joined them, like `H&M`."""
    text = ""
    for span in spans:
        place = next(place for place, other in enumerate(all_spans) if other is span)
        is_next = place > 0 and text and all_spans[place - 1] in spans
        is_joined = is_next and span.gap and not any(c.isspace() for c in span.gap)
        text += (span.gap if is_joined else " ") + span.written
    return text.strip()


def _in_english(span: Span) -> str:
    """The word in English; words of the grammar that English doesn't need are left out."""
    if span.term is not None:
        return span.term.english if span.is_foreign else span.written
    if span.value is not None or not span.entry.roles:
        return span.written
    joint = next((english for role, english in _JOINTS if role in span.entry.roles), None)
    if joint is not None:
        return joint
    return "" if "article" in span.entry.roles else span.written


def _reordered(spans: Sequence[Span]) -> list[Span]:
    """Colours, patterns and materials behind a garment move before it."""
    ordered: list[Span] = []
    for span in spans:
        place = len(ordered)
        is_look = span.term is not None and span.term.look in ("colour", "pattern", "material")
        while is_look and place and _may_pass(ordered[place - 1]):
            place -= 1
        is_behind = any(_is_garment(other) for other in ordered[place:])
        ordered.insert(place if is_behind else len(ordered), span)
    return _without_loose(ordered)


def _may_pass(span: Span) -> bool:
    """Whether a look moves across it: a garment, or `with`, `in` and articles before the look."""
    is_joint = "and" in span.entry.roles or "or" in span.entry.roles
    return _is_garment(span) or (_is_loose(span) and not is_joint)


def _without_loose(spans: Sequence[Span]) -> list[Span]:
    """Without joints that nothing follows any more: `dress with` of `striped dress with`."""
    followers = [*spans[1:], None]
    return [
        span
        for span, follower in zip(spans, followers, strict=True)
        if not _is_loose(span) or (follower is not None and not _is_loose(follower))
    ]


def _is_garment(span: Span) -> bool:
    return span.term is not None and span.term.look == "garment"
