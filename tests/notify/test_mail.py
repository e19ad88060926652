"""Mail, through real servers: what arrives, and what is said when it does not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.notify import Attachment, Message, NotDelivered, NotDeliveredYet, deliver, services
from tests.mail import PASSWORD

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # of the server, on loopback
_LOGIN = {"NIGHTSCAN_SMTP_USER": "night@scan", "NIGHTSCAN_SMTP_PASSWORD": PASSWORD}


def content(part: Any) -> str:
    """A part's text; on the wire its lines end as those of every mail."""
    said: str = part.get_content()
    return said.replace("\r\n", "\n")


def test_the_text_arrives_exactly_as_it_was_written(post_office: Any, mail_to: Any, message: Message) -> None:
    office = post_office()
    deliver(mail_to(office.port, NIGHTSCAN_SMTP_FROM="NightScan <night@scan.org>")[0], message)
    (mail,) = office.mails
    assert office.envelopes == [("night@scan.org", ["admin@nightscan.com"])]
    assert mail.get_content_type() == "text/plain"
    assert content(mail) == message.text
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        message.title, "NightScan <night@scan.org>", "admin@nightscan.com")
    assert mail["Auto-Submitted"] == "auto-generated"  # no vacation notice comes back
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@scan.org>")


def test_html_is_an_alternative_to_the_same_text_and_files_come_along(
        post_office: Any, mail_to: Any, message: Message, tmp_path: Path) -> None:
    office, chart = post_office(), tmp_path / "taille des sauvegardes.svg"
    chart.write_text("<svg/>")
    rich = Message(message.title, message.text, "<p>Depuis hier à 02:00</p>",
                   (chart, Attachment("report.json", b'{"a": 1}')))
    deliver(mail_to(office.port)[0], rich)
    (mail,) = office.mails
    body, *files = list(mail.iter_parts())
    assert body.get_content_type() == "multipart/alternative"
    text, html = body.iter_parts()
    assert (text.get_content_type(), content(text)) == ("text/plain", message.text)
    assert (html.get_content_type(), html.get_content().strip()) == (
        "text/html", "<p>Depuis hier à 02:00</p>")
    assert [(each.get_filename(), each.get_content_type()) for each in files] == [
        ("taille des sauvegardes.svg", "image/svg+xml"), ("report.json", "application/json")]
    assert [each.get_content() for each in files] == [b"<svg/>", b'{"a": 1}']


def test_each_address_is_told_alone_so_one_that_is_refused_is_no_matter_to_the_others(
        post_office: Any, mail_to: Any, message: Message) -> None:
    office = post_office()
    office.refusals = {"gone@nightscan.com": "550 5.1.1 no such mailbox"}
    first, second, third = mail_to(office.port, "admin@nightscan.com, gone@nightscan.com,root")
    deliver(first, message)
    with pytest.raises(NotDelivered, match=r"^mail2: it answers 550 5\.1\.1 no such mailbox") as refused:
        deliver(second, message)
    assert not refused.value.transient
    assert "BACKUP_EMAIL" in refused.value.advice
    deliver(third, message)
    assert [to for _, to in office.envelopes] == [["admin@nightscan.com"], ["root"]]


def test_a_mailbox_that_is_full_may_be_tried_again(post_office: Any, mail_to: Any, message: Message) -> None:
    office = post_office()
    office.refusals = {"admin@nightscan.com": "452 4.2.2 mailbox full"}
    with pytest.raises(NotDeliveredYet, match=r"452 4\.2\.2 mailbox full"):
        deliver(mail_to(office.port)[0], message)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_who_logs_in_does_so_over_tls(security: str, post_office: Any, mail_to: Any, message: Message,
                                      certificate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    how = {"tls_context": certificate.context, "require_starttls": True} if security == "starttls" else {
        "ssl_context": certificate.context, "auth_require_tls": False}
    office = post_office(auth_required=True, **how)
    deliver(mail_to(office.port, NIGHTSCAN_SMTP_SECURITY=security, **_LOGIN)[0], message)
    assert office.logins == [b"night@scan"]
    assert office.encrypted == [True]
    assert content(office.mails[0]) == message.text


def test_a_certificate_that_nobody_vouches_for_is_not_believed(
        post_office: Any, mail_to: Any, message: Message, certificate: Any) -> None:
    office = post_office(tls_context=certificate.context)
    with pytest.raises(NotDelivered, match="its certificate cannot be verified") as refused:
        deliver(mail_to(office.port, NIGHTSCAN_SMTP_SECURITY="starttls", **_LOGIN)[0], message)
    assert not refused.value.transient
    assert not office.logins


def test_no_password_goes_to_a_server_that_will_not_encrypt(post_office: Any, mail_to: Any,
                                                            message: Message) -> None:
    office = post_office(auth_require_tls=False)
    with pytest.raises(NotDelivered, match="it does not offer STARTTLS\nset NIGHTSCAN_SMTP_SECURITY"):
        deliver(mail_to(office.port, NIGHTSCAN_SMTP_SECURITY="starttls", **_LOGIN)[0], message)
    assert not office.logins


def test_a_wrong_password_is_said_without_the_password(
        post_office: Any, mail_to: Any, message: Message, everything_logged: Callable[[], str]) -> None:
    office = post_office(auth_require_tls=False, auth_required=True)
    wrong = {**_LOGIN, "NIGHTSCAN_SMTP_PASSWORD": "no%2Fsecret#1"}
    with pytest.raises(NotDelivered, match=r"it refuses the login \(535\)") as refused:
        deliver(mail_to(office.port, **wrong)[0], message)
    assert "NIGHTSCAN_SMTP_PASSWORD" in refused.value.advice
    assert "secret" not in str(refused.value) + everything_logged()


def test_a_reply_that_quotes_the_password_is_not_passed_on(post_office: Any, mail_to: Any,
                                                           message: Message) -> None:
    office = post_office()
    office.refusals = {"admin@nightscan.com": f"550 I was told {PASSWORD} by you"}
    with pytest.raises(NotDelivered, match=r"550 I was told \[hidden\] by you"):
        deliver(mail_to(office.port, NIGHTSCAN_SMTP_PASSWORD=PASSWORD)[0], message)


def test_where_nobody_listens_or_nobody_answers_it_is_said_soon(
        mail_to: Any, message: Message, drip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_AT_MOST_SECONDS", 0.5)
    monkeypatch.setattr(services, "_SOCKET_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotDeliveredYet, match="nothing listens there"):
        deliver(mail_to(port)[0], message)
    with pytest.raises(NotDeliveredYet, match="it does not answer in time"):
        deliver(mail_to(drip.port)[0], message)
    assert not drip.left  # each letter of its came in time, so no socket's limit ended it


def test_an_attachment_that_is_gone_is_said(post_office: Any, mail_to: Any, tmp_path: Path) -> None:
    office = post_office()
    with pytest.raises(NotDelivered, match="an attachment cannot be read: No such file"):
        deliver(mail_to(office.port)[0], Message("Title", "text", attachments=(tmp_path / "gone.svg",)))
    assert not office.mails
