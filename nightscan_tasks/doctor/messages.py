"""Whether messages are signed, and will be tomorrow."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System

_SOON = timedelta(days=30)
_HERE = {"localhost", "127.0.0.1", "::1", None}
_ROLES = ("operator", "beat", "control", "heavy", "fast", "restore", "flower")
_MOUNTED = Path("/run/secrets")  # of a container: nobody else is there, and the mount has the host's modes
_RENEW = "make a new pair, as docs/SECURITY.md says, and put its certificate where the old one is trusted"


def signatures(system: System) -> Iterator[Finding]:
    """Whether this host can sign, nobody else can sign in its name, and whom it trusts."""
    settings = system.settings
    if not (settings.message_key and settings.message_certificate and settings.message_certificates):
        yield _unsigned(settings)
        return
    problems = [*_exposed(settings.message_key), *_open_folder(settings.message_certificates)]
    certificate = _certificate(settings.message_certificate)
    if isinstance(certificate, str):
        yield fail("messages", certificate, _RENEW)
        return
    problems += _unfit(settings, settings.message_key, certificate)
    if problems:
        yield fail("messages", "; ".join(problem for problem, _ in problems), problems[0][1])
    else:
        yield _dated("messages", f"signed by {_subject(certificate)}", certificate.not_valid_after_utc,
                     system.clock())
    yield from _trusted(settings.message_certificates, system.clock())


def _unsigned(settings: Settings) -> Finding:
    host = urlsplit(settings.broker_url.get_secret_value()).hostname
    if host in _HERE:
        return ok("messages", "not signed; the broker is on this host, for those who know its password")
    return warn("messages", f"not signed: whoever may write to the broker at {host} may ask for a restore",
                "docs/SECURITY.md says how they are signed")


def _exposed(key: Path) -> Iterator[tuple[str, str]]:
    """Who else could sign in our name."""
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        key.open("rb").close()
    except OSError as exc:
        yield (f"the key {key} cannot be read: {exc.strerror}",
               f"chgrp it to the group of this user alone; chmod 0640 {key}")
        return
    if mode & ~0o640 and key.parent != _MOUNTED:
        yield (f"the key {key} has mode {mode:04o}: others could sign in our name",
               f"chmod 0640 {key}, owned by root and the group of its only user")


def _open_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Who else could say whom we trust."""
    if not folder.is_dir():
        yield f"there is no folder {folder}", "put the certificates there whose messages are taken"
        return
    for path in (folder, *sorted(folder.glob("*.pem"))):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o022:
            yield (f"{path} has mode {mode:04o}: others could say whom we trust",
                   f"chmod go-w {path}")


def _unfit(settings: Settings, key: Path, certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """A key that is not that of the certificate signs what nobody takes."""
    password = settings.message_passphrase.get_secret_value()
    try:
        found = load_pem_private_key(key.read_bytes(), password.encode() or None)
    except OSError:
        return  # said before
    except (ValueError, TypeError) as exc:
        yield f"the key {key} cannot be used: {exc}", "give its passphrase: NIGHTSCAN_MESSAGE_PASSPHRASE_FILE"
        return
    if found.public_key() != certificate.public_key():
        yield f"the key {key} is not that of the certificate {settings.message_certificate}", _RENEW


def _trusted(folder: Path, now: datetime) -> Iterator[Finding]:
    names = []
    for path in sorted(folder.glob("*.pem")) if folder.is_dir() else ():
        certificate = _certificate(path)
        if isinstance(certificate, str):
            yield fail(f"trust in {path.stem}", certificate, "replace or remove it")
        elif path.stem.partition(".")[0] not in _ROLES:
            yield warn(f"trust in {path.stem}", f"{path} has no role, and may ask for nothing",
                       f"call it ROLE.NAME.pem, with one of {', '.join(_ROLES)}")
        else:
            dated = _dated(f"trust in {path.stem}", path.stem, certificate.not_valid_after_utc, now)
            if dated.advice:
                yield dated
            names.append(path.stem)
    yield ok("messages from", f"{', '.join(names)}, and nobody else") if names else fail(
        "messages from", f"{folder} has no certificate: everything is refused",
        "put the certificates there whose messages are taken")


def _dated(name: str, found: str, until: datetime, now: datetime) -> Finding:
    if until <= now:
        return fail(name, f"{found}, whose certificate expired on {until:%Y-%m-%d}", _RENEW)
    if until - now < _SOON:
        return warn(name, f"{found}, whose certificate expires on {until:%Y-%m-%d}", _RENEW)
    return ok(name, f"{found}, until {until:%Y-%m-%d}")


def _certificate(path: Path) -> x509.Certificate | str:
    """The certificate in a file, or why there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as exc:
        return f"the certificate {path} cannot be read: {exc.strerror}"
    except ValueError as exc:
        return f"{path} is no certificate: {exc}"


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


CHECKS = (Check("messages", signatures),)
