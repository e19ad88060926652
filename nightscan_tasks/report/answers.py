"""What the server answers: each address is a class, all with the same headers, and the same way to refuse."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tornado.web import HTTPError, RequestHandler

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.language import Language
from nightscan_tasks.report import monthly_html
from nightscan_tasks.report.desk import Desk
from nightscan_tasks.report.listening import Listening, is_loopback
from nightscan_tasks.report.metrics import CONTENT_TYPE, metrics_text
from nightscan_tasks.report.monthly import Month
from nightscan_tasks.report.monthly_making import find
from nightscan_tasks.report.page import error_page, page, policy
from nightscan_tasks.report.status import as_json
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import Overview

REFRESH_SECONDS = 300
_GUESS_SECONDS = 0.5  # that a wrong password costs
_UNAUTHORIZED, _NOT_FOUND, _MISDIRECTED, _SERVER_ERROR, _UNAVAILABLE = 401, 404, 421, 500, 503
_HEADERS = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store", "Server": "nightscan",
}
_log = logging.getLogger("nightscan.serve")


class Handler(RequestHandler):
    """What every answer has: who may ask, headers, and errors that say what is wrong."""

    def initialize(self, system: System, desk: Desk, language: Language, listening: Listening) -> None:
        """What all handlers share."""
        self.system, self.desk, self.language, self.listening = system, desk, language, listening

    def set_default_headers(self) -> None:
        """The same on every answer."""
        _set_headers(self)

    async def prepare(self) -> None:
        """Refuse whoever has not the password, or without one asks for another host than this."""
        if self.listening.password:
            await self._ask_password()
        elif not is_loopback(urlsplit(f"//{self.request.host}").hostname or ""):
            raise HTTPError(_MISDIRECTED)

    async def head(self, *arguments: str | None) -> None:
        """As if it were to be shown."""
        await self.get(*arguments)  # tornado leaves the body out

    async def get(self, *_arguments: str | None) -> None:
        """Nothing, unless a class says what."""
        raise HTTPError(_NOT_FOUND)

    def show(self, html: str) -> None:
        """A page, under its own policy."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", f"{policy(html)}; frame-ancestors 'none'")
        self.finish(html)

    def write_error(self, status_code: int, **facts: Any) -> None:
        """A page that says what is wrong, without a traceback."""
        error = facts.get("exc_info", (None, None, None))[1]
        if status_code == _UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="NightScan", charset="UTF-8"')
        title, message = _told(error, status_code, self.language)
        self.show(error_page(title, message, self.language, status=status_code))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Where it happened; not its text, in which a library may quote a password."""
        if isinstance(value, NightscanError):
            _log.warning("%s: %s", self.request.path, value)
        elif not isinstance(value, HTTPError):
            _log.error("%s: %s\n%s", self.request.path, typ.__name__, "".join(traceback.format_tb(tb)))

    def send_error(self, status_code: int = _SERVER_ERROR, **facts: Any) -> None:
        """What cannot be looked at now is no fault of the program."""
        error = facts.get("exc_info", (None, None, None))[1]
        super().send_error(_UNAVAILABLE if isinstance(error, NightscanError) else status_code, **facts)

    async def _ask_password(self) -> None:
        given = _password(self.request.headers.get("Authorization", ""))
        wanted = self.listening.password
        if given is not None and hmac.compare_digest(_digest(given), _digest(wanted)):
            return
        if given is not None:
            await asyncio.sleep(_GUESS_SECONDS)
        raise HTTPError(_UNAUTHORIZED)


class ShowPage(Handler):
    """The page."""

    async def get(self, *_arguments: str | None) -> None:
        """Made once for all."""
        refresh = 0 if self.get_query_argument("refresh", "") == "off" else REFRESH_SECONDS
        self.show(await self.desk.made(f"page {refresh}", lambda overview: page(
            overview, self.language, served=True, refresh_seconds=refresh)))


class ShowStatus(Handler):
    """What `nightscan status --json` prints."""

    async def get(self, *_arguments: str | None) -> None:
        """As it was last looked at."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(await self.desk.made("status", lambda overview: json.dumps(
            as_json(overview, self.language), ensure_ascii=False, indent=1) + "\n"))


class ShowMetrics(Handler):
    """For Prometheus."""

    async def get(self, *_arguments: str | None) -> None:
        """As they were last looked at."""
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(await self.desk.made("metrics", metrics_text))


class ShowReport(Handler):
    """The report of a month; last month's unless one is named."""

    async def get(self, *arguments: str | None) -> None:
        """Of a month of which something is known."""
        overview, zone = await self.desk.overview(), self.system.settings.zone
        this = Month.of(overview.now, zone)
        try:
            month = Month.parse(arguments[0]) if arguments and arguments[0] else this.before
        except ValueError as exc:
            raise HTTPError(_NOT_FOUND) from exc
        if month > this:
            raise HTTPError(_NOT_FOUND)
        written = await self.desk.made(f"report {month}", self._written(month))
        if not written:
            raise HTTPError(_NOT_FOUND)  # nothing is known of it
        self.show(written)

    def _written(self, month: Month) -> Callable[[Overview], str]:
        system, language = self.system, self.language

        def write(overview: Overview) -> str:
            report = find(system, month, overview)
            return monthly_html.render(report, language) if report else ""

        return write


class Nothing(Handler):
    """Whatever else is asked for."""


class Alive(RequestHandler):
    """That the server answers, and nothing more."""

    def set_default_headers(self) -> None:
        """The same on every answer."""
        _set_headers(self)

    def get(self) -> Awaitable[None]:
        """Without looking at anything."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        return self.finish("ok\n")

    def head(self) -> Awaitable[None]:
        """The same without its text."""
        return self.get()


def _set_headers(handler: RequestHandler) -> None:
    handler.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    for name, value in _HEADERS.items():
        handler.set_header(name, value)


def _told(error: BaseException | None, status: int, language: Language) -> tuple[str, str]:
    """What went wrong, as a title and a sentence."""
    if isinstance(error, NightscanError):
        return language.text("The state cannot be read now"), str(error)
    if status == _UNAUTHORIZED:
        return language.text("A password is needed"), language.text(
            "It is the one of NIGHTSCAN_SERVE_PASSWORD; the name does not matter.")
    if status == _MISDIRECTED:
        return language.text("Asked for under another name"), language.text(
            "Without a password only requests to localhost are answered: set NIGHTSCAN_SERVE_PASSWORD.")
    if status < _SERVER_ERROR:
        return language.text("There is nothing here"), language.text("The page is at /.")
    return language.text("Something went wrong"), language.text("The log of `nightscan serve` says where.")


def _password(header: str) -> str | None:
    """What was given; None where nothing, or nothing that can be read."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    with suppress(binascii.Error, UnicodeDecodeError, ValueError):
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
    return None


def _digest(text: str) -> bytes:
    """So that comparing takes as long whatever the lengths."""
    return hashlib.sha256(text.encode()).digest()


def logged(handler: RequestHandler) -> None:
    """Quiet when well; the address without what follows its `?`."""
    if handler.get_status() >= _SERVER_ERROR:
        _log.warning("%s %s: status %s", handler.request.method, handler.request.path, handler.get_status())
