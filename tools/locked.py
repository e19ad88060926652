"""What an image needs of requirements.lock, which is of everything: tests, checkers and a demo's servers too.

python3 tools/locked.py NAME…         the project's dependencies, these packages, and what they need
python3 tools/locked.py --only NAME…  these packages, and what they need

It prints entries as they are, hashes and all, so `pip install --require-hashes` takes what it prints, and
refuses it where something is missing. Only Python's own library is asked for: it runs before any install.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Entry(NamedTuple):
    """A package of the lock: its lines, and who asks for it."""

    text: str
    via: frozenset[str]


def entries(lock: str) -> dict[str, Entry]:
    """Each package of a lock of pip-compile's, by its normal name."""
    found = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        remarks = [line.strip(" #").removeprefix("via ") for line in lines if line.startswith("    #")]
        via = frozenset(_name(remark) for remark in remarks if remark != "via")
        text = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
        found[_name(block)] = Entry(text, via)
    return found


def needed(lock: dict[str, Entry], wanted: Iterable[str]) -> list[str]:
    """The names of what these packages need, themselves included; `KeyError` for one that is not locked."""
    kept = {_name(each) for each in wanted}
    for each in kept:
        lock[each]
    while more := {name for name, entry in lock.items() if name not in kept and entry.via & kept}:
        kept |= more
    return sorted(kept)


def dependencies(pyproject: str) -> Iterator[str]:
    """What the project itself always needs."""
    for requirement in tomllib.loads(pyproject)["project"]["dependencies"]:
        yield _name(requirement)


def _name(text: str) -> str:
    found = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def main(arguments: list[str], *, root: Path = ROOT) -> None:
    """Print what is needed of the lock that lies beside pyproject.toml."""
    only = "--only" in arguments
    names = [each for each in arguments if each != "--only"]
    own = () if only else dependencies((root / "pyproject.toml").read_text())
    lock = entries((root / "requirements.lock").read_text())
    for name in needed(lock, [*names, *own]):
        print(lock[name].text)


if __name__ == "__main__":
    main(sys.argv[1:])
