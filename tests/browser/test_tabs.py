"""The browser that tests look at pages with notices what a person would not see."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tools.tab import Tab

_PAGES = {
    "/well": "<title>Well</title><p>All is well</p>",
    "/console": "<script>console.error('it went wrong')</script>",
    "/thrown": "<script>throw new Error('nobody caught me')</script>",
    "/missing": "<link rel=stylesheet href=/none.css>",
    "/refused": "<img src=http://127.0.0.1:1/picture.png>",
}


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = _PAGES.get(self.path)
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<link rel=icon href=data:,>{text or ''}".encode())  # or one would be asked for

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_page_that_is_well_has_nothing_to_complain_of(open_page: Callable[..., Tab], pages: str) -> None:
    tab = open_page(f"{pages}/well", width=360, dark=True, language="fr")
    seen = tab.page.evaluate("[innerWidth, navigator.language, matchMedia('(prefers-color-scheme: dark)')"
                             ".matches]")
    assert (tab.page.inner_text("p"), seen) == ("All is well", [360, "fr", True])
    assert tab.complaints == []
    assert tab.requests == [f"{pages}/well"]


@pytest.mark.parametrize(("path", "complaint"), [
    ("/console", "console: it went wrong"), ("/thrown", "not caught: nobody caught me"),
    ("/missing", "status 404: "), ("/refused", "no answer: http://127.0.0.1:1/picture.png")])
def test_what_went_wrong_on_a_page_is_told(open_page: Callable[..., Tab], pages: str, path: str,
                                           complaint: str) -> None:
    tab = open_page(f"{pages}{path}")
    assert any(each.startswith(complaint) for each in tab.complaints), tab.complaints
    tab.complaints.clear()
