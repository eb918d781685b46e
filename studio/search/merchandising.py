"""Synonyms and rules that admins keep for the search: forms, and what they do to a query."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from db.audit import insert_audit
from db.engine import Database
from db.search_settings import SettingName, get_search_setting, put_search_setting
from models.index.shapes import Filters, SearchQuery
from studio.context import current_request_id
from studio.forms import Form
from studio.ports import Studio
from studio.search.understanding.tokens import fold, phrase_of

MOST_GROUPS, MOST_RULES = 1_000, 1_000
MOST_CONCERNED = 50
"""Groups of synonyms that go with one query."""
KEY_LETTERS = 4
"""Words that begin with the same letters may be forms of each other: `sneaker`, `sneakers`."""

Synonym = Annotated[str, Field(min_length=1, max_length=60, pattern=r"\S")]
ProductIds = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=50, fail_fast=True)
]


class SynonymsForm(Form):
    """Groups of words that mean the same; they replace all earlier groups."""

    synonyms: Annotated[
        list[Annotated[list[Synonym], Field(min_length=2, max_length=20, fail_fast=True)]],
        Field(max_length=MOST_GROUPS, fail_fast=True),
    ]


class RuleForm(Form):
    """What happens to products in searches for a query, or in those within a category.

    Attributes:
        pin: ids of products that come first, in this order.
        bury: ids of products that come last.
        hide: ids of products that are not in the answer.
        start, end: when it begins and ends; None: it always holds.
    """

    query: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")] | None = None
    category: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")] | None = None
    pin: ProductIds = []
    bury: ProductIds = []
    hide: ProductIds = []
    start: AwareDatetime | None = Field(None, alias="from")
    end: AwareDatetime | None = Field(None, alias="until")

    @model_validator(mode="after")
    def refuse_contradictions(self) -> "RuleForm":
        """Checks that the rule says when and what, and not two things about a product.

        Raises:
            ValueError: it does not.
        """
        if (self.query is None) == (self.category is None):
            raise ValueError("give either query or category")
        ids = [*self.pin, *self.bury, *self.hide]
        if not ids:
            raise ValueError("name products to pin, bury or hide")
        if len(set(ids)) < len(ids):
            raise ValueError("a product is named twice")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("from is not before until")
        return self

    def holds(self, query: str | None, filters: Filters, now: datetime) -> bool:
        """Whether the rule concerns a search for these words (None: it has none) at this time."""
        is_early = self.start is not None and now < self.start
        if is_early or (self.end is not None and now >= self.end):
            return False
        if self.query is not None:
            return query is not None and phrase_of(query) == phrase_of(self.query)
        return fold(self.category or "") in {fold(category) for category in filters.category}


class RulesForm(Form):
    """The rules; they replace all earlier ones."""

    rules: Annotated[list[RuleForm], Field(max_length=MOST_RULES, fail_fast=True)]


NO_SYNONYMS, NO_RULES = SynonymsForm(synonyms=[]), RulesForm(rules=[])


@dataclass(frozen=True)
class Merchandising:
    """What the rules do to one search: ids of products that come first, last, or not at all."""

    pins: tuple[str, ...] = ()
    buried: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def applied(self, query: SearchQuery, explicit: Filters) -> SearchQuery:
        """The query with the placement; pins need to pass only the caller's own filters."""
        exclude = query.exclude | self.hidden
        return replace(
            query, pins=self.pins, explicit=explicit, buried=self.buried, exclude=exclude
        )

    def fingerprint(self) -> str:
        """Equal for the same placement; "" where there is none."""
        parts = (self.pins, sorted(self.buried), sorted(self.hidden))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16] if any(parts) else ""


NO_MERCHANDISING = Merchandising()


def place(
    rules: Iterable[RuleForm], query: str | None, filters: Filters, now: datetime
) -> Merchandising:
    """What all rules together do to a search; earlier rules come first, and hiding wins."""
    own = [rule for rule in rules if rule.holds(query, filters, now)]
    hidden = frozenset(product_id for rule in own for product_id in rule.hide)
    pins = dict.fromkeys(product_id for rule in own for product_id in rule.pin)
    pinned = tuple(product_id for product_id in pins if product_id not in hidden)
    buried = {product_id for rule in own for product_id in rule.bury}
    return Merchandising(pinned, frozenset(buried) - hidden - set(pinned), hidden)


@dataclass(frozen=True)
class SearchSettings:
    """The settings of all admins as a Gateway uses them.

    Attributes:
        groups: the synonyms. places: beginning of a word -> the groups that have such a word.
    """

    groups: Sequence[tuple[str, ...]] = ()
    rules: Sequence[RuleForm] = ()
    places: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, synonyms: SynonymsForm, rules: RulesForm) -> "SearchSettings":
        """Sorts the groups by the beginnings of their words."""
        groups = [tuple(group) for group in synonyms.synonyms]
        places: dict[str, list[int]] = {}
        for number, group in enumerate(groups):
            for key in {key for text in group for key in _keys(text)}:
                places.setdefault(key, []).append(number)
        return cls(groups, rules.rules, places)

    def synonyms_for(self, phrase: str) -> tuple[tuple[str, ...], ...]:
        """The groups that may concern a phrase."""
        numbers = {number for key in _keys(phrase) for number in self.places.get(key, ())}
        return tuple(self.groups[number] for number in sorted(numbers)[:MOST_CONCERNED])

    def placement_of(self, query: str | None, filters: Filters) -> Merchandising:
        """What the rules do to a search now."""
        return (
            place(self.rules, query, filters, datetime.now(UTC)) if self.rules else NO_MERCHANDISING
        )


def _keys(text: str) -> set[str]:
    return {word[:KEY_LETTERS] for word in phrase_of(text)}


async def read_synonyms(database: Database) -> SynonymsForm:
    """The groups of synonyms."""
    async with database.read() as session:
        document = await get_search_setting(session, "synonyms")
    return SynonymsForm.model_validate(document) if document else NO_SYNONYMS


async def read_rules(database: Database) -> RulesForm:
    """The merchandising rules."""
    async with database.read() as session:
        document = await get_search_setting(session, "rules")
    return RulesForm.model_validate(document) if document else NO_RULES


async def write_settings(
    studio: Studio, form: SynonymsForm | RulesForm, *, actor_id: UUID, ip: str
) -> None:
    """Replaces the synonyms or the rules, which every Gateway reads within two seconds."""
    name: SettingName = "synonyms" if isinstance(form, SynonymsForm) else "rules"
    document = form.model_dump(mode="json", by_alias=True, exclude_none=True)
    async with studio.database.transaction() as session:
        await put_search_setting(session, name, document)
        insert_audit(
            session,
            f"SEARCH_{name.upper()}",
            actor_id=actor_id,
            ip=ip,
            detail={"count": len(document[name])},
            request_id=current_request_id(),
        )
