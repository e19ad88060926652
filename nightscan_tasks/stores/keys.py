"""The names of objects: one rule for every store, so that what one takes, all take.

A key may come out of a manifest that somebody else wrote. Nothing it says may lead out of a store.
"""

from __future__ import annotations

import unicodedata

from nightscan_tasks.errors import StoreRefused

HIDDEN = ".nightscan-part-"
"""What the name of a half-written file begins with. No key may use it, no listing shows it."""

LATEST = "latest_"
"""What the name of a link to the newest artifact begins with, at the root of a directory store."""

_SEGMENT_BYTES = 255  # the longest name in most file systems
_KEY_BYTES = 900  # S3 allows 1024 with the store's own prefix


def check_key(key: str) -> tuple[str, ...]:
    """The key's segments; `StoreRefused` says what is wrong with it."""
    segments = tuple(key.split("/"))
    for segment in segments:
        problem = _problem(segment)
        if problem:
            raise StoreRefused(f"{key!r} cannot be a key: {problem}")
    if len(key.encode()) > _KEY_BYTES:
        raise StoreRefused(f"{key[:60]!r}… cannot be a key: it is longer than {_KEY_BYTES} bytes")
    if len(segments) == 1 and key.startswith(LATEST):
        raise StoreRefused(f"{key!r} cannot be a key: such names are links to the newest artifacts")
    return segments


def check_prefix(prefix: str) -> tuple[str, ...]:
    """The segments of the folder that a listing of `prefix` starts in; `StoreRefused` as for a key."""
    folder = prefix.rpartition("/")[0]
    return check_key(folder) if folder else _no_leading_slash(prefix)


def check_link(name: str) -> str:
    """The name itself, if it is one that `link_latest` may write."""
    if not name.startswith(LATEST) or not is_segment(name):
        raise StoreRefused(f"{name!r} cannot be a link: its name must begin with {LATEST!r}")
    return name


def is_segment(name: str) -> bool:
    """Whether a file or folder of this name can be, or hold, an object."""
    return _problem(name) is None


def _no_leading_slash(prefix: str) -> tuple[str, ...]:
    if prefix.startswith("/"):
        raise StoreRefused(f"{prefix!r} cannot be a prefix: keys do not begin with '/'")
    return ()


def _problem(segment: str) -> str | None:
    if segment in {"", ".", ".."} or "/" in segment:
        return "'', '.' and '..' are not names"
    if segment.startswith(HIDDEN):
        return f"names that begin with {HIDDEN!r} are half-written files"
    if "\\" in segment:  # SeaweedFS stores a\b as a/b
        return "some servers take '\\' for '/'"
    # Control characters do not survive XML listings; lone surrogates are not UTF-8.
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in segment):
        return "control characters and undecodable bytes are not allowed"
    if len(segment.encode()) > _SEGMENT_BYTES:
        return f"a name in it is longer than {_SEGMENT_BYTES} bytes"
    return None
