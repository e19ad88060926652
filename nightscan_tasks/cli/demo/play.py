"""What the demo does, step by step: the commands are the ones that an operator types."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from nightscan_tasks.cli.demo.live_files import left_out, read_files
from nightscan_tasks.cli.demo.live_keys import now_ms, read_keys
from nightscan_tasks.cli.demo.live_tables import read_tables
from nightscan_tasks.cli.demo.proof import Proof, Thing, Things, compare
from nightscan_tasks.cli.session import Exit
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.system import utc_now
from nightscan_tasks.wording import duration
from nightscan_tasks.world.world import World

_FOLDERS = ("uploads", "models", "config", "logs")
_PASSED_ON = ("TERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")


class StepFailed(NightscanError):
    """A command of the demo ended badly; it said itself why."""


@dataclass(frozen=True)
class Live:
    """Everything that is live at one moment."""

    tables: Things
    keys: Things
    files: Things


@dataclass
class Play:
    """One performance in one world. `tell` gets every line that is not a command's own.

    What the commands print goes to standard output, or `aside`, to standard error.
    """

    world: World
    tell: Callable[[str], None]
    aside: bool = False
    began: float = field(default_factory=time.monotonic)

    def save(self) -> None:
        """Check everything, then take two sets: the daily one, and one of code and configuration."""
        self.title("Is everything there that a backup needs?")
        self.command("doctor", fine=(Exit.DONE, Exit.DEGRADED))
        self.title("The main job, by the real workers")
        self.command("backup", "daily", "--wait")
        self.command("backup", "manual", "--component", "system_config", "--component", "source_code",
                     "--wait")
        self.title("What there is now")
        self.command("list")

    def destroy(self) -> None:
        """Lose everything that the daily set is for."""
        self.title("The disaster")
        self.world.destroy()
        left = look(self.world)
        self.tell(f"dropped the database, flushed Redis, removed {', '.join(_FOLDERS)}: "
                  f"{len(left.tables)} tables, {len(left.keys)} keys and {len(left.files)} files are left")

    def restore(self, beside: Path) -> None:
        """Everything back, from the offsite copy; code and configuration into a folder beside."""
        self.title("Everything back, from the offsite copy")
        self.command("restore", "full", "--tier", "daily", "--from", "offsite")
        self.command("restore", "accept")  # what is kept of the disaster
        for component in ("system_config", "source_code"):
            self.command("restore", component, "--from", "offsite", "--target-root", str(beside))

    def title(self, text: str) -> None:
        """What comes next, and how long it took up to here."""
        self.tell("")
        self.tell(f"== {text} ({duration(time.monotonic() - self.began)} so far)")

    def command(self, *words: str, fine: tuple[Exit, ...] = (Exit.DONE,)) -> None:
        """Run one of our own commands as an operator does; `StepFailed` when it ends badly."""
        self.tell("")
        self.tell(f"$ nightscan {shlex.join(words)}")
        status = subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", *words], check=False,
                                env=self._environ(), cwd=self.world.folder,
                                stdout=sys.stderr if self.aside else None).returncode
        if status not in fine:
            raise StepFailed(f"`nightscan {shlex.join(words)}` ended with exit status {status}\n"
                             f"nightscan demo --keep leaves the world as it is, to look into: the workers "
                             f"write to DIR/celery/*/output.log")

    def _environ(self) -> Mapping[str, str]:
        return {**self.world.processes_environ(),
                **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}}


def look(world: World) -> Live:
    """Read everything that is live now."""
    return Live(read_tables(world.dsn()), read_keys(world.environ()["REDIS_URL"]),
                read_files(world.trees.root, _FOLDERS))


def prove(world: World, before: Live, beside: Path | None = None) -> Proof:
    """Compare what is live now with what was live before, and what was unpacked beside it with its source."""
    after = look(world)
    url = world.environ()["REDIS_URL"]
    proof = (compare("database", before.tables, after.tables)
             + compare("redis", before.keys, after.keys, excuse=partial(_expired, now_ms(url)))
             + compare("user_data", before.files, after.files, excuse=_by_the_rules))
    return proof + _beside(world, beside) if beside else proof


def _beside(world: World, beside: Path) -> Proof:
    """Every file of code and configuration that came out, beside the live one that it was read from."""
    proof = Proof()
    for component, root, folder in (("system_config", world.folder, world.trees.etc.name),
                                    ("source_code", world.trees.root, ".")):
        restored = {name: thing for name, thing in read_files(beside / component, [folder]).items()
                    if thing.facts["kind"] != "directory"}
        found = {name: thing for name, thing in read_files(root, [folder]).items() if name in restored}
        proof += compare(component, found, restored)
    return proof


def _expired(now: int, _name: str, thing: Thing) -> str:
    return "keys that expired meanwhile" if 0 < thing.expires_ms <= now else ""


def _by_the_rules(name: str, thing: Thing) -> str:
    if left_out(name, thing, now=utc_now()):
        return "files that user data leaves out: logs older than 7 days, *.tmp, *.log.gz, cache/"
    return ""
