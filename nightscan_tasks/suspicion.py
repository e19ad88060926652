"""Whether a set is far smaller than the ones before it: what a wiped table or an emptied folder looks like.

Such a set is whole, verified and useless. It is marked in its manifest, told, and stops retention, so that
the sets from before are not rotated away while nobody looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from statistics import median
from typing import cast

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.model import Artifact, Manifest, Report, SetId, Tier
from nightscan_tasks.wording import count, size

PREDECESSORS = 7
"""How many earlier sets a component is compared with: their median, so that one odd set moves nothing."""

_READ = 60  # manifests at most: the sets of components that are rarely saved may lie far back


def plan_suspicion(manifest: Manifest, earlier: Iterable[Manifest], *, percent: int,
                   trusted: AbstractSet[SetId] = frozenset()) -> tuple[str, ...]:
    """Why a set is suspicious, a line for each reason; nothing where it is as large as it should be.

    Each measure of a component (rows and bytes of the database, keys of Redis, files and bytes of files) is
    compared with the median of the newest `PREDECESSORS` of `earlier` that have the component, whatever
    their tier; less than `percent` of it is suspicious. Incomplete and suspicious sets are no predecessors.
    One that is `trusted` is the last that counts: what it shrank to is the normal size since then. What a
    restore is about to replace (`pre_restore`) is never judged, and never a predecessor.
    """
    if manifest.set_id.tier is Tier.PRE_RESTORE or not percent:
        return ()
    before = list(_predecessors(manifest, earlier, trusted))
    failed = {failure.part.partition(".")[0] for failure in manifest.failures}
    return tuple(reason for component in manifest.components if component not in failed
                 for reason in _reasons(manifest, component, _past(component, before), percent))


def read_earlier(catalog: Catalog, manifest: Manifest) -> Iterator[Manifest]:
    """The sets before one, the newest first: as many as it takes to judge each of its components."""
    wanted = Counter(dict.fromkeys(manifest.components, PREDECESSORS))
    for set_id in [each for each in catalog.ids() if each.taken_at < manifest.set_id.taken_at][:_READ]:
        try:
            found = catalog.get(set_id)
        except (NotFound, ManifestInvalid):  # removed since, or broken: no predecessor
            continue
        yield found
        if found.complete and not found.suspicious:
            wanted.subtract(found.components.keys())
        if max(wanted.values(), default=0) <= 0:
            return


def measures(report: Report, artifacts: Iterable[Artifact], component: str) -> dict[str, int]:
    """What of a component can be compared from set to set, by noun."""
    held = report.fingerprint
    match component:
        case "database":
            tables = cast("Mapping[str, Mapping[str, int]]", held.get("tables") or {})
            return {"row": sum(table["rows"] for table in tables.values() if table),
                    "byte": sum(artifact.plain_bytes for artifact in artifacts)}
        case "redis":  # bytes say little: the artifact may be an RDB, or commands
            databases = cast("Mapping[str, Mapping[str, int]]", held.get("databases") or {})
            return {"key": sum(database["keys"] for database in databases.values())}
    found = {noun: held.get(name) for noun, name in (("file", "files"), ("byte", "bytes"))}
    return {noun: value for noun, value in found.items() if isinstance(value, int)}


def _predecessors(manifest: Manifest, earlier: Iterable[Manifest],
                  trusted: AbstractSet[SetId]) -> Iterator[Manifest]:
    """The sets to compare with, the newest first; of those that are suspicious the trusted ones."""
    for each in sorted(earlier, key=lambda each: each.set_id.taken_at, reverse=True):
        if (each.set_id.taken_at < manifest.set_id.taken_at and each.set_id.tier is not Tier.PRE_RESTORE
                and each.complete and (not each.suspicious or each.set_id in trusted)):
            yield each


def _past(component: str, before: Iterable[Manifest]) -> list[dict[str, int]]:
    """What a component measured before, since somebody last said that its new size is right."""
    past: list[dict[str, int]] = []
    for each in before:
        if component in each.components and len(past) < PREDECESSORS:
            past.append(measures(each.components[component], each.of(component), component))
        if any(reason.startswith(f"{component}: ") for reason in each.suspicious):
            break
    return past


def _reasons(manifest: Manifest, component: str, past: Sequence[Mapping[str, int]],
             percent: int) -> list[str]:
    reasons = []
    for noun, now in measures(manifest.components[component], manifest.of(component), component).items():
        usual = median([each[noun] for each in past if noun in each] or [0])
        if now < usual * percent / 100:
            reasons.append(f"{component}: {_number(now, noun)}, where the last {_sets(len(past))} "
                           f"{_number(round(usual), noun)}")
    return reasons


def _sets(number: int) -> str:
    return "set had" if number == 1 else f"{number} sets had in the median"


def _number(value: int, noun: str) -> str:
    return size(value) if noun == "byte" else count(value, noun)
