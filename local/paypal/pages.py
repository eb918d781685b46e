"""The page on which a payer approves an order."""

from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

STYLE = (
    "body{font:16px system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem}"
    "main{border:1px solid #d5d8de;border-radius:8px;padding:1.5rem}"
    "button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:6px;background:#0b57d0;"
    "color:#fff;cursor:pointer}td{padding:.2rem 1rem .2rem 0}td+td{text-align:right}"
    ".toy{background:#fff3cd;padding:.5rem .8rem;border-radius:6px}a{margin-left:1rem}"
)


def approve_page(order: dict[str, Any]) -> str:
    """A form whose submit button approves the order."""
    unit = order["purchase_units"][0]
    amount = unit["amount"]
    lines = "".join(
        f"<tr><td>{escape(item['quantity'])} × {escape(item['name'])}</td>"
        f"<td>{escape(item['unit_amount']['value'])}</td></tr>"
        for item in unit.get("items", [])
    )
    description = f"<p>{escape(unit['description'])}</p>" if unit.get("description") else ""
    cancel = escape(with_query(order["urls"]["cancel_url"], token=order["id"]))
    sum_text = escape(f"{amount['value']} {amount['currency_code']}")
    return page(
        "Pay",
        f"<h1>Pay {sum_text}</h1>{description}<table>{lines}</table>"
        f'<form method="post" action="/checkoutnow">'
        f'<input type="hidden" name="token" value="{escape(order["id"])}">'
        f'<p><button type="submit">Pay now</button><a href="{cancel}">Cancel</a></p></form>',
    )


def message_page(text: str) -> str:
    """A page with a message."""
    return page("Pay", f"<p>{escape(text)}</p>")


def page(title: str, body: str) -> str:
    """The HTML document around a page's content."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f'<body><p class="toy">PayPal simulator: no real money moves.</p><main>{body}</main>'
        f"</body></html>"
    )


def with_query(url: str, **parameters: str) -> str:
    """Adds query parameters to a URL."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()]
    return parts._replace(query=urlencode(query)).geturl()
