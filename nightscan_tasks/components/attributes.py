"""Who owns a file, and its extended attributes (access control lists are among them)."""

from __future__ import annotations

import errno
import grp
import os
import pwd
from functools import cache

_NONE = {errno.ENOTSUP, errno.ENODATA, errno.ENOSYS}


class Owners:
    """The names of users and groups, each asked for once; empty where there is none."""

    def __init__(self) -> None:
        self.user = cache(_user)
        self.group = cache(_group)


def extended(descriptor: int) -> tuple[tuple[bytes, bytes], ...]:
    """All extended attributes, sorted by name; none where the file system has none."""
    try:
        names = os.listxattr(descriptor)
    except OSError as exc:
        if exc.errno in _NONE:
            return ()
        raise
    return tuple(_attribute(descriptor, name) for name in sorted(names)) if names else ()


def _attribute(descriptor: int, name: str) -> tuple[bytes, bytes]:
    return os.fsencode(name), os.getxattr(descriptor, name)


def _user(uid: int) -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return b""


def _group(gid: int) -> bytes:
    try:
        return os.fsencode(grp.getgrgid(gid).gr_name)
    except KeyError:
        return b""
