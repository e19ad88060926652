"""Mail, as a service of Apprise's.

Apprise's own makes the plain text from the HTML. Ours is given both, and the text is exactly ours: it is
what somebody reads on a phone at night. Connection, TLS and login are Apprise's.
"""

from __future__ import annotations

import smtplib
from email import policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid, parseaddr
from typing import Any

from apprise import NotifyFormat
from apprise.exception import AppriseImproperlyConfigured
from apprise.plugins.base import NotifyBase
from apprise.plugins.email.smtp import SMTP_DEFAULT_PORTS, AppriseSMTPController, SMTPSecureMode

from nightscan_tasks.notify.message import Attachment, Message

_MODES = {"none": SMTPSecureMode.INSECURE, "starttls": SMTPSecureMode.STARTTLS, "tls": SMTPSecureMode.SSL}
# Every server takes it as it is: no line is too long, no byte above 127.
_POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=78)


class Mail(NotifyBase):  # type: ignore[misc]  # Apprise has no types
    """One recipient's mailbox. What is sent is `message`, for Apprise trims what it passes on."""

    service_name = "mail"
    protocol = "mailto"
    notify_format = NotifyFormat.TEXT
    title_maxlen = 1000
    message = Message("", "")
    files: tuple[Attachment, ...] = ()

    def __init__(self, *, sender: str, recipient: str, security: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sender, self._recipient, self._mode = sender, recipient, _MODES[security]

    def send(self, **_trimmed: Any) -> bool:
        """Hand the message to the mail server. What went wrong goes to Apprise's log, which is collected."""
        mail = compose(self._sender, self._recipient, self.message, self.files)
        try:
            with AppriseSMTPController(
                    self.host, self.port or SMTP_DEFAULT_PORTS[self._mode], self._mode, user=self.user,
                    password=self.password, verify_certificate=self.verify_certificate,
                    socket_connect_timeout=self.socket_connect_timeout) as server:
                return bool(server.sendmail(parseaddr(self._sender)[1], [parseaddr(self._recipient)[1]],
                                            mail.as_bytes()))
        except (OSError, smtplib.SMTPException, RuntimeError, AppriseImproperlyConfigured) as exc:
            self.logger.debug("%s: %s", type(exc).__name__, exc)
            return False

    def url(self, privacy: bool = False, *_args: Any, **_kwargs: Any) -> str:  # noqa: ARG002 - Apprise's signature
        """For Apprise's own records; never with a secret."""
        return "mailto://"


def compose(sender: str, recipient: str, message: Message,
            files: tuple[Attachment, ...] = ()) -> EmailMessage:
    """The whole mail. Nobody's vacation answers it, for it says that a program wrote it."""
    mail = EmailMessage(_POLICY)
    mail["Subject"] = " ".join(message.title.split())
    mail["From"], mail["To"] = sender, recipient
    mail["Date"] = localtime()
    mail["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or None)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
    for each in files:
        main, _, sub = each.media_type.partition("/")
        mail.add_attachment(each.content, maintype=main, subtype=sub, filename=each.name)
    return mail
