"""Descriptions in HTML become plain text."""

from studio.catalog.formats.html_text import html_to_text


def test_blocks_are_lines_and_scripts_are_gone() -> None:
    html = (
        "<p>Warm &amp;\n long.</p><ul><li>100% wool</li><li>a &lt; b</li></ul>"
        "<script>alert(1)</script><style>p{}</style>plain<br/>end"
    )
    assert html_to_text(html) == "Warm & long.\n100% wool\na < b\nplain\nend"


def test_text_without_html_stays() -> None:
    assert html_to_text("Just words & more") == "Just words & more"
    assert html_to_text("<p>open <b>never closed") == "open never closed"
