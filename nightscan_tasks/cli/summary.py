"""How a run ended, in lines: what was saved, where, how large, how fast, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nightscan_tasks.cli.colours import critical, good, hint, warning
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Ending, Outcome, Verified
from nightscan_tasks.model import Json, Manifest
from nightscan_tasks.system import System
from nightscan_tasks.wording import duration, encryption, rate, ratio, size, stamp

WORDS = {
    Ending.GOOD: "saved, and in every store",
    Ending.DEGRADED: "saved, but not in every store",
    Ending.INCOMPLETE: "incomplete: some components failed, the others are kept",
    Ending.FAILED: "failed: nothing was saved",
}

_SHOWN = {Ending.GOOD: good, Ending.DEGRADED: warning, Ending.INCOMPLETE: critical, Ending.FAILED: critical}


@dataclass(frozen=True)
class Summary:
    """An outcome with what the stores say of its set."""

    outcome: Outcome
    manifest: Manifest | None
    places: Mapping[str, str]
    verified: Mapping[str, Verified]
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The keys that `backup --json` promises."""
        manifest = self.manifest
        return {
            "run_id": self.outcome.run_id, "set_id": str(self.outcome.set_id),
            "ending": self.outcome.ending.value, "elapsed_seconds": self.outcome.elapsed_seconds,
            "plain_bytes": self.outcome.plain_bytes, "stored_bytes": self.outcome.stored_bytes,
            "encrypted_for": manifest.encrypted_for if manifest else None,
            "stores": dict(self.places), "missing_stores": list(self.missing),
            "components": _components_json(manifest),
            "failures": list(self.outcome.failures), "notes": list(self.outcome.notes),
            "suspicious": list(self.outcome.suspicious),
        }


def summarise(system: System, outcome: Outcome) -> Summary:
    """What is worth telling of a run that has ended."""
    manifest = None
    if outcome.stores:
        manifest = system.catalog(outcome.stores[0]).get(outcome.set_id)
    run = system.ledger.opened(outcome.run_id)
    wanted = (system.primary.name, *run.offsites)
    verified = {name: found for name in outcome.stores
                if (found := system.ledger.verified(outcome.run_id, name)) is not None}
    return Summary(outcome, manifest, {name: place(system, name, outcome) for name in outcome.stores},
                   verified, tuple(name for name in wanted if name not in outcome.stores))


def place(system: System, store: str, outcome: Outcome) -> str:
    """Where a set lies in a store, for people."""
    try:
        return f"{system.store(store).url.rstrip('/')}/{outcome.set_id}"
    except NightscanError:
        return store


def lines(summary: Summary) -> Iterator[str]:
    """The summary as an operator reads it."""
    outcome, manifest = summary.outcome, summary.manifest
    yield ""
    yield f"{outcome.set_id}  " + _SHOWN[outcome.ending](WORDS[outcome.ending])
    if manifest:
        yield ""
        yield from ("  " + line for line in _components(manifest))
    yield ""
    yield from ("  " + line for line in _facts(summary))
    yield from _problems(outcome)
    yield ""
    yield from (hint(f"Next: {line}") for line in _next(summary))


def _components(manifest: Manifest) -> list[str]:
    rows = []
    for component in manifest.components:
        artifacts = manifest.of(component)
        plain, stored = (sum(getattr(each, f"{kind}_bytes") for each in artifacts)
                         for kind in ("plain", "stored"))
        rows.append([component, size(plain), size(stored), ratio(plain, stored), str(len(artifacts))])
    rows.append(["total", size(manifest.plain_bytes), size(manifest.stored_bytes),
                 ratio(manifest.plain_bytes, manifest.stored_bytes), str(len(manifest.artifacts))])
    return table(["COMPONENT", "PLAIN", "STORED", "OF PLAIN", "ARTIFACTS"], rows, right=(1, 2, 3, 4))


def _facts(summary: Summary) -> Iterator[str]:
    outcome, manifest = summary.outcome, summary.manifest
    yield f"run        {outcome.run_id}"
    yield (f"took       {duration(outcome.elapsed_seconds)}"
           + (f", {rate(outcome.plain_bytes, outcome.elapsed_seconds)} plain" if outcome.plain_bytes else "")
           + f", settled {stamp(outcome.settled_at)}")
    if manifest:
        yield f"encrypted  {_encrypted(manifest)}"
        if manifest.needs:
            yield f"refers     {referring(manifest)}"
    for name, where in summary.places.items():
        yield f"in         {name}: {where}"
    for name in summary.missing if manifest else ():
        yield f"not in     {name}"


def _encrypted(manifest: Manifest) -> str:
    return manifest.encrypted_for or "no: the set is not encrypted; set NIGHTSCAN_GPG_RECIPIENT"


def _problems(outcome: Outcome) -> Iterator[str]:
    if outcome.failures or outcome.notes:
        yield ""
    for failure in sorted(outcome.failures, key=lambda each: ("@" in each.part, each.part)):
        yield from fold(critical(failure.part) + f": {failure.message}", indent="  ")
    for note in outcome.notes:
        yield from fold(note, indent="  ")


def _next(summary: Summary) -> Iterator[str]:
    if summary.outcome.suspicious:
        yield (f"look at what is live; if it is as it should be: nightscan trust {summary.outcome.set_id} "
               f"--why …; until then nothing of {summary.outcome.set_id.tier} is rotated")
    match summary.outcome.ending:
        case Ending.GOOD:
            yield f"nightscan verify {summary.outcome.set_id}" if not summary.verified else "nightscan list"
        case Ending.DEGRADED:
            yield "nightscan doctor; the missing copies are made by themselves once the store answers"
        case Ending.INCOMPLETE | Ending.FAILED:
            yield f"nightscan doctor, then nightscan backup {summary.outcome.set_id.tier} again"


def _components_json(manifest: Manifest | None) -> dict[str, Json]:
    if manifest is None:
        return {}
    return {component: {
        "plain_bytes": sum(each.plain_bytes for each in manifest.of(component)),
        "stored_bytes": sum(each.stored_bytes for each in manifest.of(component)),
        "artifacts": [each.name for each in manifest.of(component)]} for component in manifest.components}


def referring(manifest: Manifest) -> str:
    """Where the rest of a set lies that refers to earlier ones."""
    rest = manifest.stored_bytes - manifest.own_bytes
    return f"{size(rest)} more of it lie with {' and '.join(map(str, sorted(manifest.needs)))}"


def header(manifest: Manifest) -> str:
    """A set in one line."""
    return (f"{manifest.set_id}  {size(manifest.plain_bytes)} as {size(manifest.stored_bytes)}, "
            f"{encryption(manifest.encrypted_for)}")
