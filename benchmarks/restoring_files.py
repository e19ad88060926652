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
from nightscan_tasks.model import FOREVER, Manifest, Plan, Tier
from nightscan_tasks.restore.reading import SetSource
from nightscan_tasks.system import System
from nightscan_tasks.wording import size
from nightscan_tasks.world.world import World

ENCRYPT = ('gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --trust-model always --encrypt '
           "-r backup@nightscan.com -z 0")
GPG = 'gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --quiet --decrypt'


def files(site: World) -> Table:
    """`gpg -d | tar -x` of media that were never compressed, the same of the set's archives with gunzip
    between, and the component, which ends with its bytes on the disk.
    """
    made = system(site)
    manifest = _saved(made)
    target = site.folder / "bench-restored"
    folder = Path(made.settings.primary) / str(manifest.set_id)
    unpack = " && ".join(f"{GPG} {folder / artifact.name} | gunzip | tar -x -C {target}"
                         for artifact in manifest.of("user_data") if ".tar." in artifact.name)
    by_hand = f"mkdir {target} && {unpack}"
    env, cwd = site.environ(), site.folder
    root = made.settings.root
    shell(f"tar -C {root} -cf - uploads models config logs | {ENCRYPT} >bench.tar.gpg", env=env, cwd=cwd)()
    results = contest({
        "gpg -d | tar -x": shell(f"mkdir {target} && {GPG} bench.tar.gpg | tar -x -C {target}", env=env,
                                 cwd=cwd),
        "gpg -d | gunzip | tar -x": shell(by_hand, env=env, cwd=cwd),
        "gpg -d | gunzip | tar -x, and sync": shell(f"{by_hand} && sync -f {target}", env=env, cwd=cwd),
        "the component: staged, checked, exchanged": _restoring(made, manifest, target),
    }, prepare=lambda: shutil.rmtree(target, ignore_errors=True))
    shutil.rmtree(target)
    plain_bytes = sum(artifact.plain_bytes for artifact in manifest.of("user_data"))
    return _table(f"user data restored, {size(plain_bytes)}", results, plain_bytes)


def _saved(made: System) -> Manifest:
    run = backup.run_local(made, Request(Plan(Tier.MANUAL, ("user_data",), FOREVER)))
    return made.catalog().get(run.set_id)


def _restoring(made: System, manifest: Manifest, target: Path) -> Callable[[], object]:
    def run() -> None:
        restorer = FilesRestorer("user_data", target, "bench", layout=layout_of(made.settings, "user_data"))
        restorer.stage(SetSource(made, made.catalog(), manifest, "user_data"))
        restorer.swap()
    return run


def _table(title: str, results: dict[str, Result], plain_bytes: int) -> Table:
    plain, unzipped, *_ = results.values()
    table = Table(title=f"{title}; medians of three")
    for column in ("way", "seconds", "MB/s", f"times as long as {plain.name}", f"… as {unzipped.name}",
                   "rounds"):
        table.add_column(column, justify="left" if column in {"way", "rounds"} else "right")
    for name, result in results.items():
        table.add_row(name, f"{result.seconds:.2f}", f"{plain_bytes / result.seconds / 1e6:.0f}",
                      f"{result.seconds / plain.seconds:.2f}", f"{result.seconds / unzipped.seconds:.2f}",
                      " ".join(f"{each:.2f}" for each in result.rounds))
    return table
