"""Whom there is to tell, as the settings have it.

Every address of `BACKUP_EMAIL` is a channel of its own: so one mailbox that is full is no reason to tell
the others again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from nightscan_tasks.settings import Settings

MAIL, SLACK = "mail", "slack"
_LONGEST_KIND = 16
_SLACK_HOSTS = {"hooks.slack.com", "hooks.slack-gov.com"}


@dataclass(frozen=True)
class Channel:
    """One that is told. `name` is its own (`mail`, `slack`, `ntfy`; a second one of a kind `mail2`).

    `place` says for people where that is, without anything secret; `setting` names the variable that it is
    from. `url` is where it is: a mail address, a webhook, or an URL of Apprise's.
    """

    name: str
    kind: str
    place: str
    setting: str
    url: SecretStr = field(repr=False)
    settings: Settings = field(repr=False, compare=False)


def channels(settings: Settings) -> tuple[Channel, ...]:
    """Everybody who is to be told: mail first, then Slack, then the others, in the order of the settings."""
    seen: Counter[str] = Counter()
    found = []
    for kind, place, setting, url in _told(settings):
        seen[kind] += 1
        name = kind if seen[kind] == 1 else f"{kind}{seen[kind]}"
        found.append(Channel(name, kind, place, setting, SecretStr(url), settings))
    return tuple(found)


def _told(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    for address in (each.strip() for each in settings.email.split(",")):
        if address:
            yield MAIL, f"{address}, through {settings.smtp_host}", "BACKUP_EMAIL", address
    if webhook := settings.slack_webhook_url.get_secret_value():
        yield SLACK, _host(webhook), "SLACK_WEBHOOK_URL", webhook
    for url in settings.alert_urls.get_secret_value().split():
        kind = _kind(url)
        yield kind, f"{kind}, by Apprise", "NIGHTSCAN_ALERT_URLS", url


def is_slack(channel: Channel) -> bool:
    """Whether it is Slack itself, not something else that understands the same."""
    return channel.kind == SLACK and _host(channel.url.get_secret_value()) in _SLACK_HOSTS


def _host(url: str) -> str:
    return urlsplit(url).hostname or "an address without a host"


def _kind(url: str) -> str:
    """The service's short name: Apprise's schema, or of a service's own https:// address its domain.

    Whatever else is in such a URL may be the secret itself.
    """
    scheme, found, rest = url.partition("://")
    labels = rest.split("/")[0].split("?")[0].split(".")
    native = scheme.lower() in {"http", "https"} and len(labels) > 1
    kind = labels[-2] if native else scheme
    return kind.lower() if found and kind.isalnum() and len(kind) <= _LONGEST_KIND else "other"
