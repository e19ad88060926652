"""`nightscan verify`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import click

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.cli import broker
from nightscan_tasks.cli.choices import SET_ID, TIER, local_option, store_option
from nightscan_tasks.cli.colours import critical, good, hint
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.errors import DigestMismatch, NightscanError, NotFound
from nightscan_tasks.model import MANIFEST_NAME, Manifest, SetId, Tier
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.verification import verify_set
from nightscan_tasks.wording import count, encryption, size


@dataclass(frozen=True)
class Reading:
    """What reading a set back from one store found; `unread` says why nothing is known."""

    store: str
    read_bytes: int
    problems: tuple[str, ...] = ()
    unread: str = ""
    signature: str = ""

    @property
    def sound(self) -> bool:
        """Whether every byte is as it was written."""
        return not self.problems and not self.unread


@json_command(name="verify", short_help="read every stored byte of a set back, and compare", examples=(
    "nightscan verify",
    "nightscan verify --tier daily --index 1",
    "nightscan verify daily/20261123T020000Z --store offsite --local",
))
@click.argument("set_id", type=SET_ID, required=False, metavar="[SET]")
@click.option("--tier", type=TIER, help="The newest complete set of this tier …")
@click.option("--index", type=click.IntRange(1), help="… or an older one: 1 is the newest.")
@store_option("Only in this store; without it, in every store that has the set.")
@local_option
def command(session: Session, set_id: SetId | None, tier: str | None, index: int | None,
            store: str | None, *, local: bool) -> None:
    """Read every stored byte of a set back from its stores, and compare it with the manifest.

    SET is an id as `nightscan list` prints it; or give --tier, and --index. With neither, the
    newest complete set of any tier. Exit status 1 when anything is damaged.
    """
    if set_id and (tier or index):
        raise click.UsageError("give a set's id, or --tier and --index, not both")
    name = session.store_name(store) if store else None
    manifest = _choose(session, set_id, tier, index or 1, name or PRIMARY)
    readings = [_with_signature(session, manifest.set_id, _read(session, manifest, each, local=local))
                for each in ([name] if name else _holders(session, manifest.set_id))]
    session.finish(Exit.DONE if all(each.sound for each in readings) else Exit.FAILED,
                   _as_json(manifest, readings), lines(manifest, readings))


def lines(manifest: Manifest, readings: list[Reading]) -> Iterator[str]:
    """What was found, store by store."""
    yield (f"{manifest.set_id}  {count(len(manifest.artifacts), 'artifact')}, "
           f"{size(manifest.stored_bytes)}, {encryption(manifest.encrypted_for)}"
           f"{'' if manifest.complete else ', incomplete'}")
    for each in readings:
        if each.unread:
            yield from fold(f"{each.store}: " + critical("could not be read") + f": {each.unread}",
                            indent="  ")
        elif each.problems:
            yield f"  {each.store}: " + critical("DAMAGED")
            for problem in each.problems:
                yield from fold(problem, indent="    ")
        else:
            signature = f"; {each.signature}" if each.signature else ""
            yield (f"  {each.store}: " + good("whole")
                   + f", {size(each.read_bytes)} read and compared{signature}")
    if all(each.sound for each in readings):
        return
    sound = [each.store for each in readings if each.sound]
    yield hint(f"Next: the copy in {sound[0]} is whole: nightscan restore … --from {sound[0]}" if sound else
               "Next: nightscan list, and nightscan backup manual for a new set")


def _choose(session: Session, set_id: SetId | None, tier: str | None, index: int, store: str) -> Manifest:
    if set_id is None:
        return session.system.catalog(store).pick(tier=Tier(tier) if tier else None, index=index)
    problems = []
    stores = [store, *(each.name for each in session.system.stores if each.name != store)]
    for name in stores:
        try:
            return session.system.catalog(name).get(set_id)
        except NightscanError as exc:
            problems.append(str(exc))
    raise NotFound("\n".join([f"no store has {set_id} with a manifest that can be read:", *problems]))


def _holders(session: Session, set_id: SetId) -> list[str]:
    """The stores that have the set; one that cannot be asked is tried, and says why it fails."""
    holders = []
    for store in session.system.stores:
        try:
            there = store.stat(set_id.key(MANIFEST_NAME)) is not None
        except NightscanError:
            there = True
        if there:
            holders.append(store.name)
    return holders


def _read(session: Session, manifest: Manifest, store: str, *, local: bool) -> Reading:
    try:
        return _here(session, manifest, store) if local else _there(session, manifest, store)
    except DigestMismatch as exc:
        return Reading(store, manifest.stored_bytes, tuple(str(exc).splitlines()))
    except (broker.NoBroker, broker.NoWorker):
        raise
    except NightscanError as exc:
        return Reading(store, 0, unread=str(exc))


def _with_signature(session: Session, set_id: SetId, reading: Reading) -> Reading:
    """What its signature is worth, as far as this host's key ring can tell."""
    system = session.system
    try:
        standing = system.signatures.standing(system.catalog(reading.store), set_id)
    except NightscanError:
        return reading
    return replace(reading, signature=str(standing))


def _there(session: Session, manifest: Manifest, store: str) -> Reading:
    sent = broker.send(session.system.settings, "nightscan.verify", broker.HEAVY, str(manifest.set_id), store)
    found = followed(session, sent, f"verify {manifest.set_id} in {store}")
    return Reading(store, int(found["read_bytes"]))


def _here(session: Session, manifest: Manifest, store: str) -> Reading:
    system = session.system
    catalog = Catalog(system.store(store))
    with watched(session, f"verify {manifest.set_id} in {store}") as watch:
        def seen(read_bytes: int) -> None:
            watch({"phase": "verifying", "bytes": read_bytes, "of_bytes": manifest.stored_bytes})

        verified = verify_set(catalog, catalog.get(manifest.set_id), clock=system.clock, seen=seen,
                              signatures=system.signatures)
    system.ledger.verify(manifest.run_id, verified)
    return Reading(store, verified.read_bytes, verified.problems)


def _as_json(manifest: Manifest, readings: list[Reading]) -> dict[str, object]:
    return {"set_id": str(manifest.set_id), "sound": all(each.sound for each in readings),
            "encrypted_for": manifest.encrypted_for,
            "stores": {each.store: {"sound": each.sound, "read_bytes": each.read_bytes,
                                    "problems": list(each.problems), "unread": each.unread or None,
                                    "signature": each.signature or None}
                       for each in readings}}
