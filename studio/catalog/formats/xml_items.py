"""Items of RSS and Atom feeds, read by expat as they arrive."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.parsers import expat

from errors import Invalid

CHUNK_BYTES = 1 << 14
ITEM_NAMES = frozenset({"item", "entry"})
SEPARATOR = " "
MAX_DEPTH, MAX_ITEM_CHARS, MAX_ITEMS = 20, 1_000_000, 5_000_000


@dataclass
class XmlItem:
    """The texts of an item's own elements by local name; an error if it can't be read.

    Elements within elements, as in `shipping`, are joined to the text of the outer one.
    """

    number: int
    values: dict[str, list[str]] = field(default_factory=dict)
    error: str | None = None


class ItemReader:
    """Collects items from the events of the parser.

    No document type is allowed: entities could grow without bound, or name other files.
    """

    def __init__(self) -> None:
        self.items: deque[XmlItem] = deque()
        self._parser = expat.ParserCreate(namespace_separator=SEPARATOR)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._depth = 0
        self._item_depth = 0
        self._item: XmlItem | None = None
        self._pieces: list[str] = []
        self._chars = 0
        self._count = 0

    def feed(self, chunk: bytes, *, is_last: bool) -> None:
        """Parses the next bytes.

        Raises:
            Invalid: the file is not XML, has a document type or too many items, or is too deep.
        """
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            raise Invalid(f"not XML: {error}") from None

    @property
    def line(self) -> int:
        """The line that is being read."""
        return self._parser.CurrentLineNumber

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Invalid(f"XML nested more than {MAX_DEPTH} levels deep")
        if self._item is None:
            if name.rpartition(SEPARATOR)[2] in ITEM_NAMES:
                self._count += 1
                if self._count > MAX_ITEMS:
                    raise Invalid(f"the file has more than {MAX_ITEMS:,} items")
                self._item, self._chars = XmlItem(self.line), 0
                self._item_depth = self._depth
        elif self._depth == self._item_depth + 1:
            # Atom has its link in an attribute.
            self._pieces = [attributes["href"]] if "href" in attributes else []

    def _end(self, name: str) -> None:
        if self._item is not None and self._depth == self._item_depth + 1:
            text = "".join(self._pieces).strip()
            if text:
                self._item.values.setdefault(name.rpartition(SEPARATOR)[2], []).append(text)
            self._pieces = []
        elif self._item is not None and self._depth == self._item_depth:
            self.items.append(self._item)
            self._item = None
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._item is None or self._depth <= self._item_depth:
            return
        self._chars += len(text)
        if self._chars > MAX_ITEM_CHARS:
            self._item.error = f"longer than {MAX_ITEM_CHARS:,} characters"
            self._item.values.clear()
        else:
            self._pieces.append(text)

    def _refuse(self, *_: object) -> None:
        raise Invalid("XML with a document type (<!DOCTYPE …>) is not accepted")


def read_xml_items(file: BinaryIO) -> Iterator[XmlItem]:
    """Yields the `item` and `entry` elements; what can't be parsed ends the file with an error."""
    reader = ItemReader()
    while True:
        chunk = file.read(CHUNK_BYTES)
        error = None
        try:
            reader.feed(chunk, is_last=not chunk)
        except Invalid as problem:
            error = f"{problem.detail}; what follows was not read"
        while reader.items:
            yield reader.items.popleft()
        if error is not None:
            yield XmlItem(reader.line, error=error)
            return
        if not chunk:
            return
