"""The keys that sets are encrypted and signed with, looked at for when they end."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.codec import inspect_recipient
from nightscan_tasks.codec.signing import inspect_signing_key
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import KeySeen


def see_keys(system: System) -> Iterator[KeySeen]:
    """Those that the settings name, in the key ring of this host."""
    settings = system.settings
    if settings.gpg_recipient:
        key = inspect_recipient(settings.gpg_recipient, settings.gpg_home)
        yield KeySeen("encryption", key.user_id or settings.gpg_recipient, key.expires_at, key.problem)
    if settings.signing_key:
        signing = inspect_signing_key(settings.signing_key, settings.gpg_home)
        yield KeySeen("signing", signing.user_id or settings.signing_key, signing.expires_at, signing.problem)
