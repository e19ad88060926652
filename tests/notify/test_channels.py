"""Who is to be told, and that no setting's secret shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightscan_tasks.notify import Channel, NotDelivered, channels, prove
from nightscan_tasks.settings import load

_SLACK = "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/cccccccccccccccccccccccc"
_SECRET = "s3cr3t" * 4


def named(**environ: str) -> tuple[Channel, ...]:
    return channels(load(environ))


def test_there_is_one_for_each_address_webhook_and_url() -> None:
    found = named(BACKUP_EMAIL="a@b.org, c@d.org,", SLACK_WEBHOOK_URL=_SLACK, NIGHTSCAN_ALERT_URLS=(
        f"ntfy://ntfy.example.org/{_SECRET}  tgram://1:{_SECRET}/2\nntfys://other/x ntfy://third/y "
        f"https://discord.com/api/webhooks/1/{_SECRET}"))
    assert [(each.name, each.kind) for each in found] == [
        ("mail", "mail"), ("mail2", "mail"), ("slack", "slack"), ("ntfy", "ntfy"), ("tgram", "tgram"),
        ("ntfys", "ntfys"), ("ntfy2", "ntfy"), ("discord", "discord")]
    assert "a@b.org" in found[0].place


def test_without_any_setting_there_is_none() -> None:
    assert named() == ()


def test_nothing_that_is_shown_of_a_channel_is_secret() -> None:
    found = named(SLACK_WEBHOOK_URL=f"https://u:{_SECRET}@chat.example.org/hooks/{_SECRET}?k={_SECRET}",
                  NIGHTSCAN_ALERT_URLS=f"tgram://{_SECRET}/1 {_SECRET} {_SECRET}://x json://{_SECRET}",
                  NIGHTSCAN_SMTP_PASSWORD=_SECRET, BACKUP_EMAIL="a@b.org")
    assert [each.place for each in found][1] == "chat.example.org"
    for each in found:
        assert _SECRET not in f"{each!r} {each} {each.place}"


@pytest.mark.parametrize(("setting", "url"), [
    ("SLACK_WEBHOOK_URL", f"https://hooks.slack.com/services/{_SECRET}"),
    ("SLACK_WEBHOOK_URL", f"ftp://chat.example.org/{_SECRET}"),
    ("NIGHTSCAN_ALERT_URLS", f"nosuchservice://{_SECRET}"), ("NIGHTSCAN_ALERT_URLS", _SECRET),
    ("NIGHTSCAN_ALERT_URLS", f"pover://{_SECRET}"), ("NIGHTSCAN_ALERT_URLS", f"https://example.org/{_SECRET}")])
def test_an_url_that_cannot_be_read_names_its_setting_and_quotes_nothing(setting: str, url: str) -> None:
    (channel,) = named(**{setting: url})
    with pytest.raises(NotDelivered) as refused:
        prove(channel)
    assert setting in str(refused.value)
    assert _SECRET not in str(refused.value)
    assert not refused.value.transient


@pytest.mark.parametrize("url", [
    _SLACK, "https://chat.example.org/hooks/x", "ntfy://topic", "tgram://123456789:abcdefghijklmno/12345",
    "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz"])
def test_what_can_be_read_is_taken(url: str) -> None:
    name = "SLACK_WEBHOOK_URL" if "slack" in url or "chat" in url else "NIGHTSCAN_ALERT_URLS"
    prove(named(**{name: url})[0])


def test_a_process_that_tells_nobody_loads_neither_apprise_nor_sentry() -> None:
    code = ("import sys, worker, nightscan_tasks.notify\n"
            "worker.app.loader.import_default_modules()\n"
            "loaded = {name.partition('.')[0] for name in sys.modules}\n"
            "assert 'nightscan_tasks' in loaded\n"
            "print(sorted(loaded & {'apprise', 'sentry_sdk', 'requests'}))")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[2])
    assert done.stdout.strip() == "[]"
