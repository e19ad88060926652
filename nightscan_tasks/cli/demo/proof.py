"""Two looks at the same things, compared: what differs in anything at all is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from nightscan_tasks.cli.tables import table
from nightscan_tasks.wording import size

_SHOWN = 20


@dataclass(frozen=True)
class Thing:
    """One table, key or file. Equal when all facts are; the rest is for the table that is printed."""

    group: str
    facts: Mapping[str, object]
    count: int = 1
    size_bytes: int = 0
    expires_ms: int = 0


Things = Mapping[str, Thing]


@dataclass(frozen=True)
class Line:
    """One group of things: how many there were and are, and what differs."""

    area: str
    group: str
    before: int
    after: int
    size_bytes: int
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """All lines of all areas. `excused` are things that had to be gone, and why."""

    lines: tuple[Line, ...] = ()
    excused: Mapping[str, int] = field(default_factory=dict)

    @property
    def differences(self) -> tuple[str, ...]:
        """Everything that differs."""
        return tuple(f"{line.area} {each}" for line in self.lines for each in line.differences)

    @property
    def equal(self) -> bool:
        """Whether something was compared, and nothing differs."""
        return bool(self.lines) and not self.differences

    def __add__(self, other: Proof) -> Proof:
        return Proof(self.lines + other.lines, {**self.excused, **other.excused})


def compare(area: str, before: Things, after: Things, *,
            excuse: Callable[[str, Thing], str] = lambda _name, _thing: "") -> Proof:
    """Compare every thing of two looks. `excuse` says why one that was there may be gone now."""
    excused: dict[str, int] = {}
    expected = {}
    for name, thing in before.items():
        reason = "" if name in after else excuse(name, thing)
        if reason:
            excused[reason] = excused.get(reason, 0) + 1
        else:
            expected[name] = thing
    groups = sorted({thing.group for thing in (*expected.values(), *after.values())})
    return Proof(tuple(_line(area, group, expected, after) for group in groups), excused)


def lines(proof: Proof) -> Iterator[str]:
    """The proof as a table, then what differs, then the verdict."""
    rows = [[line.area, line.group, f"{line.before:,}", f"{line.after:,}",
             size(line.size_bytes) if line.size_bytes else "",
             str(len(line.differences)) if line.differences else "equal"] for line in proof.lines]
    yield from table(["COMPONENT", "WHAT", "BEFORE", "AFTER", "SIZE", "COMPARED"], rows, right=(2, 3, 4))
    yield ""
    for reason, number in proof.excused.items():
        yield f"Not counted: {number:,} {reason}."
    differences = proof.differences
    for each in differences[:_SHOWN]:
        yield f"DIFFERENT: {each}"
    if len(differences) > _SHOWN:
        yield f"… and {len(differences) - _SHOWN} more."
    yield ("EQUAL: everything that was saved is back, to the byte." if proof.equal else
           f"NOT EQUAL: {len(differences)} differences.")


def _line(area: str, group: str, before: Things, after: Things) -> Line:
    was = {name: thing for name, thing in before.items() if thing.group == group}
    now = {name: thing for name, thing in after.items() if thing.group == group}
    differences = tuple(told for name in sorted({*was, *now})
                        if (told := _difference(name, before.get(name), after.get(name))))
    before_count, after_count = (sum(each.count for each in things.values()) for things in (was, now))
    return Line(area, group, before_count, after_count, sum(each.size_bytes for each in now.values()),
                differences)


def _difference(name: str, was: Thing | None, now: Thing | None) -> str:
    if was is None:
        return f"{name}: was not there before"
    if now is None:
        return f"{name}: is gone"
    changed = [key for key in {**was.facts, **now.facts} if was.facts.get(key) != now.facts.get(key)]
    return f"{name}: {', '.join(changed)} changed" if changed else ""
