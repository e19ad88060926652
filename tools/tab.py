"""A page in a browser, and all that it complained of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

_FAILED = 400
_ABORTED = "net::ERR_ABORTED"  # by the page itself, or because one went on to another


@dataclass
class Tab:
    """An open page.

    `complaints`: errors on the console, errors that nobody caught, requests that failed or were refused.
    `requests`: every address that it asked for.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Write down what happens from now on."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"not caught: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def close(self) -> None:
        """Close it and all that belongs to it."""
        self.page.context.close()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _failed(self, request: Request) -> None:
        if request.failure != _ABORTED:
            self.complaints.append(f"no answer: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= _FAILED:
            self.complaints.append(f"status {response.status}: {response.url}")


def open_tab(browser: Browser, url: str, *, width: int = 1280, height: int = 800, dark: bool = False,  # noqa: PLR0913 - one for each thing that a reader's device decides
             language: str = "en", login: tuple[str, str] | None = None, scripts: bool = True) -> Tab:
    """Open an address as a new reader would: of this window, in this light, of this language.

    `login`: the name and password to answer with when asked for them. `scripts`: whether they run.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light",
        locale=language, java_script_enabled=scripts,
        http_credentials={"username": login[0], "password": login[1]} if login else None)
    tab = Tab(context.new_page())
    tab.listen()
    tab.page.goto(url)
    return tab
