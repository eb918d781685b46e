"""A reader of PromQL, as far as the dashboard and the alerts use it: metrics and their labels."""

import re
from dataclasses import dataclass, field

TOKENS = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:e\d+)?)(?![\w:])|(?P<duration>\d+[smhd])|(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<name>[A-Za-z_:][\w:]*)|(?P<range>\[(?:\d+[smhd]|\$__rate_interval)\])
    |(?P<symbol>=~|!~|!=|==|>=|<=|[-+*/<>=(){},]))""",
    re.VERBOSE,
)
AGGREGATIONS = {"sum", "min", "max", "avg", "count"}
OF_A_RANGE = {"rate", "increase", "delta", "changes"}
OF_A_VALUE = {"absent", "histogram_quantile"}
OPERATORS = {"+", "-", "*", "/", ">", "<", ">=", "<=", "==", "!=", "and", "or", "unless"}


@dataclass
class Query:
    """The metrics of an expression, each with the labels that must exist on it."""

    labels: dict[str, set[str]] = field(default_factory=dict)


def read_query(expression: str) -> Query:
    """Reads an expression to its end.

    Raises:
        ValueError: it is not PromQL, or uses what this reader does not know.
    """
    reader = _Reader(expression)
    query = Query()
    reader.expression(query)
    if reader.tokens:
        raise ValueError(f"{reader.tokens[0][1]} is left over in {expression}")
    return query


class _Reader:
    """Reads by recursive descent; the precedence of operators does not matter here."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = TOKENS.match(text, position)
            if match is None:
                raise ValueError(f"no PromQL: {text[position:]}")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    def expression(self, query: Query) -> None:
        """Operands with operators between them."""
        self._operand(query)
        while self.tokens and self.tokens[0][1] in OPERATORS:
            self.tokens.pop(0)
            self._operand(query)

    def _operand(self, query: Query) -> None:
        kind, value = self._take()
        if kind == "number":
            return
        if value == "(":
            self.expression(query)
            self._take(")")
        elif value in AGGREGATIONS:
            self._aggregation(query)
        elif value in OF_A_RANGE | OF_A_VALUE:
            self._call(query, value)
        elif kind == "name":
            self._selector(query, value)
        else:
            raise ValueError(f"{value} begins no expression")

    def _aggregation(self, query: Query) -> None:
        labels: set[str] = set()
        if self._peek() == "by":
            self._take("by")
            labels = self._names()
        inner = Query()
        self._take("(")
        self.expression(inner)
        self._take(")")
        for metric, used in inner.labels.items():
            query.labels.setdefault(metric, set()).update(used | labels)

    def _call(self, query: Query, function: str) -> None:
        self._take("(")
        if function == "histogram_quantile":
            self.expression(Query())
            self._take(",")
        inner = Query()
        self.expression(inner)
        if function in OF_A_RANGE and self._take()[0] != "range":
            raise ValueError(f"{function} needs a range, such as [5m]")
        self._take(")")
        if function == "histogram_quantile":
            for metric, labels in inner.labels.items():
                if not metric.endswith("_bucket") or "le" not in labels:
                    raise ValueError(f"a quantile of {metric} needs its buckets by le")
        for metric, labels in inner.labels.items():
            query.labels.setdefault(metric, set()).update(labels)

    def _selector(self, query: Query, metric: str) -> None:
        if self._peek() == "{":
            self._matchers(metric, query.labels.setdefault(metric, set()))
        query.labels.setdefault(metric, set())
        if self._peek() == "offset":
            self._take("offset")
            if self._take()[0] != "duration":
                raise ValueError(f"the offset of {metric} is no duration, such as 6h")

    def _matchers(self, metric: str, labels: set[str]) -> None:
        self._take("{")
        while self._peek() != "}":
            labels.add(self._take()[1])
            if self._take()[1] not in {"=", "!=", "=~", "!~"} or self._take()[0] != "text":
                raise ValueError(f"a selector of {metric} is no comparison with a text")
            if self._peek() == ",":
                self._take(",")
        self._take("}")

    def _names(self) -> set[str]:
        self._take("(")
        names = {self._take()[1]}
        while self._peek() == ",":
            self._take(",")
            names.add(self._take()[1])
        self._take(")")
        return names

    def _peek(self) -> str:
        return self.tokens[0][1] if self.tokens else ""

    def _take(self, expected: str | None = None) -> tuple[str, str]:
        if not self.tokens or (expected is not None and self.tokens[0][1] != expected):
            raise ValueError(f"{expected or 'more'} is missing before {self._peek() or 'the end'}")
        return self.tokens.pop(0)
