"""Reads prices: bounds (`under 50`), ranges (`20 to 40 €`) and amounts (`50 €`)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from studio.search.understanding.languages.shared import CURRENCY_SIGNS
from studio.search.understanding.spans import Query, Span

LEAST, MOST = Decimal("0.01"), Decimal(1_000_000_000)
AROUND = Decimal("0.2")
"""`about 50` is 50 plus or minus this share."""
YEARS = range(1900, 2100)
OLDEST_CHILD = 18
_DASH = re.compile(r"\s*[€$£¥₹]?\s*[-–—]\s*[€$£¥₹]?\s*")
_FREE_GAP = re.compile(r"[\s€$£¥₹.-]*")
"""What may stand between a bound, its number, and a currency."""
_CHILDREN = frozenset({"kids", "girls", "boys"})


@dataclass(frozen=True)
class PriceRange:
    """Inclusive bounds; None: none. `currency`: ISO code, "" if no currency is named."""

    low: Decimal | None = None
    high: Decimal | None = None
    currency: str = ""

    def narrowed(self, other: "PriceRange") -> "PriceRange":
        """Both together; a bound of the other one replaces the own one."""
        low = self.low if other.low is None else other.low
        high = self.high if other.high is None else other.high
        if low is not None and high is not None and low > high:
            low, high = high, low
        return PriceRange(low, high, other.currency or self.currency)


NO_RANGE = PriceRange()


@dataclass(frozen=True)
class Amount:
    """A number in a query that may be a price.

    Attributes:
        end: the place of the first span behind it.
        has_unit: whether a unit follows that is no currency.
    """

    value: Decimal
    currency: str
    end: int
    has_unit: bool


def read_prices(query: Query) -> PriceRange:
    """The prices of a query; their spans are marked as used for it."""
    total = NO_RANGE
    place = 0
    while place < len(query.spans):
        phrase = _Phrases(query).read(place)
        if phrase is None:
            place += 1
            continue
        prices, end = phrase
        for span in query.spans[place:end]:
            span.use = "price"
        total = total.narrowed(prices)
        place = end
    return total


class _Phrases:
    """The price that begins at a span, and where it ends."""

    def __init__(self, query: Query) -> None:
        self._spans = query.spans
        self._tail = query.tail

    def read(self, place: int) -> tuple[PriceRange, int] | None:
        """The longest reading; None if no price begins there."""
        return self._range(place) or self._bound(place) or self._single(place)

    def _range(self, place: int) -> tuple[PriceRange, int] | None:
        """`between 20 and 40`, `from 20 to 40`, `20-40 €`."""
        span = self._spans[place]
        is_between = span.has("between")
        has_start = is_between or span.has("from", "above")
        first = self._amount(place + 1 if has_start else place)
        if first is None or first.has_unit or first.end >= len(self._spans):
            return None
        joint = self._spans[first.end]
        is_dash = _DASH.fullmatch(joint.gap) is not None
        second = self._amount(first.end if is_dash else first.end + 1)
        if second is None or second.has_unit or not (is_dash or self._is_joint(joint, is_between)):
            return None
        currency = first.currency or second.currency
        if not currency and (not has_start or self._is_size(place)):
            return None
        low, high = sorted((first.value, second.value))
        return PriceRange(low, high, currency), second.end

    @staticmethod
    def _is_joint(span: Span, is_between: bool) -> bool:
        return span.has("to") and (is_between or not span.has("and"))

    def _bound(self, place: int) -> tuple[PriceRange, int] | None:
        """`under 50`, `over 50`, `max 50 €`, `about 50 €`."""
        span = self._spans[place]
        is_high = span.has("below") or "<" in span.gap or "≤" in span.gap
        is_low = span.has("above") or ">" in span.gap or "≥" in span.gap
        has_word = span.has("below", "above", "bound", "about")
        amount = self._amount(place + has_word)
        if amount is None or amount.has_unit or not (is_high or is_low or has_word):
            return None
        needs_currency = not (is_high or is_low) or self._is_other(place, amount, is_low=is_low)
        if needs_currency and not amount.currency:
            return None
        if span.has("about"):
            low, high = amount.value * (1 - AROUND), amount.value * (1 + AROUND)
            return PriceRange(low, high, amount.currency), amount.end
        if is_low and not is_high:
            return PriceRange(low=amount.value, currency=amount.currency), amount.end
        return PriceRange(high=amount.value, currency=amount.currency), amount.end

    def _single(self, place: int) -> tuple[PriceRange, int] | None:
        """`50 €` and `50 or less`: at most that."""
        amount = self._amount(place)
        if amount is None or amount.has_unit:
            return None
        has_end = amount.end < len(self._spans) and self._spans[amount.end].has("at most")
        if not amount.currency and (not has_end or self._is_size(place)):
            return None
        return PriceRange(high=amount.value, currency=amount.currency), amount.end + has_end

    def _is_other(self, place: int, amount: Amount, *, is_low: bool) -> bool:
        """Whether a bound without a currency is rather an age, a year or a size."""
        before = self._spans[place - 1] if place else None
        term = before.term if before else None
        is_of_person = term is not None and term.look == "person"
        is_child = term is not None and term.english in _CHILDREN and amount.value < OLDEST_CHILD
        is_year = is_low and amount.value in YEARS
        return self._is_size(place) or is_child or is_year or (is_of_person and is_low)

    def _is_size(self, place: int) -> bool:
        return place > 0 and "size" in self._spans[place - 1].entry.roles

    def _amount(self, place: int) -> Amount | None:
        """The number at a span, with a currency before or behind it."""
        if place >= len(self._spans):
            return None
        span, currency = self._spans[place], self._spans[place].entry.currency
        if currency and place + 1 < len(self._spans):
            place, span = place + 1, self._spans[place + 1]
        value = number_of(span.number)
        if value is None or span.use or (currency and not _FREE_GAP.fullmatch(span.gap)):
            return None
        currency = currency or _sign_in(span.gap)
        following = self._spans[place + 1 :]
        gap = following[0].gap if following else self._tail
        currency = currency or _sign_in(gap.lstrip()[:1])
        end = place + 1
        if following and following[0].entry.currency and _FREE_GAP.fullmatch(gap):
            currency, end = currency or following[0].entry.currency, end + 1
        has_unit = not currency and self._has_unit(following, gap)
        return Amount(value, currency, end, has_unit)

    @staticmethod
    def _has_unit(following: Sequence[Span], gap: str) -> bool:
        if gap.lstrip().startswith(("%", '"', "”", "″", "°", "'", "+")):
            return True
        if not following or gap.strip() not in ("", "-"):
            return False
        is_joined = not gap and not following[0].number
        return is_joined or "unit" in following[0].entry.roles


def number_of(digits: str) -> Decimal | None:
    """`1.299,00` and `1,299.00` are the same, `1.299` is a whole number; None: no price."""
    if not digits:
        return None
    whole, _, end = digits.replace(",", ".").rpartition(".")
    if not whole:
        value = Decimal(end)
    elif len(end) == 3:  # thousands
        value = Decimal(whole.replace(".", "") + end)
    else:
        value = Decimal(f"{whole.replace('.', '')}.{end}")
    return value if LEAST <= value <= MOST else None


def _sign_in(gap: str) -> str:
    return next((code for sign, code in CURRENCY_SIGNS.items() if sign in gap), "")
