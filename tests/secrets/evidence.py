"""The secrets of a world, and everything in which none of them may be."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


class Needles:
    """The secrets by name: each has odd characters around a core that nothing else has."""

    def __init__(self, *names: str) -> None:
        self.core = {name: f"{name.capitalize()}Core{secrets.token_hex(6)}" for name in names}

    def value(self, name: str) -> str:
        return f"a@b/c#{self.core[name]}:%20?d"

    def plant(self, name: str, value: str) -> None:
        """One that somebody else made up."""
        self.core[name] = value

    def found(self, text: str) -> set[str]:
        """Which are in a text, as they are or under what messages put around them."""
        return {name for layer in _layers(text) for name, core in self.core.items() if core in layer}


def _layers(text: str, depth: int = 3) -> Iterator[str]:
    """A text; what is in it as base64, as JSON within JSON, and as a URL."""
    yield text
    if not depth:
        return
    for run in set(_BASE64.findall(text)):
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            with suppress(ValueError):
                yield from _layers(decode(run + "=" * (-len(run) % 4)).decode("latin-1"), depth - 1)
    if "%" in text:
        yield unquote(text)


@dataclass
class Evidence:
    """All that was written, printed or sent, by place, and the secrets that must not be in it."""

    needles: Needles
    places: dict[str, str] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    sentry_headers: str = ""

    def add(self, place: str, *texts: str | bytes) -> None:
        for text in texts:
            said = text.decode("latin-1") if isinstance(text, bytes) else text
            self.places[place] = f"{self.places.get(place, '')}\n{said}"
