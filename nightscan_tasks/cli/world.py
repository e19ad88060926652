"""`nightscan world up|status|down`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from nightscan_tasks.cli.choices import SIZE
from nightscan_tasks.cli.colours import hint, state
from nightscan_tasks.cli.group import Group
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import table
from nightscan_tasks.system import utc_now
from nightscan_tasks.wording import ago, size
from nightscan_tasks.world.world import Status, World

_DIR = click.option("--dir", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR",
                    help="Where all of it lives.")


@click.group(name="world", cls=Group, short_help="a whole NightScan on loopback, to try things on", examples=(
    "nightscan world up --dir /tmp/world --sample 100MB",
    "nightscan world status --dir /tmp/world",
    "nightscan world down --dir /tmp/world --purge",
))
def command() -> None:
    """A whole NightScan on loopback: PostgreSQL, two Redis, S3, a key ring, workers, beat, Flower.

    Everything is below DIR, and nothing else is touched.
    """


@json_command(name="up", short_help="start it, and return when all of it answers", examples=(
    "nightscan world up --dir /tmp/world --sample 100MB",
    "nightscan world up --dir /tmp/world --no-celery",
))
@_DIR
@click.option("--sample", type=SIZE, help="Fill it with about so much: 20MB, 1GB.")
@click.option("--celery/--no-celery", default=True, show_default=True, help="Workers, beat and Flower too.")
def _up(session: Session, folder: Path, sample: int | None, *, celery: bool) -> None:
    """Start what does not run yet, and return when all of it answers.

    DIR/env then holds what a client or worker needs: source it in a shell.
    """
    world = World.up(folder, celery=celery, told=session.tell)
    if sample:
        session.tell(f"filling it with about {size(sample)}")
        world = world.fill(sample, now=utc_now())
    session.finish(Exit.DONE, _as_json(world), [f"The world in {world.folder} is up.",
                                                hint(f"Next: . {world.folder}/env && nightscan doctor")])


@json_command(name="status", short_help="what of it runs", examples=(
    "nightscan world status --dir /tmp/world",
    "nightscan world status --dir /tmp/world --json",
))
@_DIR
def _status(session: Session, folder: Path) -> None:
    """Say what of it runs, where. Exit status 3 when something does not."""
    world = World.open(folder)
    every = all(each.up for each in world.status())
    session.finish(Exit.DONE if every else Exit.DEGRADED, _as_json(world), _lines(world.status()))


@json_command(name="down", short_help="stop all of it", examples=(
    "nightscan world down --dir /tmp/world",
    "nightscan world down --dir /tmp/world --purge",
))
@_DIR
@click.option("--purge", is_flag=True, help="Remove its data too.")
def _down(session: Session, folder: Path, *, purge: bool) -> None:
    """Stop all of it, whoever started it, and however that ended. The data stays, unless --purge."""
    World.down(folder, purge=purge, told=session.tell)
    session.finish(Exit.DONE, {"dir": str(folder.absolute()), "up": False, "purged": purge},
                   [f"The world in {folder.absolute()} is down; its data {'is gone' if purge else 'stays'}."])


def _lines(found: tuple[Status, ...]) -> Iterator[str]:
    now = utc_now()
    rows = [[each.name, state("up" if each.up else "DOWN"), str(each.port or "-"), str(each.pid or "-"),
             ago(each.since, now) if each.since else "-",
             f"{each.version} ({each.origin})" if each.version else "-"] for each in found]
    yield from table(["SERVICE", "STATE", "PORT", "PID", "STARTED", "VERSION"], rows, right=(2, 3))


def _as_json(world: World) -> dict[str, object]:
    return {"dir": str(world.folder), "env": str(world.folder / "env"),
            "services": {each.name: {"up": each.up, "port": each.port, "pid": each.pid,
                                     "version": each.version, "origin": each.origin}
                         for each in world.status()}}


for each in (_up, _status, _down):
    command.add_command(each)
