"""One scrub of one store: the papers of every set, and tonight's share of the artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from nightscan_tasks.audit import Action
from nightscan_tasks.backup.dumping import Progress, holder
from nightscan_tasks.errors import Busy, LeaseLost, NightscanError
from nightscan_tasks.ledger.reads import Kind, Reads, Scrubbed
from nightscan_tasks.model import MANIFEST_NAME, Artifact, Json, Keep, SetId, Tier
from nightscan_tasks.scrub.book import Book
from nightscan_tasks.scrub.holding import Holding, holdings, list_sets, verified_there
from nightscan_tasks.scrub.mending import Mending
from nightscan_tasks.scrub.papers import Papers
from nightscan_tasks.scrub.reading import kept
from nightscan_tasks.scrubbing import Allowance, Copy, ScrubPlan, plan_scrub
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import find_problem

_SAME_NIGHT = timedelta(hours=12)  # what was read since then is of this night's share


@dataclass(frozen=True)
class Wish:
    """What is asked of a scrub: by default this night's share, and that damage is mended.

    `read_bytes` is how much to read instead; `everything` wins over it. `keep` is how long sets are kept: one
    that is past its time is being removed, and not damaged.
    """

    read_bytes: int | None = None
    everything: bool = False
    repair: bool = True
    keep: Mapping[Tier, Keep] = field(default_factory=dict)


NIGHTLY = Wish()


def preview(system: System, store_name: str, wish: Wish = NIGHTLY) -> ScrubPlan:
    """What a scrub would read now, and why; it changes nothing."""
    store = system.store(store_name)
    return _plan(system, holdings(system, store), wish)


def scrub(system: System, store_name: str, wish: Wish = NIGHTLY, *,
          watch: Callable[[dict[str, Json]], None] | None = None) -> Scrubbed:
    """Read a share of a store, replace what is damaged, and tell what was found.

    `Busy`: another scrub of this store is under way. A store that is down is the answer's `problem`. It
    may be killed at any point: what was read is on record, and the next one goes on from there.
    """
    store = system.store(store_name)
    progress = Progress(f"scrub {store.name}", watch=watch, phase="scrubbing")
    with system.leases.hold(f"scrub/{store.name}", holder(system), progress=progress.values) as check:
        progress.check = check
        return _Scrub(system, store, wish, progress).run()


def _plan(system: System, held: list[Holding], wish: Wish) -> ScrubPlan:
    settings, now = system.settings, system.clock()
    copies = [copy for each in held for copy in each.copies()
              if wish.everything or not copy.doubt or _hope(system, each, copy)]
    reads = [read for each in held for artifact in each.manifest.artifacts
             if (read := each.reads.of(artifact.name)) and read.read_at > now - _SAME_NIGHT]
    asked = sum(copy.stored_bytes for copy in copies) if wish.everything else wish.read_bytes
    return plan_scrub(copies, Allowance(
        settings.scrub_days, settings.scrub_bytes, sum(read.read_bytes for read in reads), asked), now=now)


def _hope(system: System, holding: Holding, copy: Copy) -> bool:
    """Whether a doubtful copy is worth a look: not when it is known to be damaged, and nobody can mend it."""
    read = holding.reads.of(copy.name)
    if read is None or not read.problem or holding.listed.get(copy.name) != copy.stored_bytes:
        return True
    for other in system.stores:
        with suppress(NightscanError):  # one that is down cannot help tonight
            entry = other.stat(copy.key) if other.url != holding.store.url else None
            theirs = replace(holding, store=other, reads=Reads(system.primary).of_set(other, copy.set_id),
                             verified=verified_there(system, other, holding.manifest))
            if entry and entry.stored_bytes == copy.stored_bytes and not theirs.problem(
                    holding.manifest.artifact(copy.name)):
                return True
    return False


@dataclass
class _Scrub:
    system: System
    store: Store
    wish: Wish
    progress: Progress

    def run(self) -> Scrubbed:
        self.book = Book.begin(self.system, self.store)
        self.until = self.book.state.began_at + timedelta(seconds=self.system.settings.deadline_seconds)
        self.others = tuple(each for each in self.system.stores if each.url != self.store.url)
        try:
            self._forget()
            papers = Papers(self.book, self.others, self.wish.keep, repair=self.wish.repair,
                            check=self.progress.check)
            papers.look()
            # A manifest that is not right says nothing of its artifacts.
            held = [each for each in holdings(self.system, self.store)
                    if each.manifest.set_id not in papers.doubtful]
            for each in held:
                if each.verified and each.verified.problems:
                    self.book.correct(each)  # what was wrong with its papers may be mended
            plan = _plan(self.system, held, self.wish)
            self.book.planned(plan)
            left = self._read(plan, {each.manifest.set_id: each for each in held})
            self.book.planned(_plan(self.system, holdings(self.system, self.store), NIGHTLY), left)
            problem = ""
        except LeaseLost:
            raise
        except NightscanError as exc:
            problem = str(exc)
        return self.book.end(problem)

    def _forget(self) -> None:
        there = list_sets(self.store)
        for set_id in set(self.book.sets) - set(there):
            self.book.gone(set_id)

    def _read(self, plan: ScrubPlan, held: dict[SetId, Holding]) -> str:
        """Read artifact after artifact until the plan is done, or the time is up: then it says so."""
        self.progress.predicted_bytes = plan.planned_bytes
        for number, turn in enumerate(plan.turns):
            if self.system.clock() >= self.until:
                return (f"the time was up after {number} of {len(plan.turns)} artifacts; the next scrub goes "
                        f"on from there")
            holding = held[turn.copy.set_id]
            self.progress.next_stream()
            damaged = self._look_at(holding, holding.manifest.artifact(turn.copy.name))
            if damaged or turn.copy.doubt:  # later sets that have archives here are as good as these
                for each in held.values():
                    if turn.copy.set_id in each.manifest.needs:
                        self.book.correct(each)
        return ""

    def _look_at(self, holding: Holding, artifact: Artifact) -> bool:
        """Read one, mend it if need be; whether it was damaged."""
        set_id = holding.manifest.set_id
        try:
            problem = self._compare(holding, artifact)
        except LeaseLost:
            raise
        except NightscanError as exc:
            self.store.stat(set_id.key(MANIFEST_NAME))  # raises where the store is down: that ends the scrub
            self.book.tell(Kind.UNREAD, set_id.key(artifact.name), str(exc))
            return False
        if problem and self.store.stat(set_id.key(MANIFEST_NAME)) is None:
            return False  # a rotation removes the set at this moment
        self.book.counted(artifact.stored_bytes)
        if problem:
            self.book.damaged(set_id, artifact.name, problem, artifact.stored_bytes)
            self.book.correct(holding)  # before anything is tried: retention must not count it as good
            self._mend(holding, artifact, problem)
        else:
            self.book.whole(set_id, artifact.name, artifact.stored_bytes)
        self.book.correct(holding)
        return bool(problem)

    def _compare(self, holding: Holding, artifact: Artifact) -> str:
        """What is wrong with an artifact, found twice; empty where it is whole."""
        set_id = holding.manifest.set_id
        first = self._find_problem(set_id, artifact)
        problem = first and self._find_problem(set_id, artifact)
        if first and not problem:
            self.book.tell(Kind.WAVERED, set_id.key(artifact.name), (
                f"{first}; read once more it was whole: look at this host's memory, and at the way to "
                f"{self.store.url}"))
        return problem

    def _find_problem(self, set_id: SetId, artifact: Artifact) -> str:
        return find_problem(self.store, set_id, artifact, seen=self.progress.seen)

    def _mend(self, holding: Holding, artifact: Artifact, problem: str) -> None:
        """Replace it where a whole copy is found, unless the set is being removed."""
        set_id = holding.manifest.set_id
        if not self.wish.repair:
            self.book.tell(Kind.DAMAGED, set_id.key(artifact.name), problem)
            return
        try:
            with kept(self.system, self.store, set_id):
                if self.store.stat(set_id.key(MANIFEST_NAME)) is not None:
                    self._replace(holding, artifact, problem)
        except Busy:  # whoever removes it has it: the next scrub looks again
            return

    def _replace(self, holding: Holding, artifact: Artifact, problem: str) -> None:
        """Mend it, or say why it cannot be; that stays on record."""
        set_id, key = holding.manifest.set_id, holding.manifest.set_id.key(artifact.name)

        def announce(source: str) -> None:
            self.system.audit.record(Action.REPAIR, key, store=self.store.name, source=source,
                                     problem=problem)

        mending = Mending(self.store, self.others, set_id, artifact, announce=announce,
                          seen=lambda _count: self.progress.check())
        source = mending.mend()
        for other in self.others:
            if other.name in mending.damaged:
                self.book.damaged_elsewhere(holding, artifact, other, mending.damaged[other.name])
        if source:
            self.book.whole(set_id, artifact.name, artifact.stored_bytes, mended_from=source)
            self.book.tell(Kind.MENDED, key, problem, source)
        else:
            reasons = "; ".join(mending.reasons) or "there is no other store"
            self.book.tell(Kind.DAMAGED, key, f"{problem}; it could not be replaced: {reasons}")
