"""Folders of scratch servers and drills go with their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nightscan_tasks.components.private_folder import private_folder

_CHILD = """
import sys
from pathlib import Path
from nightscan_tasks.components.private_folder import private_folder
with private_folder(Path(sys.argv[1]), "mine-") as folder:
    (folder / "data").write_text("of no use without its process")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    children = [subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        folders = [Path(child.stdout.readline().strip()) for child in children if child.stdout]
        children[0].send_signal(signal.SIGKILL)
        children[0].wait()
        for folder in folders:
            os.utime(folder, (0, 0))
        with private_folder(tmp_path, "mine-") as mine:
            assert sorted(tmp_path.iterdir()) == sorted([folders[1], mine])
        assert list(tmp_path.iterdir()) == [folders[1]]
    finally:
        for child in children:
            child.kill()
            child.communicate()
