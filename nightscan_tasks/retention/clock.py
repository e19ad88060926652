"""Whether the clock can be believed. Sets are removed by their age, so a clock that jumped would do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from nightscan_tasks.ledger import Look
from nightscan_tasks.retention.evidence import Evidence
from nightscan_tasks.wording import duration, minute

TOLERANCE = timedelta(minutes=5)
"""By how much the clocks of two hosts may differ."""

USUAL_PAUSE = timedelta(hours=23)
"""The timetable rotates at eight and after every run, so more than once a day: a longer pause is not its own.

Shorter than a day, so that a jump of a day is always longer."""

_BRIEF = timedelta(hours=1)  # the rotations of several stores, one after the other, are one look
_LONGER = 1.5  # by how much a pause must be longer than the one before it to be unusual
_TRUST = 'if the clock is right: nightscan trust --clock --why "…"'


def plan_look(last: Look | None, *, now: datetime) -> Look:
    """What to remember of a look at `now`.

    After an unusual pause nothing is to be removed for as long as it lasted: if it was the clock that
    jumped, that much time has not passed. Where such pauses are the rule (a host that is on once a week),
    one that is about as long as the one before it is not waited out again.
    """
    if last is None:
        return Look(now)
    if now <= last.looked_at:
        return last  # it never goes back: that is how a clock that did is noticed
    pause = now - last.looked_at
    seconds = last.pause_seconds if pause < _BRIEF else pause.total_seconds()
    before = timedelta(seconds=last.pause_seconds)
    if pause > (_LONGER * before if before > USUAL_PAUSE else USUAL_PAUSE):
        left = max(last.held_until - last.looked_at, timedelta()) if last.held_until else timedelta()
        return Look(now, seconds, last.looked_at, pause.total_seconds(), now + pause + left)
    if _waiting(last, now):
        return replace(last, looked_at=now, pause_seconds=seconds)
    return Look(now, seconds)


def distrusted(evidence: Evidence, now: datetime) -> str | None:
    """Why the clock cannot be believed now, or None."""
    look, latest = evidence.look, evidence.latest
    if latest and latest.moment > now + TOLERANCE:
        return (f"the clock says {minute(now)}, but {latest.what} is from {minute(latest.moment)}: check the "
                f"clock; nothing goes before that moment has come")
    if look and look.looked_at > now + TOLERANCE:
        return (f"the clock says {minute(now)}, but the last rotation looked at {minute(look.looked_at)}: it "
                f"went back; nothing goes before that moment has come; {_TRUST}")
    if look and look.held_until and look.missed_from and _waiting(look, now):
        return (f"no rotation looked for {duration(look.missed_seconds)} from {minute(look.missed_from)}: "
                f"either nothing ran, or the clock jumped ahead; nothing goes before "
                f"{minute(look.held_until)}, when that time has passed once more; {_TRUST}")
    return None


def _waiting(look: Look, now: datetime) -> bool:
    # A timetable is not exact: a look a little early is the look that was waited for.
    return look.held_until is not None and now < look.held_until - TOLERANCE
