"""Why a message was not taken, from what a library says of it.

Libraries quote addresses, and those are secret. So nothing of what they say is passed on, except for what
is known by its form: the number of an HTTP answer, a mail server's reply, a kind of failure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightscan_tasks.notify.secrecy import Secrets

_LONGEST = 200


@dataclass(frozen=True)
class Answer:
    """What went wrong, what to do, and whether it may go away by itself."""

    reason: str
    advice: str
    transient: bool = True


_KNOWN = (  # each pattern of what libraries say, and what it means
    ("CERTIFICATE_VERIFY_FAILED|certificate verify failed", Answer(
        "its certificate cannot be verified",
        "install its authority on this host, or name the host as its certificate does", transient=False)),
    ("WRONG_VERSION_NUMBER|wrong version number|UNKNOWN_PROTOCOL|record layer failure", Answer(
        "it does not speak TLS there", "set the scheme, port or NIGHTSCAN_SMTP_SECURITY that it expects",
        transient=False)),
    ("STARTTLS extension not supported", Answer(
        "it does not offer STARTTLS", "set NIGHTSCAN_SMTP_SECURITY to tls or none", transient=False)),
    ("SMTP AUTH extension not supported|No suitable authentication method", Answer(
        "it takes no login over this connection",
        "set NIGHTSCAN_SMTP_SECURITY to starttls or tls, or leave NIGHTSCAN_SMTP_USER empty",
        transient=False)),
    (r"timed out|[Tt]imeout|did not finish", Answer(
        "it does not answer in time", "is it up, and does a firewall let this host through?")),
    ("Connection refused", Answer("nothing listens there", "is it up, and is the port right?")),
    ("Name or service not known|name resolution|No address associated|nodename nor servname", Answer(
        "its host's name is not known", "is it spelled right, and does this host resolve names?")),
    ("Network is unreachable|No route to host", Answer(
        "there is no way to it from this host", "does this host's network reach it?")),
    ("unexpectedly closed|reset by peer|RemoteDisconnected|Connection aborted|Broken pipe", Answer(
        "it ended the connection", "its log may say why")),
)
_UNKNOWN = Answer("it did not take the message",
                  "try `nightscan alert test`; the service's own log may say why")


def explain(said: str, setting: str, secrets: Secrets) -> Answer:
    """What to tell people of all that a library said. `setting` is the variable to look at."""
    if found := re.search(r"\((\d{3}), b(['\"])(.*?)\2", said, re.DOTALL):
        return _mail_server(int(found[1]), _clean(found[3], secrets))
    if found := re.search(r"error=(\d{3})", said):
        return http(int(found[1]), setting)
    return next((answer for pattern, answer in _KNOWN if re.search(pattern, said)), _UNKNOWN)


def http(status: int, setting: str) -> Answer:
    """What an HTTP status means for one who was to be told."""
    if status < 300:  # noqa: PLR2004 - taken, it says, but not in the words of the service
        return Answer(f"it answers {status}, but not as that service does", f"is {setting} right?",
                      transient=False)
    if status < 400:  # noqa: PLR2004 - redirects
        return Answer(f"it answers {status}, which leads elsewhere, and secrets are not carried along",
                      f"set {setting} to where it leads", transient=False)
    if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004 - come again
        return Answer(f"it answers {status}", "it may be well again soon; else its own log says why")
    return Answer(f"it answers {status}", f"is {setting} right, and still valid?", transient=False)


def _mail_server(code: int, reply: str) -> Answer:
    said = f"it answers {code} {reply}".rstrip()
    if code in {530, 534, 535, 538}:
        return Answer(f"it refuses the login ({code})",
                      "look at NIGHTSCAN_SMTP_USER, NIGHTSCAN_SMTP_PASSWORD and NIGHTSCAN_SMTP_SECURITY",
                      transient=False)
    if code < 500:  # noqa: PLR2004 - SMTP: below, come again
        return Answer(said, "it may take it later; else its own log says why")
    return Answer(said, "look at BACKUP_EMAIL and NIGHTSCAN_SMTP_FROM, and at what the server demands",
                  transient=False)


def _clean(reply: str, secrets: Secrets) -> str:
    printable = re.sub(r"\\[nrt]|[^ -~]", " ", reply)
    return secrets.hide(" ".join(printable.split()))[:_LONGEST]
