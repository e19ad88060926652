"""The command: a world that is there for the demo, and gone after it, however it ends."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from nightscan_tasks.cli.choices import SIZE
from nightscan_tasks.cli.demo import proof
from nightscan_tasks.cli.demo.play import Live, Play, look, prove
from nightscan_tasks.cli.demo.proof import Proof
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.errors import NightscanError, WorldError
from nightscan_tasks.system import utc_now
from nightscan_tasks.wording import duration, size
from nightscan_tasks.world.world import World

# Short: the socket of gpg's agent lies below it, and such a path may have 107 bytes.
_SHORT = Path("/tmp")  # noqa: S108 - the folder below it has a random name, and is made anew
_DEMO_LEASES = {"NIGHTSCAN_LEASE_SECONDS": "12"}  # so that the display moves every other second
_KILLED = (signal.SIGTERM, signal.SIGHUP)


@json_command(name="demo", short_help="back up such a world, destroy it, put it back, and compare", examples=(
    "nightscan demo",
    "nightscan demo --size 2GB --keep",
    "nightscan demo --dir /tmp/world --keep",
))
@click.option("--size", "sample_bytes", type=SIZE, default="200MB", show_default=True,
              help="How much data the world holds.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), metavar="DIR",
              help="Where the world lives: a new or empty folder. Without it, one below /tmp.")
@click.option("--keep", is_flag=True, help="Leave the world up, and say how to use it.")
def command(session: Session, sample_bytes: int, folder: Path | None, *, keep: bool) -> None:
    """Show the whole of it on a NightScan of its own, which is removed afterwards.

    Starts PostgreSQL, two Redis, S3 and workers on loopback, fills them, takes a backup, drops
    the database, flushes Redis, removes the files, restores everything from the offsite copy, and
    compares every row, key and file. Exit status 1 if anything differs.
    """
    began = time.monotonic()

    def tell(line: str) -> None:
        click.echo(line, err=session.as_json)

    with _world(folder or _somewhere(), sample_bytes, tell, keep=keep) as world:
        play = Play(world, tell, session.as_json, began)
        before, found = perform(play)
        play.title("The proof")
        for line in ("", *proof.lines(found), ""):
            tell(line)
    conclude(session, before, found, elapsed_seconds=time.monotonic() - began)


def conclude(session: Session, before: Live, found: Proof, *, elapsed_seconds: float) -> NoReturn:
    """End with exit status 0 if everything is back as it was, and 1 if anything differs."""
    session.finish(Exit.DONE if found.equal else Exit.FAILED, _as_json(before, found),
                   [f"The demo took {duration(elapsed_seconds)}."])


def perform(play: Play, *, meddle: Callable[[World], None] = lambda _world: None) -> tuple[Live, Proof]:
    """Save, destroy, restore and compare. `meddle` comes between the restore and the comparison."""
    play.save()
    before = look(play.world)
    play.destroy()
    beside = play.world.folder / "tmp" / "restored"
    play.restore(beside)
    meddle(play.world)
    return before, prove(play.world, before, beside)


@contextmanager
def _world(folder: Path, sample_bytes: int, tell: Callable[[str], None], *, keep: bool) -> Iterator[World]:
    """A filled world in a folder of its own; gone at the end, also after Ctrl-C or a kill."""
    _refuse_foreign(folder)
    with _killed_gently():
        try:
            tell(f"== A NightScan on loopback, with about {size(sample_bytes)} of data, in {folder}")
            tell("")
            world = World.up(folder, settings=_DEMO_LEASES, told=tell)
            tell("filling it")
            yield world.fill(sample_bytes, now=utc_now())
        except KeyboardInterrupt:
            raise NightscanError("interrupted: the demo ends here") from None
        finally:
            if keep and (folder / "env").exists():
                tell(f"The world is still up: . {folder}/env && nightscan list")
                tell(f"To end it: nightscan world down --purge --dir {folder}")
            else:
                tell("Removing the world.")
                World.down(folder, purge=True)


def _somewhere() -> Path:
    base = _SHORT if os.access(_SHORT, os.W_OK) else Path(tempfile.gettempdir())
    return base / f"nightscan-demo-{secrets.token_hex(4)}"


def _refuse_foreign(folder: Path) -> None:
    """A demo removes its world: so it takes no folder that holds anything, not even another world."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorldError(f"{folder} is not empty: nothing was touched; give the demo a new or an empty "
                         f"folder")


@contextmanager
def _killed_gently() -> Iterator[None]:
    """A signal that would end the process is an exception, so that what was started is ended too."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _KILLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_json(before: Live, found: Proof) -> dict[str, object]:
    return {
        "equal": found.equal,
        "compared": {"tables": len(before.tables), "keys": len(before.keys), "files": len(before.files)},
        "lines": [{"component": line.area, "what": line.group, "before": line.before, "after": line.after,
                   "differences": list(line.differences)} for line in found.lines],
        "excused": dict(found.excused),
    }
