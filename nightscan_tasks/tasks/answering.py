"""Whose word a message is."""

from __future__ import annotations

from nightscan_tasks.errors import Untrusted
from nightscan_tasks.system import System


def refuse_unsigned(system: System, *, unsigned: bool) -> None:
    """`Untrusted` where a message answers for a set that nobody signed, and is not signed itself.

    Who can write to a store may be able to write to the broker too: then such a message is no person's word.
    """
    if unsigned and system.signatures.wanted and system.settings.message_certificates is None:
        raise Untrusted("a message that is not signed cannot answer for a set that is not signed: do it with "
                        "--local, or sign messages (NIGHTSCAN_MESSAGE_CERTIFICATES)")
