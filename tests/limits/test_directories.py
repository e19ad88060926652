"""Directories on a network's file system keep to the limits, those on a disk of this machine do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.settings import load
from nightscan_tasks.stores import build, paced
from nightscan_tasks.stores.build import build_store
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.stores.paced import Paced, network_of
from nightscan_tasks.stores.pacing import SECOND, Pace, Paces
from nightscan_tasks.streams import tally
from tests.limits.conftest import Slept

_MOUNTS = r"""
22 28 0:20 / /proc rw,nosuid shared:13 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
40 28 8:2 / /mnt rw,relatime shared:2 - ext4 /dev/sda2 rw
41 40 0:50 / /mnt/nas rw,relatime shared:20 - nfs4 nas:/export rw,vers=4.2
42 40 0:51 / /mnt/windows\040share rw shared:21 - cifs //server/share rw
43 40 0:52 / /mnt/far rw shared:22 - fuse.sshfs user@far:/ rw
44 40 0:53 / /mnt/usb rw shared:23 - fuseblk /dev/sdc1 rw
45 41 8:3 / /mnt/nas/local rw shared:24 - xfs /dev/sdd1 rw
""".lstrip()


@pytest.mark.parametrize(("path", "kind"), [
    ("/opt/nightscan/backups", ""), ("/mnt/nas/backups", "nfs4"), ("/mnt/nas", "nfs4"),
    ("/mnt/nasty", ""), ("/mnt/windows share/b", "cifs"), ("/mnt/far/b", "fuse.sshfs"), ("/mnt/usb/b", ""),
    ("/mnt/nas/local/b", ""), ("/mnt/far/../usb", ""),
])
def test_what_a_path_lies_on_is_known(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(_MOUNTS)
    assert network_of(Path(path), mounts) == kind


def test_this_machines_own_mounts_can_be_read(tmp_path: Path) -> None:
    assert network_of(Path("/proc")) == ""


def test_what_is_put_and_read_is_paced_and_whole(tmp_path: Path, pace: Callable[[int], Pace],
                                                 slept: Slept) -> None:
    store = Paced(DirectoryStore("offsite", tmp_path / "nas"), Paces(pace(1_000_000), pace(1_000_000)))
    data = bytes(range(256)) * 8000
    stored = store.put("daily/a", [data])
    assert slept.slept_ns == pytest.approx(len(data) * SECOND / 1_000_000, abs=SECOND / 10)
    with store.open("daily/a") as chunks:
        assert tally(chunks).sha256 == stored.sha256
    assert slept.slept_ns >= 2 * len(data) * SECOND / 1_000_000 - SECOND / 2


@pytest.mark.parametrize("kind", ["nfs4", "ext4"])
def test_only_a_directory_on_a_network_is_paced(tmp_path: Path, kind: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"28 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
                      f"41 28 0:50 / {tmp_path} rw shared:20 - {kind} nas:/export rw\n")
    monkeypatch.setattr(build, "network_of", lambda path: paced.network_of(path, mounts))
    environ = {"NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "runtime")}
    limited = environ | {"NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "1000000"}
    for settings, turns in ((load(environ), False), (load(limited), kind == "nfs4")):
        build_store("offsite", str(tmp_path / "store"), settings).put("daily/a", [b"x"])
        assert (tmp_path / "runtime" / "upload.turn").exists() is turns
