"""Killed anywhere, or beside another: repeated, it ends the same."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import Busy


def test_another_that_puts_files_back_is_not_disturbed(application: Any) -> None:
    application.save()
    (application.root / "uploads/c.jpg").unlink()
    folder = application.root / ".nightscan_reconcile"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another reconciliation"):
            application.reconcile(apply=True)
    finally:
        os.close(descriptor)
    assert application.reconcile(apply=True).in_order


_KILLED = """
import os, signal, sys
from datetime import datetime, timedelta, UTC
from functools import partial
from nightscan_tasks.reconcile import Saved, Site, parse_columns, reconcile
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System

step, count = sys.argv[1], int(sys.argv[2])
seen = 0

def before(here):
    global seen
    seen += here == step
    if here == step and seen == count:
        os.kill(os.getpid(), signal.SIGKILL)

system = System.from_env()
site = Site(system.settings.dsn, system.settings.root, parse_columns(system.settings.reconcile))
reconcile(site, Saved(partial(plain, system), (system.catalog(),)),
          now=datetime.now(UTC) + timedelta(hours=2), quarantine=system.settings.quarantine, before=before)
"""


@pytest.mark.parametrize(("step", "count"), [("extract", 1), ("place", 1), ("place", 2), ("quarantine", 1),
                                             ("quarantine", 2)])
def test_killed_anywhere_and_repeated_it_ends_the_same(application: Any, step: str,
                                                       count: int) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads")
    application.write("stray.wav", "nobody's")
    application.write("other/stray.wav", "nobody's either")
    ended = subprocess.run([sys.executable, "-c", _KILLED, step, str(count)], check=False,
                           env={**os.environ, **application.environ}, timeout=180)
    assert ended.returncode == -signal.SIGKILL
    assert application.reconcile(apply=True).in_order
    assert application.files() == {**application.in_order_files, "quarantine/uploads/stray.wav": "nobody's",
                                   "quarantine/uploads/other/stray.wav": "nobody's either"}
    assert not (application.root / ".nightscan_reconcile").exists()
    assert list(Path(application.environ["NIGHTSCAN_TEMP_DIR"]).iterdir()) == []
