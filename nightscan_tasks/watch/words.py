"""What a problem is called, what it means, and the command to run: for people, in their language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from nightscan_tasks.language import Language, marked
from nightscan_tasks.model import Json
from nightscan_tasks.watch.problem import Kind, Problem, Severity


@dataclass(frozen=True)
class Words:
    """One problem in words. `command` is what to type; it may be several, a line each."""

    title: str
    meaning: str
    command: str


@dataclass(frozen=True)
class _Sentences:
    title: str
    meaning: str
    command: str


def describe(problem: Problem, language: Language, *, now: datetime) -> Words:
    """A problem in words. Facts are written as the language does, by the unit that ends their names."""
    sentences = _CHOSEN.get((problem.kind, _variant(problem))) or _SENTENCES[problem.kind]
    facts = _Facts({name: _written(name, value, language, now) for name, value in problem.facts.items()},
                   language.text("unknown"))
    return Words(language.text(sentences.title).format_map(facts),
                 language.text(sentences.meaning).format_map(facts), sentences.command.format_map(facts))


def severity_word(severity: Severity, language: Language) -> str:
    """How bad it is, in a word."""
    return language.text("critical") if severity is Severity.CRITICAL else language.text("warning")


class _Facts(dict[str, str]):
    """What is not known says so."""

    def __init__(self, facts: Mapping[str, str], unknown: str) -> None:
        super().__init__(facts)
        self._unknown = unknown

    def __missing__(self, key: str) -> str:
        return self._unknown


def _variant(problem: Problem) -> str:
    """What distinguishes problems of a kind that are told differently."""
    chosen = _VARIANTS.get(problem.kind)
    return chosen(problem.facts) if chosen else ""


def _written(name: str, value: Json, language: Language, now: datetime) -> str:
    """A fact as people read it."""
    if value is None:
        return language.text("unknown")
    if isinstance(value, list):
        gap = "; " if any(" " in str(each) for each in value) else ", "
        return gap.join(_written(name, each, language, now) for each in value)
    if isinstance(value, dict):
        return ": ".join(str(each) for each in value.values())
    return _scalar(name, value, language, now)


def _scalar(name: str, value: Any, language: Language, now: datetime) -> str:
    match name.rpartition("_")[2]:
        case "at":
            moment = datetime.fromisoformat(value)
            return language.text("{moment} ({duration} ago)", moment=language.moment(moment),
                                 duration=language.duration(max(0.0, (now - moment).total_seconds())))
        case "on":
            return language.day(date.fromisoformat(value))
        case "bytes" | "day":
            return language.size(value)
        case "seconds":
            return language.duration(value)
    return language.number(value) if isinstance(value, (int, float)) else str(value)


_VARIANTS: dict[Kind, Callable[[Mapping[str, Json]], str]] = {
    Kind.FILLING: lambda facts: "forecast" if facts.get("full_on") else "full",
    Kind.FAILED: lambda facts: str(facts.get("ending", "")),
    Kind.UNDRILLED: lambda facts: "again" if facts.get("passed_at") else "never",
    Kind.FROZEN: lambda facts: "tier" if facts.get("tier") else "store",
    Kind.TOO_SLOW: lambda facts: "measured" if facts.get("measured") else "assumed",
    Kind.UNCOPIED: lambda facts: "failed" if facts.get("reason") else "late",
}

_SENTENCES: dict[Kind, _Sentences] = {
    Kind.NEVER: _Sentences(
        marked("no {tier} set has ever been saved"),
        marked("The timetable asks for it, and no run has saved one: if something were lost now, nothing of "
               "this tier could be put back."),
        "nightscan doctor\nnightscan backup {tier}"),
    Kind.STALE: _Sentences(
        marked("the newest {tier} set is too old: {components}"),
        marked("Nothing newer was saved since {newest_at}; allowed are {allowed_seconds}. What has changed "
               "since then would be lost."),
        "nightscan doctor\nnightscan backup {tier}"),
    Kind.FAILED: _Sentences(
        marked("the last {tier} run failed"),
        marked("Nothing of it can be restored. {failures}"),
        "nightscan doctor\nnightscan backup {tier}"),
    Kind.DEGRADED: _Sentences(
        marked("the last {tier} run is whole, but not all that was asked for"),
        marked("It can be restored. {notes}"),
        "nightscan doctor"),
    Kind.STUCK: _Sentences(
        marked("the run {run_id} is past its deadline, and nobody settles it"),
        marked("Beat and a worker on nightscan.control do that: one of them is not at work, so that nothing "
               "of the timetable happens either."),
        "nightscan doctor"),
    Kind.SUSPICIOUS: _Sentences(
        marked("the set {set_id} is far smaller than those before it"),
        marked("{reasons}. Data may have been deleted before it was saved. Until somebody has looked, "
               "nothing of this tier is rotated away."),
        'nightscan list\nnightscan trust {set_id} --why "…"'),
    Kind.JUMP: _Sentences(
        marked("{component} is far larger than before"),
        marked("{set_id} has {plain_bytes} of it, where the last {number} sets had {usual_bytes} in the "
               "median. Perhaps somebody put something there that does not belong."),
        "nightscan files {set_id}"),
    Kind.NO_OFFSITE: _Sentences(
        marked("there is no offsite store"),
        marked("All sets are in one place. A fire, a thief or an attacker takes the data and its backups "
               "together."),
        "nightscan doctor"),
    Kind.UNCOPIED: _Sentences(
        marked("the store {store} lacks sets"),
        marked("They are whole elsewhere, and were not copied in time: {sets}. The newest set there is of "
               "{newest_at}."),
        "nightscan doctor\nnightscan list"),
    Kind.UNREACHABLE: _Sentences(
        marked("the store {store} does not answer"),
        marked("{problem}. Nothing can be saved there, nor restored from it."),
        "nightscan doctor"),
    Kind.FROZEN: _Sentences(
        marked("nothing is rotated away"),
        marked("{reason}. Old sets stay until that is settled, in: {stores}."),
        "nightscan rotate --dry-run"),
    Kind.UNVERIFIED: _Sentences(
        marked("{set_id} was not verified in time"),
        marked("Nobody has read all of it back yet, in: {stores}."),
        "nightscan verify {set_id}"),
    Kind.DAMAGED: _Sentences(
        marked("damage in the store {store}: {what}"),
        marked("{problem}. What is stored is not what was saved; another store may have it whole."),
        "nightscan scrub --repair --store {store}"),
    Kind.MENDED: _Sentences(
        marked("bytes were damaged in the store {store}, and are mended: {what}"),
        marked("Files that were replaced by whole copies from {source}: {number}. Each is read once more to "
               "see whether it stays whole; what lost bits once may do so again."),
        "nightscan scrub --store {store}"),
    Kind.UNSCRUBBED: _Sentences(
        marked("stored bytes are not read again in time, in the store {store}"),
        marked("What was read longest ago was read {oldest_at}; each byte is to be read within {days} days. "
               "Disks lose bits, and nobody would know."),
        "nightscan scrub --store {store}"),
    Kind.UNDRILLED: _Sentences(
        marked("no restore has been proved for too long"),
        marked("The last drill that held was {passed_at}; one is due every {days} days. A backup that was "
               "never restored is a hope."),
        "nightscan drill"),
    Kind.DRILL_FAILED: _Sentences(
        marked("the last drill did not hold"),
        marked("A restore like it might fail when it is needed. {problems}"),
        "nightscan drill"),
    Kind.TOO_SLOW: _Sentences(
        marked("recovering {component} would take too long"),
        marked("At the speed of the last drills it takes {expected_seconds}; allowed are "
               "{objective_seconds}."),
        "nightscan drill"),
    Kind.UNFINISHED: _Sentences(
        marked("the restore {run_id} was cut off"),
        marked("It may have changed a part of what is live. The old state is kept."),
        "nightscan restore runs\nnightscan restore resume {run_id}"),
    Kind.KEY_EXPIRES: _Sentences(
        marked("a key expires: {use}"),
        marked("{name} cannot be used after {expires_on}. Then sets can no longer be encrypted or signed, "
               "and runs fail."),
        "nightscan doctor"),
    Kind.KEY_UNUSABLE: _Sentences(
        marked("a key cannot be used: {use}"),
        marked("{problem}. The next run fails for it."),
        "nightscan doctor"),
    Kind.FILLING: _Sentences(
        marked("the store {store} is nearly full"),
        marked("{free_bytes} are free, and the largest set takes {largest_bytes}: the next run may fail."),
        "nightscan rotate --dry-run\nnightscan list"),
    Kind.NO_WORKER: _Sentences(
        marked("no worker takes from the queue {queue}"),
        marked("Its tasks wait until one does: runs end when their deadline comes, without what it would "
               "have done."),
        "nightscan doctor\nsystemctl restart nightscan-tasks.target"),
    Kind.WAITING: _Sentences(
        marked("tasks wait too long in the queue {queue}"),
        marked("The oldest of {depth} waits for {seconds}; allowed are {allowed_seconds}. Its workers are "
               "busy, stuck, or too few."),
        "nightscan doctor"),
    Kind.NO_BROKER: _Sentences(
        marked("the broker does not answer"),
        marked("{problem}. Nothing of the timetable happens until it does; nightscan backup daily --local "
               "needs no broker."),
        "nightscan doctor"),
    Kind.UNTOLD: _Sentences(
        marked("alerts do not get through: {channel}"),
        marked("{problem}. What it was to be told waits, and is told when it takes it again."),
        "nightscan alert test --channel {channel}"),
    Kind.UNPINGED: _Sentences(
        marked("the dead man's switch could not be told of a {tier} run"),
        marked("{problem}. It may raise an alarm of its own, or miss the next real one."),
        "nightscan doctor"),
    Kind.UNWRITTEN: _Sentences(
        marked("the file of metrics cannot be written"),
        marked("{problem}. What watches them sees old ones."),
        "nightscan metrics --file {path}"),
}

_CHOSEN: dict[tuple[Kind, str], _Sentences] = {
    (Kind.UNCOPIED, "failed"): _Sentences(
        marked("the store {store} lacks sets"),
        marked("They are whole elsewhere, and could not be copied: {sets}. {reason}. It is tried again every "
               "hour; the newest set there is of {newest_at}."),
        "nightscan doctor\nnightscan list"),
    (Kind.FAILED, "incomplete"): _Sentences(
        marked("the last {tier} run lacks components"),
        marked("What it saved is kept, and can be restored; it does not count as a good set. {failures}"),
        "nightscan doctor\nnightscan backup {tier}"),
    (Kind.FILLING, "forecast"): _Sentences(
        marked("the store {store} will be full on {full_on}"),
        marked("{free_bytes} are free, and {bytes_per_day} go each day. From then on no set can be saved "
               "there."),
        "nightscan rotate --dry-run\nnightscan list"),
    (Kind.UNDRILLED, "never"): _Sentences(
        marked("no restore has ever been proved"),
        marked("No drill has held yet; one is due every {days} days. A backup that was never restored is a "
               "hope."),
        "nightscan drill"),
    (Kind.FROZEN, "tier"): _Sentences(
        marked("no {tier} set is rotated away"),
        marked("{reason}. Old sets of this tier stay until that is settled, in: {stores}."),
        "nightscan rotate --dry-run"),
    (Kind.TOO_SLOW, "assumed"): _Sentences(
        marked("recovering {component} would probably take too long"),
        marked("It may take {expected_seconds}, and is allowed {objective_seconds}. No drill has measured it "
               "here yet."),
        "nightscan drill"),
}
