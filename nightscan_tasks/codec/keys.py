"""The key that backups are encrypted for. Only its public half is on the host that backs up."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gnupg

from nightscan_tasks.errors import EncryptionFailed, ProcessFailed, ProcessKilled
from nightscan_tasks.process import run

INSTALL_HINT = "install it with `apt-get install gnupg`"

# A look at a key ring changes nothing in it.
_OPTIONS = ("--no-auto-check-trustdb", "--trust-model", "always")
_KILLED = re.compile(r"Error invoking gpg: -\d+")
_PROBLEMS = {"r": "it was revoked", "e": "it expired", "i": "it is invalid", "d": "it is disabled"}


@dataclass(frozen=True)
class RecipientKey:
    """What a key ring knows of the recipient. `problem` is empty when `usable`, else says what to do.

    `expires_at` is the moment from which nothing can be encrypted for it any more, or None.
    """

    fingerprint: str
    user_id: str
    expires_at: datetime | None
    usable: bool
    problem: str


def inspect_recipient(recipient: str, home: Path | None = None) -> RecipientKey:
    """The key that would be used for `recipient`: the newest usable one, else the newest.

    A missing or unusable key is an answer, not an error; `EncryptionFailed` is raised when gpg itself
    is missing or does not work. `home` None means gpg's own default.
    """
    keys = _list_keys(recipient, home)
    if not keys:
        return RecipientKey("", "", None, usable=False, problem=(
            f"no public key for {recipient} in {_ring(home)}: import it with "
            f"`{_gpg(home)} --import KEY.asc`, or correct NIGHTSCAN_GPG_RECIPIENT"))
    inspected = [_inspect(key, recipient, home) for key in sorted(keys, key=_created)]
    return next((key for key in reversed(inspected) if key.usable), inspected[-1])


def list_keys(name: str, home: Path | None, *, secret: bool = False,
              options: Sequence[str] = _OPTIONS) -> list[Mapping[str, Any]]:
    """The keys of that name in a ring, as python-gnupg tells them; `secret`: those that can sign here.

    OSError and ValueError where the ring cannot be read. `ProcessKilled`: that says nothing of the ring.
    """
    try:
        ring = gnupg.GPG(gnupghome=None if home is None else str(home), options=list(options))
        listed = ring.list_keys(secret=secret, keys=[name])
    except ValueError as exc:
        if _KILLED.search(str(exc)):
            raise ProcessKilled(f"gpg was killed while it listed keys: {exc}") from exc
        raise
    if (listed.returncode or 0) < 0:  # its list is short then, or empty
        raise ProcessKilled(f"gpg was ended by signal {-listed.returncode} while it listed keys")
    return list(listed)


def end_agent(home: Path) -> None:
    """End gpg's background programs of a key ring that the caller created (never a user's own)."""
    if shutil.which("gpgconf"):
        try:
            run(["gpgconf", "--homedir", str(home), "--kill", "all"])
        except ProcessFailed as exc:
            raise EncryptionFailed(f"the gpg-agent of {home} could not be ended: {exc}") from exc


def home_options(home: Path | None) -> list[str]:
    """Gpg's arguments that select the key ring."""
    return [] if home is None else ["--homedir", str(home)]


def _list_keys(recipient: str, home: Path | None) -> Sequence[Mapping[str, Any]]:
    if not shutil.which("gpg"):
        raise EncryptionFailed(f"gpg is not installed: {INSTALL_HINT}")
    if home is not None and not home.is_dir():
        return ()
    try:
        return list_keys(recipient, home)
    except (OSError, ValueError) as exc:
        raise EncryptionFailed(f"{_ring(home)} cannot be read: {exc}") from exc


def _inspect(key: Mapping[str, Any], recipient: str, home: Path | None) -> RecipientKey:
    subkeys = list(key.get("subkey_info", {}).values())
    able = [part for part in (key, *subkeys)
            if "e" in part["cap"] and part["trust"] not in _PROBLEMS]
    # The last of the encrypting parts counts, but none outlives the primary key.
    ends = _earliest([_moment(key["expires"]), _latest([_moment(p["expires"]) for p in able])])
    reason = _PROBLEMS.get(key["trust"], "")
    if not reason and "D" in key["cap"]:
        reason = _PROBLEMS["d"]
    if not reason and not able:
        lost = next((_PROBLEMS[p["trust"]] for p in subkeys if p["trust"] in _PROBLEMS), "")
        reason = f"its encryption subkey cannot be used: {lost}" if lost else "it cannot encrypt"
    if reason and not able:
        ends = _earliest([ends, *(_moment(part["expires"]) for part in (key, *subkeys))])
    return RecipientKey(
        key["fingerprint"], (key.get("uids") or [""])[0], ends, usable=not reason,
        problem=reason and (
            f"the key {key['fingerprint']} for {recipient} in {_ring(home)} cannot be used: {reason}; "
            f"renew it where its private half is, and import it here with "
            f"`{_gpg(home)} --import KEY.asc`"))


def _created(key: Mapping[str, Any]) -> int:
    return int(key["date"] or 0)


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _latest(moments: Sequence[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return max(known, default=None) if len(known) == len(moments) else None


def _ring(home: Path | None) -> str:
    return "gpg's default key ring" if home is None else f"the key ring {home}"


def _gpg(home: Path | None) -> str:
    return " ".join(["gpg", *home_options(home)])
