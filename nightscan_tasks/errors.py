"""What can go wrong, in two kinds: worth another try, or not.

Every error carries facts and what to do next. Arguments go to `Exception.__init__` unchanged, so that
an error survives pickling between a worker's child and its parent.
"""

from __future__ import annotations


class NightscanError(Exception):
    """Something an operator can act on; `str()` is one clear message."""

    transient = False  # worth another try, by itself, a little later


class TransientError(NightscanError):
    """It may go away by itself: a server that is down, a network that was cut."""

    transient = True


class SettingsError(NightscanError):
    """A setting is missing or wrong: names it, its source, and a valid example."""


class StoreError(TransientError):
    """A store did not do what it was asked; another try may succeed."""


class StoreRefused(NightscanError):
    """A store will not do it however often it is asked: no permission, no bucket, no space."""


class NotFound(StoreRefused):
    """No object of that name is in the store."""


class AlreadyExists(StoreRefused):
    """An exclusive create found that somebody else was first."""


class Locked(StoreRefused):
    """An object lock keeps an object until a moment that has not come; nothing was deleted."""


class DigestMismatch(NightscanError):
    """Stored bytes are not the bytes that were written."""


class ProcessFailed(NightscanError):
    """A program ended with a status other than 0, or by a signal."""


class ProcessKilled(ProcessFailed):
    """A program was ended by a signal, as when memory is short: it may well succeed the next time."""

    transient = True


class SourceUnavailable(TransientError):
    """A server or folder that is to be saved cannot be reached now."""


class SourceRefused(NightscanError):
    """A server or folder refuses: wrong password, no permission, no such database."""


class DumpIncomplete(NightscanError):
    """A dump ended without its end marker, empty, or with parts that could not be read."""


class EncryptionFailed(NightscanError):
    """The key is missing, unusable or expired, or gpg failed."""


class SigningFailed(NightscanError):
    """The key that signs is missing, unusable or expired, or gpg failed."""


class ManifestInvalid(NightscanError):
    """A manifest is truncated, of a newer format, or contradicts what is stored."""


class Untrusted(NightscanError):
    """A set is not signed, or not by a key that is trusted: nothing of it may be used."""


class Busy(TransientError):
    """Somebody else holds the lease; ask again later."""


class LeaseLost(NightscanError):
    """The lease passed to another holder; whatever was about to be published must not be."""


class WorkerVanished(NightscanError):
    """A worker took the work, and was never heard of again."""


class RestoreRefused(NightscanError):
    """Restoring would damage what is live, or cannot succeed; nothing was changed."""


class RestoreUndone(NightscanError):
    """What was restored was live and not well; the old state was put back."""


class DrillFailed(NightscanError):
    """A drill did not hold: a restore today would not be what it has to be."""


class WorldError(NightscanError):
    """The embedded environment could not be started or stopped."""
