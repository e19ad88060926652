"""A mail server on loopback that keeps what it is handed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PASSWORD = "hunter2-and-more"


@dataclass
class PostOffice:
    """What a mail server was handed; `refusals` is what it says to some addresses instead."""

    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    port: int = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str,  # noqa: N802 - aiosmtpd's names
                          _options: Any) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str,
                     data: Any) -> AuthResult:
        self.logins.append(data.login)
        return AuthResult(success=data.password.decode() == PASSWORD, handled=False)


@contextmanager
def post_office(*, ssl_context: ssl.SSLContext | None = None, **options: Any) -> Iterator[PostOffice]:
    """A mail server; `options` are the controller's: `tls_context=…, auth_required=True`."""
    office = PostOffice()
    controller = _Controller(office, hostname="127.0.0.1", authenticator=office.authenticate,
                             ssl_context=ssl_context, **options)
    controller.start()
    office.port = controller.port
    try:
        yield office
    finally:
        controller.stop()


class _Controller(Controller):  # type: ignore[misc]  # aiosmtpd has no types
    """One whose port is free: it listens first, and tells then where."""

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, host=self.hostname, port=0,
                                       ssl=self.ssl_context)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((self.hostname, self.port)) as plain:
            if self.ssl_context is not None:
                client.wrap_socket(plain).close()
