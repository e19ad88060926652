"""The key with which this host signs what it writes, and what gpg says of a signature.

Signatures are detached and armored, so that a person can check one with `gpg --verify` alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from nightscan_tasks.codec.keys import INSTALL_HINT, home_options, list_keys
from nightscan_tasks.errors import ProcessFailed, ProcessKilled, SigningFailed
from nightscan_tasks.process import Program, run

# A look at a key ring changes nothing in it, and asks no server.
_OPTIONS = ("--no-auto-check-trustdb", "--trust-model", "always", "--no-auto-key-retrieve")
_UNUSABLE = {"r": "it was revoked", "e": "it expired", "i": "it is invalid", "d": "it is disabled"}
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


@dataclass(frozen=True)
class SigningKey:
    """What a key ring knows of a signing key. `problem` is empty when `usable`, else says what to do."""

    fingerprint: str
    user_id: str
    expires_at: datetime | None
    usable: bool
    problem: str


class Verdict(StrEnum):
    """What gpg says of a signature, before anybody asks whose it is."""

    GOOD = "good"
    EXPIRED = "expired"    # good, by a key that has expired since
    BAD = "bad"            # of other bytes, damaged, or no signature at all
    REVOKED = "revoked"    # by a key that was revoked
    UNKNOWN = "unknown"    # by a key that is not in the ring


@dataclass(frozen=True)
class Signature:
    """One signature as gpg sees it. Of a bad one nothing else is known."""

    verdict: Verdict
    fingerprint: str = ""
    """Of the key that signed, which may be a subkey; of an unknown one all that the signature tells."""
    primary: str = ""
    signed_at: datetime | None = None


@dataclass(frozen=True)
class Signer:
    """Signs with `key` (a fingerprint, or the address of one), whose private half is in `home`.

    For one with a passphrase: `passphrase_file`, or an agent that knows it.
    """

    key: str
    home: Path | None = None
    passphrase_file: Path | None = None

    @property
    def fingerprint(self) -> str:
        """Of the key that signs, or that its subkey belongs to; empty where there is none that can."""
        return inspect_signing_key(self.key, self.home).fingerprint

    def sign(self, data: bytes) -> bytes:
        """A detached, armored signature of exactly these bytes; `SigningFailed` says what to do."""
        secret = (["--pinentry-mode", "error"] if self.passphrase_file is None else
                  ["--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase_file)])
        _need_gpg()
        try:
            signed = run(["gpg", *home_options(self.home), "--batch", "--no-tty", "--quiet", *_OPTIONS,
                          *secret, "--local-user", _exactly(self.key), "--armor", "--output", "-",
                          "--detach-sign"], feed=iter([data]))
        except ProcessKilled:  # that says nothing of the key: once more
            raise
        except ProcessFailed as exc:
            raise SigningFailed(
                f"signing failed: {exc}\n{inspect_signing_key(self.key, self.home).problem}".strip()) from exc
        if not signed:
            raise SigningFailed("signing failed: gpg wrote no signature")
        return signed


def inspect_signing_key(key: str, home: Path | None = None) -> SigningKey:
    """The key that `Signer` would use: the newest usable one, else the newest.

    A missing or unusable key is an answer, not an error; `SigningFailed` where gpg is missing.
    """
    inspected = [_inspect(each, home) for each in _listed(key, home)]
    missing = SigningKey("", "", None, usable=False, problem=(
        f"no private key for {key} in {_ring(home)}: make one there with `gpg --quick-gen-key`, or correct "
        f"NIGHTSCAN_SIGNING_KEY"))
    return next((each for each in reversed(inspected) if each.usable), (inspected or [missing])[-1])


def own_fingerprints(key: str, home: Path | None = None) -> frozenset[str]:
    """The fingerprints that a signing key's name stands for: its own, or those of its private keys here."""
    if _FINGERPRINT.fullmatch(key):
        return frozenset({key.upper()})
    return frozenset(each["fingerprint"] for each in _listed(key, home))


def inspect_signature(data: bytes, signature: bytes, home: Path | None = None) -> Signature:
    """What gpg says of a detached signature of `data`; never raises for what a stranger wrote.

    Exactly one signature is expected: a file with two could show one to us, and another to somebody else.
    """
    _need_gpg()
    with NamedTemporaryFile(prefix="nightscan-", suffix=".asc") as file:
        file.write(signature)
        file.flush()
        with Program(["gpg", *home_options(home), "--batch", "--no-tty", "--quiet", *_OPTIONS,
                      "--status-fd", "1", "--verify", file.name, "-"], stdin=True) as program:
            with suppress(BrokenPipeError):  # it found no signature; its status says so
                program.write([data])
            program.stdin.close()
            said = program.stdout.read().decode(errors="replace")
            try:
                program.finish()
            except ProcessKilled:  # that says nothing of the signature
                raise
            except ProcessFailed:
                pass  # what it found is in the status lines
    return _read_status([line.split()[1:] for line in said.splitlines() if line.startswith("[GNUPG:] ")])


_VERDICTS = {"GOODSIG": Verdict.GOOD, "EXPKEYSIG": Verdict.EXPIRED, "REVKEYSIG": Verdict.REVOKED,
             "BADSIG": Verdict.BAD, "EXPSIG": Verdict.BAD, "ERRSIG": Verdict.BAD}


def _read_status(lines: Sequence[Sequence[str]]) -> Signature:
    """See doc/DETAILS of GnuPG."""
    told = [line for line in lines if line and line[0] in _VERDICTS]
    if len(told) != 1 or sum(line[:1] == ["NEWSIG"] for line in lines) != 1:
        return Signature(Verdict.BAD)
    unknown = [line for line in lines if line[:1] == ["NO_PUBKEY"]]
    if unknown:
        return Signature(Verdict.UNKNOWN, told[0][-1] if len(told[0][-1]) >= len(unknown[0][1]) else
                         unknown[0][1])
    valid = [line for line in lines if line[:1] == ["VALIDSIG"]]
    verdict = _VERDICTS[told[0][0]]
    if len(valid) != 1 or verdict is Verdict.BAD:
        return Signature(Verdict.BAD)
    words = valid[0]  # VALIDSIG fingerprint date seconds …, and the primary key's fingerprint at the end
    return Signature(verdict, words[1], words[-1], datetime.fromtimestamp(int(words[3]), UTC))


def _listed(key: str, home: Path | None) -> Sequence[Mapping[str, Any]]:
    """The private keys of that name, the oldest first."""
    _need_gpg()
    if home is not None and not home.is_dir():
        return ()
    try:
        found = list_keys(_exactly(key), home, secret=True, options=_OPTIONS)
    except (OSError, ValueError) as exc:
        raise SigningFailed(f"{_ring(home)} cannot be read: {exc}") from exc
    return sorted(found, key=lambda each: int(each["date"] or 0))


def _inspect(key: Mapping[str, Any], home: Path | None) -> SigningKey:
    parts = [key, *key.get("subkey_info", {}).values()]
    able = [part for part in parts if "s" in part["cap"] and part["trust"] not in _UNUSABLE
            and part.get("token") != "#"]  # a stub: its private half is elsewhere
    reason = _UNUSABLE.get(key["trust"], "" if able else "it has no part that can sign here")
    ends = [int(part["expires"]) for part in (key, *able[-1:]) if part["expires"]]
    return SigningKey(
        key["fingerprint"], (key.get("uids") or [""])[0],
        datetime.fromtimestamp(min(ends), UTC) if ends else None, usable=not reason,
        problem=reason and (
            f"the signing key {key['fingerprint']} in {_ring(home)} cannot be used: {reason}; renew it with "
            f"`gpg --quick-set-expire {key['fingerprint']} 2y`, or name another by NIGHTSCAN_SIGNING_KEY"))


def _exactly(key: str) -> str:
    """An address as gpg takes it for that address alone, and not for a part of another."""
    return f"<{key}>" if "@" in key and "<" not in key else key


def _need_gpg() -> None:
    if not shutil.which("gpg"):
        raise SigningFailed(f"gpg is not installed: {INSTALL_HINT}")


def _ring(home: Path | None) -> str:
    return "gpg's default key ring" if home is None else f"the key ring {home}"
