from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
from nightscan_tasks.world.world import World
folder = Path(sys.argv[1])
try:
    world = World.up(folder, celery=("nightscan.fast",))
    print(os.geteuid(), all(status.up for status in world.status()), len(world.status()))
    print(sorted({path.owner() for path in (folder, folder / "postgres/data", folder / "env")}))
finally:
    World.down(folder)
World.down(folder, purge=True)
print(folder.exists())
"""
USER = "nobody"
AS_USER = ["/usr/bin/setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups",
           "--inh-caps=-all", "--bounding-set=-all", "--",
           # setpriv itself still may enter closed folders as it starts a program; env may not.
           "/usr/bin/env"]


@pytest.fixture
def environ(open_folder: Path) -> dict[str, str]:
    """All that the other user's program sees; the packages of this one's Python are among it."""
    modules = [sysconfig.get_path("purelib"), str(Path(__file__).parents[2])]
    path = [str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(modules),
            "HOME": str(open_folder), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; everything else "
                                              "here is run as an ordinary user already")
def test_a_world_needs_no_root(open_folder: Path, environ: dict[str, str],
                               living_in: Callable[[Path], dict[int, str]]) -> None:
    python = _python(environ)
    done = subprocess.run([*AS_USER, python, "-c", SCRIPT, str(open_folder / "w")], env=environ,
                          cwd=open_folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == ["65534 True 7", f"['{USER}']", "False"]
    assert not living_in(open_folder)


def _python(environ: dict[str, str]) -> str:
    """An interpreter that the other user may run, and that has what a world needs."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run([*AS_USER, python, "-c", "import psycopg, celery, boto3"], env=environ,
                               cwd="/", capture_output=True, check=False)
        if tried.returncode == 0:
            return python
    pytest.skip(f"{USER} may run no Python that has the packages: they lie in a closed folder")
