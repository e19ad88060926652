"""A component's archives, unpacked and compared with what was saved."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from nightscan_tasks.apart import side_by_side
from nightscan_tasks.components.exchange import FEW, move, sync_tree
from nightscan_tasks.components.extraction import Extraction, ExtractReport
from nightscan_tasks.components.files_source import Archives, Pair
from nightscan_tasks.components.files_task import Crew, Recipe, Task, plan_processes
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.restorer import Source, Staged
from nightscan_tasks.components.tree import Elsewhere
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Json
from nightscan_tasks.streams import Abandoned

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NAMED = 3
_THREADS = 2
_LITTLE_BYTES = 32 << 20

Step = Callable[[str, bytes], None]
"""Told the name of a step, and of what, just before it is done."""


def unpack(archives: Archives, where: tuple[Path, Elsewhere], *, paths: Paths,
           step: Step | None = None) -> ExtractReport:
    """Unpack what is meant into an empty folder, of which parts may lie elsewhere.

    Every file is compared with its hash in the index; and without `paths`, the whole with the fingerprint
    in the manifest. `RestoreRefused`, or `DigestMismatch`, if anything differs.
    """
    wanted = archives.wanted(paths)
    task = Task(archives.component, where, paths.patterns, dict(wanted.stand_ins))
    recipe = plan_processes(archives.source, wanted.pairs)
    done = (_in_processes(task, recipe, archives, wanted.pairs, step) if recipe else
            _in_threads(task, archives, wanted.pairs, step))
    if not paths:
        _compare(archives.component, done, archives.source.report.fingerprint)
    return done


def _in_threads(task: Task, archives: Archives, pairs: tuple[Pair, ...], step: Step | None) -> ExtractReport:
    extraction = task.extraction()

    def one(pair: Pair) -> None:
        _tell(step, pair)
        _unpack(extraction, archives, pair)

    _side_by_side([partial(one, pair) for pair in pairs], _THREADS, extraction.stop)
    return extraction.finish()


def _unpack(extraction: Extraction, archives: Archives, pair: Pair) -> None:
    with archives.opened(pair) as (chunks, index):
        extraction.run(chunks, index=index, told=pair)


def _in_processes(task: Task, recipe: Recipe, archives: Archives, pairs: tuple[Pair, ...],
                  step: Step | None) -> ExtractReport:
    extraction, crew = task.extraction(), Crew(task, recipe, getattr(archives.source, "watch", None))

    def one(pair: Pair) -> None:
        _tell(step, pair)
        if pair.tar.plain_bytes > _LITTLE_BYTES:
            extraction.add(crew.unpack(pair))
            return
        try:  # as what changed in a day: not worth a process
            _unpack(extraction, archives, pair)
        except BaseException:
            crew.stop()
            raise

    def stop() -> None:
        extraction.stop()
        crew.stop()

    _side_by_side([partial(one, pair) for pair in pairs], recipe.jobs, stop)
    return extraction.finish()


def _tell(step: Step | None, pair: Pair) -> None:
    if step:
        step("unpack", pair.tar.name.encode())


def _side_by_side(works: Sequence[Callable[[], None]], threads: int, stop: Callable[[], None]) -> None:
    """So many archives at a time; the first error that is one of its own."""
    errors = side_by_side(works, threads=threads, stop=stop)
    for error in sorted(errors, key=lambda error: isinstance(error, Abandoned)):
        raise error


def unpack_into(target: Path, source: Source, component: str, run_id: str, *,
                paths: tuple[str, ...] = ()) -> Staged:
    """Unpack a component into `target`, which must not be there; it appears whole, or not at all."""
    if os.path.lexists(target):
        raise RestoreRefused(f"{target} exists: choose another --target-root, or move it away")
    staged = target.parent / f".nightscan_staged_{run_id}_{component}"
    try:
        shutil.rmtree(staged, ignore_errors=True)  # of an earlier try
        for folder in reversed([each for each in (staged, *staged.parents) if not each.exists()]):
            folder.mkdir()
            folder.chmod(0o750)  # whatever the umask
        done = unpack(Archives(component, source), (staged, {}), paths=Paths(paths))
        sync_tree(staged, few=done.files <= FEW)
        _rename(staged, target)
    except OSError as exc:
        raise refusal(exc, component, target) from exc
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Staged(done.fingerprint, done.notes)


def refusal(error: OSError, component: str, root: Path) -> RestoreRefused:
    """What a person is told of an error of the system while files were unpacked."""
    if error.errno in _NO_ROOM:
        return RestoreRefused(f"the file system of {root} has no room for {component}: free some, or restore "
                              f"to another --target-root; everything is as it was")
    name = error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename or root)
    return RestoreRefused(f"{component} cannot be unpacked beside {root}: {shown(name)}: {error.strerror}; "
                          f"everything is as it was")


def _rename(staged: Path, target: Path) -> None:
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        move((folder, os.fsencode(staged.name)), (folder, os.fsencode(target.name)))
        os.fsync(folder)
    finally:
        os.close(folder)


def _compare(component: str, done: ExtractReport, expected: Mapping[str, Json]) -> None:
    if expected and done.fingerprint != expected:
        notes = f" ({'; '.join(done.notes[:_NAMED])})" if done.notes else ""
        raise RestoreRefused(
            f"{component} does not come out as it was saved: expected {_shown(expected)}, found "
            f"{_shown(done.fingerprint)}{notes}; the live files are untouched")


def _shown(fingerprint: Mapping[str, Json]) -> str:
    counts = f"{fingerprint.get('files')} files, {fingerprint.get('bytes')} bytes"
    return f"{counts}, {str(fingerprint.get('digest'))[:12]}…"
