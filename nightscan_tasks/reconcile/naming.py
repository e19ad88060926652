"""Which file a value of a row names.

Applications write the same file in many ways: `2026/a.wav` below the folder, `uploads/2026/a.wav`, the
whole path, `/uploads/2026/a.wav?v=2` or a whole URL, with or without `%20`. Where a value can be read in
two ways it is: one that is there is the one that was meant, and no reading of it is ever an orphan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):")
_URL = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?P<host>[^/?#]*)(?P<path>[^?#]*)")
_WEB = (b"http", b"https")


@dataclass(frozen=True)
class Name:
    """The file that a value names: paths relative to the root, the likeliest reading first.

    One that is not `sure`, because it names another host or no folder of ours, is ours only if its file
    is there or was saved.
    """

    paths: tuple[bytes, ...]
    sure: bool = True


@dataclass(frozen=True)
class Namer:
    """Reads the values of one column: `folder` is relative to the root, `roots` are its absolute names."""

    folder: bytes
    roots: tuple[bytes, ...] = ()

    def read(self, value: bytes) -> Name | None:
        """The file that is named; None where it is none of ours: outside, or no file at all."""
        if value.startswith(b"/") and not value.startswith(b"//"):
            return self._absolute(value)
        scheme = _SCHEME.match(value)
        if value.startswith(b"//") or (scheme and value[scheme.end():].startswith(b"//")):
            return self._url(value, scheme[1].lower() if scheme else _WEB[0])
        if scheme and scheme[1].lower() == b"data":
            return None
        below = [self.folder + b"/" + value]
        if value.startswith(self.folder + b"/"):
            below.insert(0, value)
        return _name([*below, *map(unquote_to_bytes, below)])

    def _absolute(self, value: bytes, *, sure: bool = True) -> Name | None:
        """A path of this machine, or the path of a URL."""
        for root in self.roots:
            if value.startswith(root + b"/"):
                rest = value[len(root) + 1:]
                return _name([rest, unquote_to_bytes(rest)], sure=sure)
        path = re.split(rb"[?#]", value, maxsplit=1)[0]
        readings = [unquote_to_bytes(path), path, value]
        if value.startswith(b"/" + self.folder + b"/"):
            return _name([each[1:] for each in readings], sure=sure)
        return _name([self.folder + each for each in readings], sure=False)

    def _url(self, value: bytes, scheme: bytes) -> Name | None:
        match = _URL.match(value)
        if match and scheme == b"file":
            return self._absolute(match["path"])
        if not match or scheme not in _WEB or not match["path"].startswith(b"/" + self.folder + b"/"):
            return None
        return self._absolute(match["path"], sure=False)


def read_names(values: Iterable[bytes], namer: Namer) -> Iterator[Name | None]:
    """What the values name; None for one that is not ours. Empty ones are left out."""
    return (namer.read(value) for value in values if value.strip())


def _name(readings: Sequence[bytes], *, sure: bool = True) -> Name | None:
    """A name from its readings, without those that lead nowhere; None if the likeliest does."""
    paths = [_normal(each) for each in readings]
    if paths[0] is None:
        return None
    return Name(tuple(dict.fromkeys(path for path in paths if path)), sure=sure)


def _normal(path: bytes) -> bytes | None:
    """Without empty steps and dots; None where it leads up, or is no path at all."""
    steps = [step for step in path.split(b"/") if step not in {b"", b"."}]
    if b".." in steps or b"\0" in path or path.endswith((b"/", b"/.")):
        return None
    return b"/".join(steps) or None
