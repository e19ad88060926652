"""What a directory store promises beyond the contract: modes, owners, links, a full disk."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from nightscan_tasks.errors import NotFound, StoreRefused
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore

ROOT = os.geteuid() == 0
NOBODY = 65534


def read(store: Store, key: str) -> bytes:
    with store.open(key) as chunks:
        return b"".join(map(bytes, chunks))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "nightscan" / "backups"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore("primary", root)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or not umount or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)],
            check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root; RLIMIT_FSIZE is tested for all")
    yield mounted
    subprocess.run([umount, str(mounted)], check=True)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(store: DirectoryStore, root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store.put("daily/set/x.gz", [b"x"])
        store.put("leases/x", [b"x"], if_absent=True)
    finally:
        os.umask(before)
    for folder in (root, root / "daily", root / "daily/set", root / "leases"):
        assert mode(folder) == 0o750
    for file in (root / "daily/set/x.gz", root / "leases/x"):
        assert mode(file) == 0o640
        assert file.stat().st_nlink == 1


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_the_owner_is_who_the_settings_say(root: Path) -> None:
    store = DirectoryStore("primary", root, owner=f"{NOBODY}:{NOBODY}")
    store.put("daily/set/x", [b"x"])
    store.link_latest({"latest_x": "daily/set/x"})
    for path in (root, root / "daily/set", root / "daily/set/x", root / "latest_x"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (NOBODY, NOBODY)


def test_the_owner_may_be_named(root: Path) -> None:
    me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(os.getegid())
    for owner in (f"{me.pw_name}:{group.gr_name}", me.pw_name, f":{group.gr_name}"):
        DirectoryStore("primary", root, owner=owner).put("x", [b"x"])
    assert (root / "x").stat().st_uid == me.pw_uid


@pytest.mark.parametrize(("owner", "said"), [
    ("no-such-user:root", "no user 'no-such-user'.*useradd"),
    (":no-such-group", "no group 'no-such-group'.*groupadd")])
def test_an_unknown_owner_is_refused_at_once(root: Path, owner: str, said: str) -> None:
    with pytest.raises(StoreRefused, match=said):
        DirectoryStore("primary", root, owner=owner)


def as_nobody(act: Callable[[], object]) -> bytes:
    """What `act` raises when an ordinary user calls it, as text."""
    near, far = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            if ROOT:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                act()
            except BaseException as exc:  # noqa: BLE001 - it is told to the parent, whatever it is
                os.write(far, f"{type(exc).__name__}: {exc}".encode())
        os._exit(0)
    os.close(far)
    with os.fdopen(near, "rb") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_an_owner_that_may_not_be_given_is_refused(open_folder: Path) -> None:
    store = DirectoryStore("primary", open_folder / "x", owner="root:root")
    said = as_nobody(store.probe)
    assert said.startswith(b"StoreRefused: NIGHTSCAN_OWNER=root:root")
    assert b"may not give files away" in said


def test_a_folder_that_may_not_be_written_is_refused(open_folder: Path) -> None:
    store = DirectoryStore("primary", open_folder)
    store.put("daily/x", [b"x"])
    (open_folder / "daily").chmod(0o555)
    said = as_nobody(lambda: store.put("daily/y", [b"y"]))
    assert said.startswith(f"StoreRefused: primary {open_folder}/daily/y: Permission".encode())
    assert b"must be able to write there" in said


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(100_000)


def test_a_full_disk_is_refused_and_leaves_nothing(small_disk: Path) -> None:
    store = DirectoryStore("primary", small_disk)
    store.put("set/x", [b"the old object"])
    for if_absent, key in ((False, "set/x"), (True, "set/y"), (False, "other/z")):
        with pytest.raises(StoreRefused, match=r"(?s)primary .*No space left.* bytes are free, .* "
                                               r"bytes were needed so far.*Make room"):
            store.put(key, endless(), if_absent=if_absent)
    assert [entry.key for entry in store.list()] == ["set/x"]
    assert read(store, "set/x") == b"the old object"
    assert sorted(path.name for path in small_disk.rglob("*")) == ["set", "x"]
    store.put("set/y", [bytes(3_000_000)])


def test_a_limit_on_file_size_is_refused_and_leaves_nothing(
        store: DirectoryStore, root: Path) -> None:
    """The same for ordinary users, who cannot mount a small disk."""
    store.put("set/x", [b"the old object"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StoreRefused, match=r"File too large.*needed so far"):
            store.put("set/x", endless())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(store, "set/x") == b"the old object"
    assert [path.name for path in (root / "set").iterdir()] == ["x"]


def test_links_are_neither_followed_nor_listed(store: DirectoryStore, root: Path,
                                               tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    store.put("daily/x", [b"x"])
    (root / "daily/link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    assert [entry.key for entry in store.list()] == ["daily/x"]
    assert [*store.list("folder/")] == []
    for key in ("daily/link", "folder/secret"):
        assert store.stat(key) is None
        store.delete(key)
        with pytest.raises(NotFound):
            read(store, key)
    with pytest.raises(StoreRefused, match="stands in the way"):
        store.put("folder/new", [b"x"])
    store.put("daily/link", [b"replaces the link, not what it points to"])
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_what_is_no_file_is_no_object(store: DirectoryStore, root: Path) -> None:
    store.put("daily/x", [b"x"])
    os.mkfifo(root / "daily/pipe")
    assert store.stat("daily/pipe") is None
    assert [entry.key for entry in store.list()] == ["daily/x"]
    with pytest.raises(NotFound):
        read(store, "daily/pipe")
    with pytest.raises(StoreRefused, match="stands in the way"):
        store.put("daily", [b"where a folder is"])
    with pytest.raises(StoreRefused, match="stands in the way"):
        store.put("daily/x/y", [b"below a file"])


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    root.parent.mkdir()
    root.symlink_to(tmp_path / "disk")
    store = DirectoryStore("primary", root)
    store.put("daily/x", [b"x"])
    assert (tmp_path / "disk/daily/x").read_bytes() == b"x"
    assert [entry.key for entry in store.list()] == ["daily/x"]


def test_foreign_names_are_not_listed(store: DirectoryStore, root: Path) -> None:
    store.put("x", [b"x"])
    (root / "lost+found").mkdir(mode=0)
    for name in (b"line\nbreak", b"not \xff UTF-8", b"back\\slash"):
        (root / os.fsdecode(name)).write_bytes(b"?")
    assert [entry.key for entry in store.list()] == ["x"]


def test_the_latest_links_are_relative_and_replaced(store: DirectoryStore, root: Path) -> None:
    for day in ("1", "2"):
        key = f"daily/{day}/database.sql.gz"
        store.put(key, [day.encode()])
        store.link_latest({"latest_database.sql.gz": key})
        assert (root / "latest_database.sql.gz").read_bytes() == day.encode()
        assert (root / "latest_database.sql.gz").readlink() == Path(key)
    assert sorted(path.name for path in root.iterdir()) == ["daily", "latest_database.sql.gz"]


@pytest.mark.parametrize(("name", "key"), [
    ("database.sql.gz", "daily/x"), ("latest_/../../x", "daily/x"), ("latest_x", "../../etc/passwd"),
    ("latest_x", "/etc/passwd")])
def test_links_that_lead_out_are_refused(store: DirectoryStore, root: Path, name: str,
                                         key: str) -> None:
    with pytest.raises(StoreRefused, match="cannot be a"):
        store.link_latest({name: key})
    assert not root.exists()


def test_deleting_removes_folders_that_became_empty(store: DirectoryStore, root: Path) -> None:
    store.put("daily/a/x", [b"x"])
    store.put("daily/b/x", [b"x"])
    store.delete("daily/a/x")
    assert sorted(path.name for path in root.rglob("*")) == ["b", "daily", "x"]
    store.delete("daily/b/x")
    assert [*root.iterdir()] == []


def test_a_put_survives_deletes_that_remove_its_folder(root: Path) -> None:
    """Every put makes the folder that a delete beside it removes."""
    stop = threading.Event()

    def come_and_go(number: int) -> int:
        store, done = DirectoryStore("primary", root), 0
        while not stop.is_set() and done < 150:
            key = f"leases/daily/{number}"
            store.put(key, [b"x"], if_absent=bool(number % 2))
            assert read(store, key) == b"x"
            [*store.list("leases/")]
            store.delete(key)
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        try:
            assert list(pool.map(come_and_go, range(4))) == [150] * 4
        finally:
            stop.set()
    assert [*root.iterdir()] == []


def test_a_listing_survives_what_vanishes_meanwhile(store: DirectoryStore, root: Path) -> None:
    for number in range(20):
        store.put(f"runs/{number:02}/x", [b"x"])
    listed = store.list()
    first = next(listed)
    for number in range(1, 20, 2):
        store.delete(f"runs/{number:02}/x")
    assert [first.key, *(entry.key for entry in listed)] == [
        f"runs/{number:02}/x" for number in range(0, 20, 2)]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
        root: Path, tmp_path: Path) -> None:
    """The order of system calls, where strace is there to show it."""
    traced = tmp_path / "calls"
    code = ("import sys; from pathlib import Path; "
            "from nightscan_tasks.stores.directory import DirectoryStore; "
            "DirectoryStore('primary', Path(sys.argv[1])).put('daily/set/x', [b'content'])")
    strace = ["strace", "-f", "-y", "-o", str(traced), "-e", "trace=fsync,rename,renameat,renameat2"]
    with suppress(FileNotFoundError):
        subprocess.run([*strace, sys.executable, "-c", code, str(root)], check=False,
                       capture_output=True)
    if not traced.exists() or not root.exists():
        pytest.skip("strace is not here, or may not trace")
    calls = [line for line in traced.read_text().splitlines() if str(root) in line]
    order = [("rename" if "rename" in call else call.partition("<")[2].partition(">")[0])
             for call in calls]
    renamed = order.index("rename")
    assert ".nightscan-part-" in order[renamed - 1]
    assert order[renamed + 1:renamed + 4] == [f"{root}/daily/set", f"{root}/daily", str(root)]
