"""What a member of an archive is to become. Whatever cannot be trusted in it is refused here."""

from __future__ import annotations

import grp
import os
import pwd
import re
import tarfile
from functools import lru_cache
from typing import NamedTuple

from nightscan_tasks.components.entry import Kind
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.tar import Extent, nanoseconds
from nightscan_tasks.errors import RestoreRefused

_XATTR = "SCHILY.xattr."
_CAREFUL = re.compile(rb"^/|//|/$|\x00|(?:^|/)\.")
_SECOND = 1_000_000_000
_KINDS = {tarfile.REGTYPE: Kind.FILE, tarfile.AREGTYPE: Kind.FILE, tarfile.CONTTYPE: Kind.FILE,
          tarfile.GNUTYPE_SPARSE: Kind.FILE, tarfile.LNKTYPE: Kind.HARD_LINK,
          tarfile.SYMTYPE: Kind.SYMLINK, tarfile.DIRTYPE: Kind.DIRECTORY, tarfile.FIFOTYPE: Kind.FIFO}


class Restored(NamedTuple):
    """A member with a name that is safe: relative, without `.` and `..`; empty for the root itself."""

    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    content_bytes: int
    target: bytes
    extents: tuple[Extent, ...]
    xattrs: tuple[tuple[bytes, bytes], ...]


def restored(member: tarfile.TarInfo) -> Restored:
    """The member's facts; `RestoreRefused` for a name that leaves the folder, or a device."""
    kind = _KINDS.get(member.type)
    if kind is None:
        raise RestoreRefused(f"{shown(_bytes(member.name))} is a device, or of an unknown type "
                             f"{member.type!r}: such an archive was not made here")
    target = _bytes(member.linkname)
    sparse = getattr(member, "sparse", None)  # tarfile's own; None for a file without holes
    return Restored(
        safe(_bytes(member.name)), kind, member.mode & 0o7777, _mtime_ns(member),
        uid_of(_bytes(member.uname), member.uid), gid_of(_bytes(member.gname), member.gid), member.size,
        safe(target) if kind is Kind.HARD_LINK else target,
        ((0, member.size),) if sparse is None else tuple(sparse), _xattrs(member))


def safe(name: bytes) -> bytes:
    """The name without empty steps and `.`; `RestoreRefused` if it leaves the folder."""
    if not _CAREFUL.search(name):  # nearly every name
        return name
    steps = [step for step in name.split(b"/") if step not in {b"", b"."}]
    if name.startswith(b"/") or b".." in steps or b"\0" in name:
        raise RestoreRefused(f"{shown(name)} would be unpacked outside of the folder: "
                             f"such an archive was not made here")
    return b"/".join(steps)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    exact = member.pax_headers.get("mtime")  # tarfile rounds it to a float
    return int(member.mtime) * _SECOND if exact is None else nanoseconds(exact)


def _xattrs(member: tarfile.TarInfo) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((xattr_name(_bytes(key.removeprefix(_XATTR))), _bytes(value))
                 for key, value in member.pax_headers.items() if key.startswith(_XATTR))


def xattr_name(key: bytes) -> bytes:
    """An attribute's name, from its pax keyword without what that begins with."""
    return key.replace(b"%3D", b"=").replace(b"%25", b"%")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)
def uid_of(name: bytes, number: int) -> int:
    """The user of that name here; the number where there is none."""
    try:
        return pwd.getpwnam(os.fsdecode(name)).pw_uid
    except (KeyError, ValueError):
        return number


@lru_cache(maxsize=1024)
def gid_of(name: bytes, number: int) -> int:
    """The same of a group."""
    try:
        return grp.getgrnam(os.fsdecode(name)).gr_gid
    except (KeyError, ValueError):
        return number
