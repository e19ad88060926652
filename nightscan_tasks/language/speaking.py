"""One language: its words, and how it writes numbers, sizes and times."""

from __future__ import annotations

import gettext
import io
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

LANGUAGES = ("en", "fr")

_HERE = Path(__file__).parent
_STEP = 1000  # decimal units, as disks and networks have them
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = {"en": ("B", "kB", "MB", "GB", "TB"), "fr": ("o", "ko", "Mo", "Go", "To")}
_THIN = "\u202f"  # between a number and its unit, which stay on one line


@dataclass(frozen=True)
class Language:
    """`text` and `many` find the words; the rest writes values as the language does, times in `zone`."""

    code: str
    zone: ZoneInfo

    def text(self, message: str, **facts: object) -> str:
        """A sentence, its `{names}` replaced by these facts. The English one is its key."""
        found = _words(self.code).gettext(message) if message else ""
        return found.format(**facts) if facts else found

    def many(self, one: str, several: str, number: int, **facts: object) -> str:
        """A sentence about so many; `{number}` is how many."""
        found = _words(self.code).ngettext(one, several, number)
        return found.format(number=self.number(number), **facts)

    def number(self, value: float, *, digits: int = 0) -> str:
        """`3,400`; `3 400`."""
        return str(format_decimal(round(value, digits), locale=self.locale))

    def percent(self, share: float, *, digits: int = 0) -> str:
        """A share of 1 as per cent."""
        return str(format_percent(share, locale=self.locale, format=f"#,##0{'.' if digits else ''}"
                                  f"{'0' * digits}{' ' if self.code == 'fr' else ''}%"))

    def size(self, count: float) -> str:
        """Bytes: `1.6 GB`; `1,6 Go`."""
        units = _UNITS[self.code]
        for unit in units:
            if round(abs(count), 1) < _STEP or unit == units[-1]:
                break
            count /= _STEP
        return f"{self.number(count, digits=0 if unit == units[0] else 1)}{_THIN}{unit}"

    def duration(self, seconds: float) -> str:
        """A length of time, two units at most: `4.2 s`, `3 min 5 s`, `2 h`, `9 days`."""
        if seconds < _MINUTE:
            return f"{self.number(seconds, digits=1)}{_THIN}s"
        whole = round(seconds)
        if whole < _HOUR:
            return _pair(whole // _MINUTE, "min", whole % _MINUTE, "s")
        if whole < 2 * _DAY:
            return _pair(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
        return self.many("{number} day", "{number} days", whole // _DAY)

    def moment(self, moment: datetime) -> str:
        """A day and a time of day, in the zone of the timetable: `23 Nov 2026, 02:00`."""
        return f"{self.day(moment.astimezone(self.zone).date())} {self.clock(moment)}"

    def clock(self, moment: datetime) -> str:
        """The time of day alone."""
        return str(format_datetime(moment, "HH:mm", tzinfo=self.zone, locale=self.locale))

    def day(self, day: date) -> str:
        """`23 Nov 2026`; `23 nov. 2026`."""
        return str(format_date(day, "d MMM y", locale=self.locale))

    def month(self, day: date) -> str:
        """`November 2026`; `novembre 2026`."""
        return str(format_date(day, "LLLL y", locale=self.locale))

    @property
    def locale(self) -> Locale:
        """For what else Babel can write."""
        return Locale("en", "GB") if self.code == "en" else Locale(self.code)


def marked(message: str) -> str:
    """The sentence itself: so that one in a table is found when sentences are collected for translation."""
    return message


def language(code: str, zone: ZoneInfo) -> Language:
    """A language by its code, one of `LANGUAGES`."""
    return Language(code, zone)


def _pair(large: int, unit: str, small: int, lesser: str) -> str:
    return f"{large}{_THIN}{unit}" + (f" {small}{_THIN}{lesser}" if small else "")


@lru_cache
def _words(code: str) -> gettext.NullTranslations:
    """The words of a language; English has none of its own."""
    files = sorted((_HERE / code).glob("*.po"))
    if not files:
        return gettext.NullTranslations()
    whole = Catalog(locale=code)
    for path in files:
        with path.open("rb") as file:
            for message in read_po(file, locale=code):
                if message.id and not message.fuzzy:
                    whole[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
