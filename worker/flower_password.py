"""Flower's password: without one it would show, to whoever comes, what is saved and where."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_WHAT_TO_DO = ("set FLOWER_BASIC_AUTH=NAME:PASSWORD in its environment, or FLOWER_BASIC_AUTH_FILE to a file "
               "that says NAME:PASSWORD; docs/FLOWER.md tells more")
_ON_THE_COMMAND_LINE = ("basic_auth", "oauth2_secret", "cookie_secret")


def passwords(given: Any, environ: Mapping[str, str], arguments: Sequence[str] | None = None) -> list[str]:
    """Each `NAME:PASSWORD` that may look; `SystemExit` says what is wrong, and what to do.

    None where people log in by OAuth instead.
    """
    for argument in sys.argv if arguments is None else arguments:
        name = argument.lstrip("-").partition("=")[0].replace("-", "_")
        if argument.startswith("-") and name in _ON_THE_COMMAND_LINE:
            raise SystemExit(f"--{name.replace('_', '-')} on the command line is seen by everybody on this "
                             f"host: set FLOWER_{name.upper()} in the environment instead")
    known = [*(given.basic_auth or ()), *_of_file(environ.get("FLOWER_BASIC_AUTH_FILE"))]
    if not known and not (given.auth and given.auth_provider):
        raise SystemExit(f"Flower does not start without a password: {_WHAT_TO_DO}")
    for each in known:
        name, _, password = each.partition(":")
        if not name or not password.strip():
            raise SystemExit(f"Flower's password is not of the form NAME:PASSWORD: {_WHAT_TO_DO}")
    return known


def _of_file(path: str | None) -> list[str]:
    if not path:
        return []
    try:
        return Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as exc:
        raise SystemExit(f"FLOWER_BASIC_AUTH_FILE names {path}, which cannot be read: {exc}") from None
