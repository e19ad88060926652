"""Everything at a glance as lines: the worst first, and what is next last."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.cli.colours import Text, critical, good, heading, hint, state, warning
from nightscan_tasks.cli.pictures import sentence
from nightscan_tasks.cli.restore_runs import standing
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.language import Language
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.ledger.reads import Scrubbed
from nightscan_tasks.report.rule import plan_rule
from nightscan_tasks.report.status import last_runs, last_set
from nightscan_tasks.watch.overview import Overview, RunSeen, SetSeen, StoreSeen
from nightscan_tasks.watch.problem import Health, Problem, Severity
from nightscan_tasks.watch.words import describe
from nightscan_tasks.wording import age, ago, count, duration, size

_NEXT = 6
_STYLES = {Health.GOOD: good, Health.WARNING: warning, Health.CRITICAL: critical, Health.UNKNOWN: critical}


def lines(overview: Overview, language: Language) -> Iterator[str]:
    """The overview as an operator reads it at three in the morning. The first line says it all."""
    yield _headline(overview, language)
    for problem in overview.problems:
        yield ""
        yield from _problem(problem, overview, language)
    yield from _under_way(overview)
    yield from _sets(overview)
    yield from _stores(overview)
    yield from _recovery(overview)
    yield from _next(overview, language)


def _headline(overview: Overview, language: Language) -> str:
    """For those who read one line, as monitoring does."""
    word = _STYLES[overview.health](overview.health.value.upper())
    if not overview.problems:
        newest = next((each.set_id for each in overview.sets if each.complete), None)
        last = f", the newest whole set is {age(newest.taken_at, overview.now)} old" if newest else ""
        return f"{overview.site}: " + word + last
    first = describe(overview.problems[0], language, now=overview.now).title
    return (f"{overview.site}: " + word + f", {count(len(overview.problems), 'problem')}"
            + (f": {first}" if len(overview.problems) == 1 else f", first: {first}"))


def _problem(problem: Problem, overview: Overview, language: Language) -> Iterator[str]:
    words = describe(problem, language, now=overview.now)
    word = (critical if problem.severity is Severity.CRITICAL else warning)(problem.severity.value.upper())
    since = f", for {age(problem.since, overview.now)}" if problem.since else ""
    yield from fold(word + f" {words.title}{since}", hanging="  ")
    yield from fold(" ".join(words.meaning.split()), indent="  ")
    yield from (hint(f"  $ {command}") for command in words.command.splitlines())


def _under_way(overview: Overview) -> Iterator[str]:
    told = [*_running(overview), *(f"a restore reads {set_id}" for set_id in overview.restoring)]
    for kept in overview.restores:
        told += fold(f"{kept.run.run_id} of {kept.run.set_id}: {standing(kept)}", hanging="    ")
    if told:
        yield ""
        yield heading("Under way")
        yield from (f"  {line}" for line in told)


def _running(overview: Overview) -> Iterator[str]:
    for run in overview.running:
        yield f"{run.run_id}: {run.waits_for or 'started'}"
        widest = max((len(work.name) for work in run.works), default=0)
        yield from (f"  {work.name.ljust(widest)}  {sentence(work)}" for work in run.works)


def _sets(overview: Overview) -> Iterator[str]:
    """The last run of each tier, where its set is, and the rule that says where it should be."""
    yield ""
    runs = last_runs(overview)
    if not runs:
        yield "No run has ended yet. Next: nightscan backup daily --wait"
    else:
        rows = [_row(run, outcome, last_set(overview, run), overview) for run, outcome in runs]
        yield from table(["TIER", "LAST SET", "ENDED", "HOW", "TOOK", "STORED", "COPIES", "VERIFIED"], rows,
                         right=(4, 5, 6))
    rule = plan_rule(overview)
    if rule.set_id is not None:
        word = good("kept") if rule.kept else warning("NOT KEPT")
        yield from fold("3-2-1 rule: " + word + f"; of {rule.set_id} there are {count(rule.copies, 'copy')} "
                        f"with what is live, on {' and '.join(rule.media)}; offsite: "
                        f"{', '.join(rule.offsite) or 'none'}", hanging="  ")
    held = sum(bool(each.held) for each in overview.sets)
    if held:
        yield f"{count(held, 'set')} held: nightscan hold"


def _row(run: RunSeen, outcome: Outcome, seen: SetSeen | None, overview: Overview) -> list[str]:
    copies, wanted = seen.copies if seen else (), len(overview.stores)
    have, read, whole = f"{len(copies)} of {wanted}", "yes" if copies else "-", len(copies) >= wanted
    verified = sum(copy.verified_at is not None and not copy.problems for copy in copies)
    return [run.set_id.tier.value, str(run.set_id), ago(outcome.settled_at, overview.now),
            _how(outcome, seen, copied=whole), duration(outcome.elapsed_seconds), size(outcome.stored_bytes),
            have if whole else warning(have.upper()),
            read if verified == len(copies) else warning(f"{verified} OF {len(copies)}")]


def _how(outcome: Outcome, seen: SetSeen | None, *, copied: bool) -> str:
    """How a run ended, in a word; what is not good is in capitals."""
    unsigned = any("not signed" in each for each in outcome.notes)
    if outcome.ending is Ending.DEGRADED and copied and not unsigned:
        return "copied later"
    if outcome.ending is not Ending.GOOD:
        return state(outcome.ending.value.upper())
    return state("SUSPICIOUS" if seen and seen.suspicious and not seen.trusted else "good")


def _stores(overview: Overview) -> Iterator[str]:
    yield ""
    rows = [[store.name, *([str(store.sets), size(store.stored_bytes)] if store.answers else ["?", "?"]),
             _room(store), _read(store.scrubbed, overview)] for store in overview.stores]
    yield from table(["STORE", "SETS", "STORED", "FREE", "READ AGAIN"], rows, right=(1, 2))


def _room(store: StoreSeen) -> str:
    """How much is left, and until when."""
    if store.problem:
        return critical("NO ANSWER")
    filling = store.filling
    if filling is None:
        return "not known"
    until = f", full on {filling.full_on:%Y-%m-%d}" if filling.full_on else ""
    return f"{size(filling.free_bytes)}{until}"


def _read(scrubbed: Scrubbed | None, overview: Overview) -> str:
    """How far the scrub is, and what it found that nobody has read whole since."""
    if scrubbed is None:
        return "not yet"
    at = scrubbed.oldest_at
    oldest = f"unread at most {age(at, overview.now)}" if at else "nothing due"
    found = ", ".join(f"{each.kind.value.upper()} {each.key}" for each in scrubbed.unsettled[:2])
    return Text(oldest) + (", " + warning("BEHIND") if scrubbed.behind else "") \
        + (", " + critical(found) if found else "")


def _recovery(overview: Overview) -> Iterator[str]:
    """What a loss at this moment would cost, against what it may."""
    recovery = overview.recovery
    if recovery is None:
        return
    lost = (overview.now - recovery.lost_since).total_seconds()
    over = lost > overview.objective_loss_seconds
    yield ""
    too_much = ", " + critical("TOO MUCH") if over else Text("")
    yield from fold(f"A loss now would cost the data of {age(recovery.lost_since, overview.now)} (allowed: "
                    f"{duration(overview.objective_loss_seconds)}" + too_much + f"), and a recovery from "
                    f"{recovery.set_id} about {duration(recovery.expected_seconds)}:")
    rows = [[f"  {each.component}", duration(each.expected_seconds), duration(each.objective_seconds),
             state("met") if each.met else state("TOO LONG"),
             "measured" if each.measured else "a guess: nightscan drill"] for each in recovery.components]
    yield from table(["  COMPONENT", "EXPECTED", "ALLOWED", "", ""], rows, right=(1, 2))


def _next(overview: Overview, language: Language) -> Iterator[str]:
    if overview.due:
        yield ""
        rows = [[language.moment(each.at), each.task.removeprefix("nightscan.")]
                for each in overview.due[:_NEXT]]
        yield from table([f"NEXT ({language.zone.key})", ""], rows)
