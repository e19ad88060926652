"""Whether sets can be encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.codec import inspect_recipient
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.system import System

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


CHECKS = (Check("encryption", encryption, seconds=30),)
