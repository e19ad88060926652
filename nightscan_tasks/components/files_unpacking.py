"""A component's archives, unpacked and compared with what was saved."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nightscan_tasks.components.exchange import FEW, move, sync_tree
from nightscan_tasks.components.extraction import Extraction, ExtractReport
from nightscan_tasks.components.files_source import Archives, Pair
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.restorer import Source, Staged
from nightscan_tasks.components.tree import Elsewhere
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Json
from nightscan_tasks.streams import Abandoned

_PREFIXES = {"system_config": b"etc"}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NAMED = 3
_THREADS = 2

Step = Callable[[str, bytes], None]
"""Told the name of a step, and of what, just before it is done."""


def prefix_of(component: str) -> bytes:
    """What every name in a component's archives begins with."""
    return _PREFIXES.get(component, b"")


def unpack(archives: Archives, where: tuple[Path, Elsewhere], *, paths: Paths,
           step: Step | None = None) -> ExtractReport:
    """Unpack what is meant into an empty folder, of which parts may lie elsewhere.

    Every file is compared with its hash in the index; and without `paths`, the whole with the fingerprint
    in the manifest. `RestoreRefused`, or `DigestMismatch`, if anything differs.
    """
    wanted = archives.wanted(paths)
    include = _included(prefix_of(archives.component), paths)
    extraction = Extraction(*where, include=include, stand_ins=wanted.stand_ins)

    def one(pair: Pair) -> None:
        if step:
            step("unpack", pair.tar.name.encode())
        with archives.opened(pair) as (chunks, index):
            extraction.run(chunks, index=index, told=pair)

    _side_by_side(one, wanted.pairs, extraction.stop)
    done = extraction.finish()
    if not paths:
        _compare(archives.component, done, archives.source.report.fingerprint)
    return done


def _side_by_side(work: Callable[[Pair], None], pairs: tuple[Pair, ...],
                  stop: Callable[[], None]) -> None:
    """Two archives at a time, since each waits for its own gpg; the first error that is one of its own."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="archive") as pool:
        futures = [pool.submit(work, pair) for pair in pairs]
        try:
            errors = [error for future in futures if (error := future.exception()) is not None]
        except BaseException:  # somebody wants this process to end
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
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


def _included(prefix: bytes, paths: Paths) -> Callable[[bytes], bool]:
    def included(path: bytes) -> bool:
        if prefix and path != prefix and not path.startswith(prefix + b"/"):
            raise RestoreRefused(f"{shown(path)} is not below {shown(prefix)}: such an archive was not made "
                                 f"here")
        return paths.matches(path)

    return included


def _compare(component: str, done: ExtractReport, expected: Mapping[str, Json]) -> None:
    if expected and done.fingerprint != expected:
        notes = f" ({'; '.join(done.notes[:_NAMED])})" if done.notes else ""
        raise RestoreRefused(
            f"{component} does not come out as it was saved: expected {_shown(expected)}, found "
            f"{_shown(done.fingerprint)}{notes}; the live files are untouched")


def _shown(fingerprint: Mapping[str, Json]) -> str:
    counts = f"{fingerprint.get('files')} files, {fingerprint.get('bytes')} bytes"
    return f"{counts}, {str(fingerprint.get('digest'))[:12]}…"
