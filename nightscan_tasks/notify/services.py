"""Apprise, which knows how to tell a hundred services. Only `delivery` imports this, when it is needed.

Its log, and that of the HTTP library below it, quote addresses, which are secret: nothing of them goes to
ours. What a failure was is told from them by `answers`.
"""

from __future__ import annotations

import logging
import platform
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import apprise
from apprise.attachment.memory import AttachMemory
from apprise.plugins.custom_json import NotifyJSON

from nightscan_tasks.notify.answers import Answer, explain
from nightscan_tasks.notify.channels import MAIL, SLACK, Channel, is_slack
from nightscan_tasks.notify.mail import Mail
from nightscan_tasks.notify.message import Attachment, Message
from nightscan_tasks.notify.secrecy import Secrets

_SOCKET_SECONDS = 10.0
_AT_MOST_SECONDS = 30.0

_apprise_log = logging.getLogger("apprise")
_apprise_log.propagate = False
_apprise_log.setLevel(logging.DEBUG)  # where it tells what went wrong; a result collects it
_apprise_log.addHandler(logging.NullHandler())
logging.getLogger("urllib3").setLevel(logging.INFO)  # below, it tells the path of every request

_ASSET = apprise.AppriseAsset(app_id="NightScan", app_desc="NightScan backups", app_url="",
                              image_url_mask="", image_url_logo="",  # nobody fetches pictures of Apprise's
                              storage_mode="memory", http_redirects=False, interpret_emojis=False)


def send(channel: Channel, message: Message) -> Answer | None:
    """None when the channel took the message; otherwise why it did not."""
    try:
        files = message.files()
    except OSError as exc:
        return Answer(f"an attachment cannot be read: {exc.strerror}", "is it still there?", transient=False)
    service = _service(channel)
    if service is None:
        return refusal(channel)
    said = apprise.Apprise(service, asset=_ASSET)
    if isinstance(service, Mail):
        service.message, service.files = message, files
    result = said.notify(title=message.title, body=message.text, body_format=apprise.NotifyFormat.TEXT,
                         attach=_attached(service, files), timeout=_AT_MOST_SECONDS, log_level=logging.DEBUG)
    with result:
        if result:
            return None
        status = " did not finish" if result.status.name == "TIMEOUT" else ""
        told = "\n".join(entry.message for entry in result.logs()) + status
    return explain(told, channel.setting, Secrets.of(channel.settings))


def refusal(channel: Channel) -> Answer | None:
    """What is wrong with the channel's settings, without quoting them."""
    if _service(channel) is not None:
        return None
    setting = channel.setting
    if is_slack(channel):
        expected = "expected https://hooks.slack.com/services/T…/B…/…, as Slack shows it"
    elif channel.kind == SLACK:
        expected = "expected an http:// or https:// address"
    else:
        expected = (f"Apprise knows no such {channel.kind}:// URL; "
                    f"https://appriseit.com/services/ shows the form of each")
    return Answer(f"{setting} is wrong: {expected}", f"correct {setting}", transient=False)


def _service(channel: Channel) -> Any:
    """The plugin of Apprise's that tells this channel, or None where there is none."""
    if channel.kind == MAIL:
        service = _mail(channel)
    elif channel.kind == SLACK and not is_slack(channel):
        service = _webhook(channel)
    else:
        service = apprise.Apprise.instantiate(_written(channel), asset=_ASSET)
    if service is not None:
        service.socket_connect_timeout = service.socket_read_timeout = _SOCKET_SECONDS
    return service


def _written(channel: Channel) -> str:
    """The URL as it was set; Slack is not asked to fetch a picture of Apprise's for each message."""
    url = channel.url.get_secret_value()
    return f"{url}{'&' if '?' in url else '?'}image=no" if is_slack(channel) else url


def _webhook(channel: Channel) -> Any:
    """The POST that the guide's script makes: one JSON object with a `text`."""
    parts = urlsplit(channel.url.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return Webhook(
        asset=_ASSET, schema="jsons" if parts.scheme == "https" else "json",
        secure=parts.scheme == "https", host=parts.hostname, port=parts.port, user=parts.username,
        password=parts.password, fullpath=parts.path, params=dict(parse_qsl(parts.query)),
        payload={"version": "", "title": "", "attachments": "", "type": "", "message": "text"})


class Webhook(NotifyJSON):  # type: ignore[misc]  # Apprise has no types
    """Title and text in one, for there is one field."""

    attachment_support = False

    def send(self, body: str, title: str = "", **more: Any) -> bool:
        """The title is the first line."""
        return bool(super().send(body=f"{title}\n{body}" if title else body, title="", **more))


def _mail(channel: Channel) -> Mail:
    settings = channel.settings
    host = platform.node() or "localhost"
    sender = settings.smtp_from or f"nightscan@{host if '.' in host else f'{host}.localdomain'}"
    return Mail(asset=_ASSET, schema="mailto", host=settings.smtp_host, port=settings.smtp_port or None,
                user=quote(settings.smtp_user, safe=""), security=settings.smtp_security, sender=sender,
                password=quote(settings.smtp_password.get_secret_value(), safe=""),
                recipient=channel.url.get_secret_value())


def _attached(service: Any, files: tuple[Attachment, ...]) -> Any:
    if not files or isinstance(service, Mail) or not service.attachment_support:
        return None
    return apprise.AppriseAttachment([AttachMemory(each.content, name=each.name, mimetype=each.media_type)
                                      for each in files])
