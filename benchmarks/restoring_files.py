"""User data, restored: against `gpg`, `gunzip` and `tar` on the same archives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from benchmarks.contest import Result, contest, shell
from benchmarks.site import system
from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.components.files_layout import layout_of
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.model import FOREVER, Artifact, Manifest, Plan, Report, Tier
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System
from nightscan_tasks.wording import size
from nightscan_tasks.world.world import World

GPG = 'gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --quiet --decrypt'


def files(site: World) -> Table:
    """`gpg -d | gunzip | tar -x`, and the component: both end with their bytes on the disk."""
    made = system(site)
    manifest = _saved(made)
    target = site.folder / "bench-restored"
    folder = Path(made.settings.primary) / str(manifest.set_id)
    unpack = " && ".join(f"{GPG} {folder / artifact.name} | gunzip | tar -x -C {target}"
                         for artifact in manifest.of("user_data") if ".tar." in artifact.name)
    by_hand = f"mkdir {target} && {unpack}"
    env, cwd = site.environ(), site.folder
    results = contest({
        "gpg -d | gunzip | tar -x": shell(by_hand, env=env, cwd=cwd),
        "the same, and sync": shell(f"{by_hand} && sync -f {target}", env=env, cwd=cwd),
        "the component: staged, checked, exchanged": _restoring(made, manifest, target),
    }, prepare=lambda: shutil.rmtree(target, ignore_errors=True))
    shutil.rmtree(target)
    plain_bytes = sum(artifact.plain_bytes for artifact in manifest.of("user_data"))
    return _table(f"user data restored, {size(plain_bytes)}", results, plain_bytes)


def _saved(made: System) -> Manifest:
    run = backup.run_local(made, Request(Plan(Tier.MANUAL, ("user_data",), FOREVER)))
    return made.catalog().get(run.set_id)


class _Source:
    """The set that was taken, from its store."""

    def __init__(self, made: System, manifest: Manifest) -> None:
        self._system, self._manifest = made, manifest
        self.report: Report = manifest.components["user_data"]
        self.artifacts: tuple[Artifact, ...] = manifest.of("user_data")

    def open(self, artifact: Artifact):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a context manager
        return plain(self._system, self._system.catalog(), self._manifest, artifact)


def _restoring(made: System, manifest: Manifest, target: Path) -> Callable[[], object]:
    def run() -> None:
        restorer = FilesRestorer("user_data", target, "bench", layout=layout_of(made.settings, "user_data"))
        restorer.stage(_Source(made, manifest))
        restorer.swap()
    return run


def _table(title: str, results: dict[str, Result], plain_bytes: int) -> Table:
    first = next(iter(results.values()))
    table = Table(title=f"{title}; medians of three")
    for column in ("way", "seconds", "MB/s", f"times as long as {first.name}", "rounds"):
        table.add_column(column, justify="left" if column in {"way", "rounds"} else "right")
    for name, result in results.items():
        table.add_row(name, f"{result.seconds:.2f}", f"{plain_bytes / result.seconds / 1e6:.0f}",
                      f"{result.seconds / first.seconds:.2f}",
                      " ".join(f"{each:.2f}" for each in result.rounds))
    return table
