"""What no message may quote: the values of the secret settings, and what can be told from them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from nightscan_tasks.settings import Settings

HIDDEN = "[hidden]"
_SHORTEST, _TOKEN_LONG, _TOKEN_SHORT = 4, 20, 6
# The whole of these is the secret, and so is each piece that looks like one; of other URLs the password is.
_KEYS_ALL_OVER = ("slack_webhook_url", "alert_urls", "ping_url")


class Secrets:
    """A set of secrets, and what hides them."""

    def __init__(self, values: Iterable[str]) -> None:
        known = {each for value in values for each in _forms(value) if len(each) >= _SHORTEST}
        longest_first = sorted(known, key=lambda each: (-len(each), each))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    @classmethod
    def of(cls, settings: Settings) -> Secrets:
        """Everything in the settings that prints as stars."""
        return cls(_values(settings))

    def hide(self, text: str) -> str:
        """The text, with every secret in it replaced."""
        return self._known.sub(HIDDEN, text) if self._known else text

    def hidden_in(self, value: object) -> object:
        """The same of everything in dicts and lists; what is no text stays."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {key: self.hidden_in(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.hidden_in(each) for each in value]
        return value


def _values(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr) or not value.get_secret_value():
            continue
        text = value.get_secret_value()
        yield from (text, *text.split())
        if name in _KEYS_ALL_OVER:
            yield from filter(_is_token, re.split(r"[/:@?&=#,{}\s]+", text))
        elif "://" in text:
            yield urlsplit(text).password or ""


def _forms(value: str) -> set[str]:
    """As it is written, as it is in an address, and as servers are told it."""
    plain = unquote(value)
    return {value, plain, *(base64.b64encode(each.encode()).decode() for each in {value, plain}
                            if len(each) >= _SHORTEST)}


def _is_token(piece: str) -> bool:
    """Whether a piece of a URL is more likely a key than a word."""
    return len(piece) >= _TOKEN_LONG or (
        len(piece) >= _TOKEN_SHORT and any(char.isdigit() for char in piece))
