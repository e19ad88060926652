"""The dead man's switch: one that is told when a run starts and ends, and raises an alarm when nobody does.

It speaks Healthchecks' protocol: `URL/start` when a run begins, `URL` when it ended well, `URL/fail` when it
did not. Each is a POST whose body people read; `rid`, the same for both ends of a run, measures how long
it took.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit
from uuid import UUID, uuid5

from nightscan_tasks.errors import NightscanError, TransientError
from nightscan_tasks.model import Tier
from nightscan_tasks.notify.answers import Answer, explain, http
from nightscan_tasks.notify.secrecy import Secrets
from nightscan_tasks.settings import Settings

PING_SECONDS = 10.0
_RUNS = UUID("6f0c4a52-5f0e-5d0c-9d55-2f3a9d3c7f10")  # of no meaning but that it is ours, for ever
_LONGEST_BYTES = 8000  # Healthchecks keeps 10 kB or more of a body
_SETTING = "NIGHTSCAN_PING_URL"


class Phase(StrEnum):
    """What of a run is told."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class NotPinged(NightscanError):
    """The dead man's switch did not take a ping: says why and what to do, and never where it is."""


class NotPingedYet(NotPinged, TransientError):
    """It may take it a little later."""

    transient = True


def ping_id(run_id: str) -> UUID:
    """The same for every ping and check-in of a run, whichever process sends it."""
    return uuid5(_RUNS, run_id)


@dataclass(frozen=True)
class Ping:
    """One ping: what happened to a run of a tier, in words."""

    tier: Tier
    phase: Phase
    run_id: str
    text: str


def ping(settings: Settings, told: Ping, *, seconds: float = PING_SECONDS) -> None:
    """Send it, within so many seconds; `NotPinged`, or `NotPingedYet` where it may pass.

    Nothing is followed that leads elsewhere. Without a URL in the settings nothing happens.
    """
    url = settings.ping_url.get_secret_value()
    if not url:
        return
    text = Secrets.of(settings).hide(told.text)
    answer = wrong(settings) or _within(seconds, _request(address(url, told), text), settings)
    if answer is not None:
        kind = NotPingedYet if answer.transient else NotPinged
        raise kind(f"the dead man's switch was not told: {answer.reason}\n{answer.advice}")


def wrong(settings: Settings) -> Answer | None:
    """What is wrong with the URL on its face; None if nothing, or if there is none."""
    url = settings.ping_url.get_secret_value()
    if not url:
        return None
    parts = urlsplit(url.replace("{tier}", "tier"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or "{" in parts.geturl():
        return Answer(f"{_SETTING} is wrong: expected an http:// or https:// address, in which {{tier}} may "
                      f"stand for the tier", f"correct {_SETTING}", transient=False)
    return None


def address(url: str, told: Ping) -> str:
    """Where a ping goes: the phase behind the path, and which run it is of in the query."""
    parts: SplitResult = urlsplit(url.replace("{tier}", told.tier))
    phase = "" if told.phase is Phase.SUCCESS else f"/{told.phase}"
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("rid", str(ping_id(told.run_id)))]
    return parts._replace(path=quote(parts.path.rstrip("/"), safe="/%") + phase, query=urlencode(query),
                          fragment="").geturl()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the address is secret, and what is told is for it alone."""

    def redirect_request(self, *_asked: Any) -> None:
        """Never."""


def _request(url: str, text: str) -> urllib.request.Request:
    return urllib.request.Request(url, data=text.encode()[:_LONGEST_BYTES], method="POST", headers={  # noqa: S310 - `wrong` looked at the scheme
        "Content-Type": "text/plain; charset=utf-8", "User-Agent": "NightScan"})


def _within(seconds: float, request: urllib.request.Request, settings: Settings) -> Answer | None:
    """Ask, but wait no longer than that: a server that sends a byte now and then would never time out."""
    found: list[Answer | None] = []
    thread = threading.Thread(target=lambda: found.append(_ask(seconds, request, settings)), daemon=True,
                              name="ping")
    thread.start()
    thread.join(seconds + 1)
    return found[0] if found else explain("timed out", _SETTING, Secrets(()))


def _ask(seconds: float, request: urllib.request.Request, settings: Settings) -> Answer | None:
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=seconds) as taken:
            said = taken.read(200)
    except urllib.error.HTTPError as exc:
        with exc:
            return http(exc.code, _SETTING)
    except (OSError, HTTPException, ValueError) as exc:
        return explain(f"{type(exc).__name__}: {exc}", _SETTING, Secrets.of(settings))
    if b"not found" in said:  # Healthchecks answers 200 for a check that it does not have
        return Answer("it has no such check", f"make one for each tier, or correct {_SETTING}",
                      transient=False)
    return None
