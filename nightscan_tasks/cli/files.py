"""`nightscan files SET`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.cli import completing
from nightscan_tasks.cli.choices import SET_ID, TIER, Word
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.components.entry import Indexed, Kind
from nightscan_tasks.components.files_source import list_files
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.restore import Choice
from nightscan_tasks.restore.choosing import choose
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.wording import count, size

COMPONENT = Word("component", ("user_data", "system_config", "source_code"))


@json_command(name="files", short_help="the files in a set, without restoring them", examples=(
    "nightscan files --tier weekly --index 1",
    "nightscan files daily/20261123T020000Z --grep 'uploads/2026/*'",
    "nightscan files --component source_code --from offsite",
))
@click.argument("set_id", type=SET_ID, required=False, metavar="[SET]")
@click.option("--tier", type=TIER, help="The newest complete set of this tier …")
@click.option("--index", type=click.IntRange(1), help="… or an older one: 1 is the newest.")
@click.option("--component", type=COMPONENT, default="user_data", show_default=True,
              help="user_data, system_config or source_code.")
@click.option("--grep", "patterns", multiple=True, metavar="PATTERN",
              help="Only files that fit, as `restore --path` takes them; may be repeated.")
@click.option("--from", "store", metavar="STORE", default="primary", show_default=True,
              shell_complete=completing.stores,
              help="The store to read from: a name, or a URL.")
def command(session: Session, set_id: SetId | None, tier: str | None, index: int | None,
            component: str, patterns: tuple[str, ...], store: str) -> None:
    """List the files in a set: mode, size, time and name. Exit status 1 when none fits.

    Read in this process from the set's index, which is encrypted like the rest: the private key has to be
    here. No file is restored.
    """
    if set_id and (tier or index):
        raise click.UsageError("give a set's id, or --tier and --index, not both")
    choice = Choice(set_id=set_id, tier=Tier(tier) if tier else None, index=index or 1, store=store)
    catalog, manifest = choose(session.system, choice, (component,))
    entries = _entries(session, catalog, manifest, component, patterns)
    if session.as_json:
        found = [_as_json(each) for each in entries]
        session.finish(Exit.DONE if found else Exit.FAILED,
                       {"set_id": str(manifest.set_id), "component": component, "files": found}, ())
    total = total_bytes = 0
    for each in entries:  # as they come: there may be a million
        click.echo(_line(each))
        total, total_bytes = total + 1, total_bytes + _bytes(each)
    session.tell(f"{count(total, 'file')}, {size(total_bytes)}, in {manifest.set_id}")
    session.finish(Exit.DONE if total else Exit.FAILED, None, ())


def _entries(session: Session, catalog: Catalog, manifest: Manifest, component: str,
             patterns: tuple[str, ...]) -> Iterator[Indexed]:
    indexes = [each for each in manifest.of(component) if ".index." in each.name]
    paths = Paths(patterns)
    folders: set[bytes] = set()  # each is in every archive
    for artifact in indexes:
        with plain(session.system, catalog, manifest, artifact) as chunks:
            for each in list_files(chunks):
                if not paths.matches(each.entry.path):
                    continue
                if each.entry.kind is Kind.DIRECTORY:
                    if each.entry.path in folders:
                        continue
                    folders.add(each.entry.path)
                yield each


def _line(each: Indexed) -> str:
    entry = each.entry
    when = datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
    kind = {Kind.DIRECTORY: "/", Kind.SYMLINK: f" -> {shown(entry.target)}"}.get(entry.kind, "")
    return f"{entry.mode:04o} {_bytes(each):>12} {when:%Y-%m-%d %H:%M:%S} {shown(entry.path)}{kind}"


def _bytes(each: Indexed) -> int:
    return each.entry.content_bytes if each.entry.kind is Kind.FILE else 0


def _as_json(each: Indexed) -> dict[str, Any]:
    entry = each.entry
    return {"path": shown(entry.path), "type": entry.kind.value, "bytes": _bytes(each),
            "mode": f"{entry.mode:04o}", "sha256": each.sha256 or None,
            "mtime": datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC).isoformat()}
