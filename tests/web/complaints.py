"""Everything that a browser complains about while it shows the studio page."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request


class Complaints:
    """What a page must not do: log errors, raise, or ask another origin for anything."""

    def __init__(self, page: Page, origin: str) -> None:
        self._origin = origin
        self.entries: list[str] = []
        self.refusals = 0
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.entries.append(f"exception: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium logs every answer of 400 and more, also those that the page shows to its user.
        if message.type == "error" and message.text.startswith("Failed to load resource"):
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.entries.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        is_own = f"{parts.scheme}://{parts.netloc}" == self._origin
        if not is_own and parts.scheme not in ("data", "blob"):
            self.entries.append(f"request to {parts.netloc}")
