"""Numbers, times and words as people read them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta

_STEP = 1000  # decimal units, as disks and networks have them
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def printable(text: str) -> str:
    """The same with what a terminal would obey, or hide, written out; lines and tabs stay.

    What is printed may come out of a store that somebody else writes to.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def nearest(word: str, known: Sequence[str]) -> str:
    """What to say of a word that is not known: `did you mean daily?`, or which there are."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"


def size(count: float) -> str:
    """Bytes: `412 B`, `1.6 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if round(count, 1) < _STEP:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TB"


def rate(count: float, seconds: float) -> str:
    """Bytes in seconds as a speed."""
    return f"{size(count / seconds)}/s" if seconds > 0 else "-"


def ratio(plain_bytes: int, stored_bytes: int) -> str:
    """How much of the plain size is stored: `41 %`."""
    return f"{100 * stored_bytes / plain_bytes:.0f} %" if plain_bytes else "-"


def duration(seconds: float) -> str:
    """A length of time, two units at most: `4.2 s`, `3 min 5 s`, `2 h`, `9 days`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min" + (f" {whole % _MINUTE} s" if whole % _MINUTE else "")
    if whole < 2 * _DAY:
        minutes = whole % _HOUR // _MINUTE
        return f"{whole // _HOUR} h" + (f" {minutes} min" if minutes else "")
    return f"{whole // _DAY} days"


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in one unit: `40 s`, `12 min`, `9 h`, `3 days`; the future says so."""
    seconds = round((now - moment).total_seconds())
    if seconds < 0:
        return "in the future"
    if seconds < 2 * _MINUTE:
        return f"{seconds} s"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR} h"
    return f"{seconds // _DAY} days"


def ago(moment: datetime, now: datetime) -> str:
    """The same as a phrase: `9 h ago`."""
    told = age(moment, now)
    return told if now < moment - timedelta(seconds=1) else f"{told} ago"


def stamp(moment: datetime) -> str:
    """A moment in the log of a person: `2026-11-23 02:00:00 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def minute(moment: datetime) -> str:
    """The same where seconds do not matter: `2026-11-23 02:00 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def encryption(encrypted_for: str | None) -> str:
    """Said wherever a set is shown."""
    return f"encrypted for {encrypted_for}" if encrypted_for else "not encrypted"


def count(number: int, noun: str) -> str:
    """A number and its noun: `1 file`, `3,400 files`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:] not in {"ay", "ey", "oy"} else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
