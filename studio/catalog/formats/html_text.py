"""HTML of product descriptions as plain text."""

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "ul",
        "ol",
        "tr",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "hr",
    ]
)
HIDDEN = frozenset({"script", "style", "template", "noscript"})


class TextParser(HTMLParser):
    """Collects the text; block elements start lines."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Starts a line at blocks; skips scripts and styles."""
        self._hidden += tag in HIDDEN
        if tag in BLOCKS:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Ends the line of a block."""
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        if tag in BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keeps visible text."""
        if not self._hidden:
            self._pieces.append(re.sub(r"\s+", " ", data))

    @property
    def text(self) -> str:
        """The text, without blank lines and outer spaces."""
        lines = (line.strip() for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def html_to_text(html: str) -> str:
    """The visible text of an HTML fragment, one line a block."""
    parser = TextParser()
    parser.feed(html)
    parser.close()
    return parser.text
