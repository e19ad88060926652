"""Advice in words: what the figures are, and what to do about them, with the command where there is one."""

from __future__ import annotations

from datetime import date, datetime

from nightscan_tasks.language import Language, marked
from nightscan_tasks.model import Json
from nightscan_tasks.report.monthly import Advice

_SHARES = {"old_share", "stored_share"}  # `{share}` in their sentences
_SENTENCES = {
    "success_rate": marked(
        "Only {rate} of the runs succeeded, and {least} should. What failed most is {component} (runs: "
        "{times}), with {error}: {said}. See to that first: nightscan status, nightscan doctor."),
    "missed": marked(
        "Runs that were due and never began: {times}, between {from} and {to}. The beat or the whole host "
        "was down: look at the beat's log, and set NIGHTSCAN_PING_URL, so that somebody outside notices."),
    "suspicious": marked(
        "Suspicious sets that nobody has looked at: {times}, the first is {set} ({reason}). While they "
        "stand, nothing is rotated away. If it is as it should be: nightscan trust {set}"),
    "damaged": marked(
        "Damaged sets in {store}: {times}. What is whole elsewhere is put back by: "
        "nightscan scrub {store} --repair"),
    "unverified": marked(
        "Of {of} sets, {times} were never read back in {store}: until then nobody knows that they are whole. "
        "Is there a worker for nightscan.heavy? nightscan verify --all"),
    "not_encrypted": marked(
        "Sets are not encrypted: whoever reads a store reads everything. Set NIGHTSCAN_GPG_RECIPIENT."),
    "no_drill": marked(
        "No drill was done: nobody knows whether these sets can be restored, and how long that takes. "
        "The timetable has one on the 15th; now: nightscan drill"),
    "drill_failed": marked(
        "The last drill, of {drilled}, did not hold: {problem}. Find out why, and repeat it: "
        "nightscan drill"),
    "too_slow": marked(
        "{component} took {longest} to recover, and may take {objective}: a faster disk or more archives "
        "help, or the objective has to be agreed upon anew."),
    "nearly_too_slow": marked(
        "{component} took {longest} to recover, which is {used} of the {objective} that it may take. With "
        "the present growth it will be too slow soon."),
    "loss": marked(
        "In a drill the data of {loss} would have been lost, and {objective} may be: more frequent runs are "
        "needed, or runs that succeed."),
    "noticed_late": marked(
        "Incidents that were noticed later than after {limit}: {times}, one after {longest}. Problems are "
        "looked for every six hours while the beat runs; NIGHTSCAN_PING_URL notices when it does not."),
    "never_looked": marked(
        "Nobody ever looked for problems here: start the beat, and a worker for nightscan.control."),
    "no_offsite": marked(
        "There is no offsite store: fire, theft or malware takes everything at once. Set AWS_BACKUP_BUCKET "
        "or NIGHTSCAN_OFFSITE."),
    "full_soon": marked(
        "{store} is full on {full} if it goes on like this; its sets take {stored} now. Make room, or keep "
        "fewer."),
    "late_copies": marked(
        "Sets that came to {store} later than their runs: {times} of {of}. Until then there was one copy the "
        "less. Look at its connection at that time: nightscan status"),
    "old_sets": marked(
        "In {store} {old} ({share} of it) are sets older than half a year: a cheaper storage class costs a "
        "fraction; a lifecycle rule of the bucket moves them."),
    "doubling": marked(
        "It grew by {growth} in the month: at this rate it doubles in {months} months. Plan disks, bucket "
        "and recovery times for that."),
    "incompressible": marked(
        "What is stored of {component} is {share} of its plain size. Is there something in it that is "
        "already compressed or encrypted, as pictures in a table? Such things belong into files."),
    "slower": marked(
        "Runs took {slower} longer than in the month before, and sets changed by {larger} only: are disks, "
        "network or database slower than they were?"),
}


def advise(advice: Advice, language: Language) -> str:
    """One piece of advice. What a later version knows and this one does not is told by its name."""
    sentence = _SENTENCES.get(advice.rule)
    if sentence is None:
        return f"{advice.rule}: {', '.join(f'{name} {value}' for name, value in advice.facts.items())}"
    return language.text(sentence, **dict(_written(name, value, language)
                                          for name, value in advice.facts.items()))


def _measured(unit: str, value: float, language: Language) -> str:
    if unit == "share":
        return language.percent(value)
    return language.size(value) if unit == "bytes" else language.duration(value)


def _written(name: str, value: Json, language: Language) -> tuple[str, str]:
    """A fact as its unit is written; the sentence has its name without the unit."""
    stem, _, unit = name.rpartition("_")
    match value:
        case str() if unit == "at":
            return stem, language.moment(datetime.fromisoformat(value))
        case str() if unit == "on":
            return stem, language.day(date.fromisoformat(value))
        case int() | float() if unit in {"share", "bytes", "seconds"}:
            return (unit if name in _SHARES else stem), _measured(unit, value, language)
        case float():
            return name, language.number(value, digits=1)
        case int():
            return name, language.number(value)
    return name, str(value)
