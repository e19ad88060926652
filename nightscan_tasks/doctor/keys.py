"""Whether sets can be encrypted, and signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.codec import Signer, inspect_recipient
from nightscan_tasks.codec.signing import inspect_signature, inspect_signing_key
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.system import System
from nightscan_tasks.wording import count

_SOON = timedelta(days=30)


def encryption(system: System) -> Iterator[Finding]:
    """Whether there is a key, it works now, and will for another month."""
    recipient, home = system.settings.gpg_recipient, system.settings.gpg_home
    if not recipient:
        yield warn("encryption", "sets are not encrypted: whoever reads a store reads everything",
                   "set NIGHTSCAN_GPG_RECIPIENT to the owner of a public key")
        return
    key = inspect_recipient(recipient, home)
    if not key.usable:
        yield fail("encryption", key.problem)
        return
    with system.codec.encode([b"doctor"]) as chunks:  # raises what a backup would meet
        for _ in chunks:
            pass
    found = f"{key.user_id or recipient}, key {key.fingerprint[-16:]}, "
    if key.expires_at is None:
        yield ok("encryption", f"{found}does not expire")
    elif key.expires_at - system.clock() < _SOON:
        yield warn("encryption", f"{found}expires on {key.expires_at:%Y-%m-%d}",
                   f"renew it where its private half is (gpg --quick-set-expire {key.fingerprint} 2y), and "
                   f"import its public half here")
    else:
        yield ok("encryption", f"{found}valid until {key.expires_at:%Y-%m-%d}")


def signing(system: System) -> Iterator[Finding]:
    """Whether sets are signed, the key works now, and will for another month; and whose are trusted."""
    signer = system.signer
    if signer is None:
        if not system.signatures.wanted:
            yield warn("signing", "sets are not signed: whoever writes to a store decides what is restored",
                       "set NIGHTSCAN_SIGNING_KEY to a key of this host, or NIGHTSCAN_TRUSTED_SIGNERS where "
                       "sets are only restored")
        else:
            yield ok("signing", f"this host signs nothing; {_trusted(system)}")
        return
    key = inspect_signing_key(signer.key, signer.home)
    if not key.usable:
        yield fail("signing", key.problem)
        return
    signer.sign(b"doctor")  # raises what a backup would meet
    found = f"{key.user_id or signer.key}, key {key.fingerprint[-16:]}, "
    if system.signatures.signers.isdisjoint({key.fingerprint}) and not _subkey_trusted(system, signer):
        yield fail("signing", f"{found}is not among NIGHTSCAN_TRUSTED_SIGNERS: what this host signs, it "
                              f"would not restore", f"add {key.fingerprint} to them")
    elif key.expires_at is not None and key.expires_at - system.clock() < _SOON:
        yield warn("signing", f"{found}expires on {key.expires_at:%Y-%m-%d}",
                   f"gpg --quick-set-expire {key.fingerprint} 2y, and import its public half where sets are "
                   f"restored")
    else:
        until = f"valid until {key.expires_at:%Y-%m-%d}" if key.expires_at else "does not expire"
        yield ok("signing", f"{found}{until}; {_trusted(system)}")


def _subkey_trusted(system: System, signer: Signer) -> bool:
    """Whether the subkey that signs is named, and not the key that it belongs to."""
    made = inspect_signature(b"doctor", signer.sign(b"doctor"), signer.home)
    return made.fingerprint in system.signatures.signers


def _trusted(system: System) -> str:
    return f"sets of {count(len(system.signatures.signers), 'key')} are trusted"


CHECKS = (Check("encryption", encryption, seconds=30), Check("signing", signing, seconds=30))
