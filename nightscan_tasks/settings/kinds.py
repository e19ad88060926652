"""The kinds of values that settings have, each with its check; a message says what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from nightscan_tasks.model import Tier
from nightscan_tasks.settings.addresses import problem_of


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError("not a time zone") from exc
    return value


def _port(value: int) -> int:
    if not 0 < value < 65536:  # noqa: PLR2004 - the largest TCP port
        raise ValueError("not a TCP port")
    return value


def _above_zero(value: int) -> int:
    if value < 1:
        raise ValueError("must be 1 or more")
    return value


def _not_below_zero(value: int) -> int:
    if value < 0:
        raise ValueError("must be 0 or more")
    return value


def _limit(value: int) -> int:
    if value < 0 or 0 < value < 1000:  # noqa: PLR2004 - below, somebody meant another unit
        raise ValueError("must be 0, or 1000 and more: it is in bytes a second")
    return value


def _nice(value: int) -> int:
    if not 0 <= value <= 19:  # noqa: PLR2004 - the range that needs no rights
        raise ValueError("must be from 0 to 19")
    return value


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", each):
            raise ValueError(f"{each!r} is no host's name: letters, digits and hyphens, without its domain")
    if len({each.lower() for each in value}) < len(value):
        raise ValueError("a host is named twice")
    return value


def _percent(value: int) -> int:
    if not 0 <= value <= 100:  # noqa: PLR2004 - per cent
        raise ValueError("must be from 0 to 100")
    return value


def _lock_mode(value: str) -> str:
    if value.lower() not in {"", "governance", "compliance"}:
        raise ValueError("must be governance, compliance or empty")
    return value.lower()


def _tier_days(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        tier, _, days = each.partition("=")
        if tier not in list(Tier) or not days.isdecimal() or not int(days):
            raise ValueError(f"{each!r} is not TIER=DAYS")
    return value


def _tier_hours(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        tier, _, hours = each.partition("=")
        if tier not in list(Tier) or not hours.isdecimal() or not int(hours):
            raise ValueError(f"{each!r} is not TIER=HOURS")
    return value


def _store_bytes(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        store, _, amount = each.partition("=")
        if not store or not amount.isdecimal() or not int(amount):
            raise ValueError(f"{each!r} is not STORE=BYTES")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    """A check that a value is one of a few words."""

    def check(value: str) -> str:
        if value.lower() not in words:
            named = [word or "empty" for word in words]
            raise ValueError(f"must be {', '.join(named[:-1])} or {named[-1]}")
        return value.lower()

    return check


def _fingerprints(value: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(each.replace(" ", "").upper() for each in value)
    if not all(re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", each) for each in found):
        raise ValueError("a fingerprint has 40 hexadecimal digits: `gpg --fingerprint` shows it")
    return found


def _postgres(value: SecretStr) -> SecretStr:
    return _of_scheme(value, {"postgresql", "postgres"}, "not a postgresql:// URI")


def _redis(value: SecretStr) -> SecretStr:
    return _of_scheme(value, {"redis", "rediss", "unix"}, "not a redis:// URL")


def _of_scheme(value: SecretStr, schemes: set[str], problem: str) -> SecretStr:
    if value.get_secret_value() and value.get_secret_value().partition("://")[0] not in schemes:
        raise ValueError(problem)
    return _address(value)


def _address(value: SecretStr) -> SecretStr:
    if problem := problem_of(value.get_secret_value()):
        raise ValueError(problem)
    return value


def _endpoint(value: str) -> str:
    if problem := problem_of(value):
        raise ValueError(problem)
    if "@" in urlsplit(value).netloc:
        raise ValueError("keys do not belong in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A tuple that the environment writes with commas between."""

TierDays = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_tier_days)]
TierHours = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_tier_hours)]
StoreBytes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_store_bytes)]
LanguageCode = Annotated[str, AfterValidator(_one_of("en", "fr"))]
SmtpSecurity = Annotated[str, AfterValidator(_one_of("none", "starttls", "tls"))]
LogFormat = Annotated[str, AfterValidator(_one_of("text", "json"))]
DumpFormat = Annotated[str, AfterValidator(_one_of("sql", "directory"))]
Ionice = Annotated[str, AfterValidator(_one_of("", "best-effort", "idle"))]
Nice = Annotated[int, AfterValidator(_nice)]
Days = Annotated[int, AfterValidator(_not_below_zero)]
Limit = Annotated[int, AfterValidator(_limit)]
HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_host_names)]
Fingerprints = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_fingerprints)]
Zone = Annotated[str, AfterValidator(_zone)]
Port = Annotated[int, AfterValidator(_port)]
Positive = Annotated[int, AfterValidator(_above_zero)]
Percent = Annotated[int, AfterValidator(_percent)]
LockMode = Annotated[str, AfterValidator(_lock_mode)]
PostgresUri = Annotated[SecretStr, AfterValidator(_postgres)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
SecretUrl = Annotated[SecretStr, AfterValidator(_address)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
