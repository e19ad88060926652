"""A restore of files that is killed with -9 at any step leaves the old state or the new one, once it is
completed: forwards, or back.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components import files_swap
from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.settings import load

SaveSet = Callable[..., Any]  # described in conftest.py
Texts = dict[str, str]

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LAYOUT = Layout(folders=(b"uploads", b"models", b"config", b"logs"))
RUN = "restore-20261123T020000Z"
FILES = ("config/app.ini", "models/a.pt", "models/b.pt", "uploads/2026/a.wav", "uploads/b.wav")


@pytest.fixture
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without a file system that exchanges two names in one step."""
    if request.param != "atomic":
        monkeypatch.setattr(files_swap, "exchange", lambda _one, _other: False)
    return str(request.param)


@pytest.fixture
def saved(tmp_path: Path, save_set: SaveSet) -> Any:
    return save_set(UserData(load({"NIGHTSCAN_ROOT": str(tree(tmp_path / "old", "saved"))}), lambda: NOW))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    root = tree(tmp_path / "live", "live")
    (root / "models/b.pt").unlink()
    (root / "uploads/only_live.wav").write_text("live")
    return root


def tree(root: Path, text: str) -> Path:
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        os.utime(root / name, (NOW.timestamp(), NOW.timestamp()))
    return root


def texts(root: Path) -> Texts:
    """What the application would find."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*")
            if path.is_file() and ".nightscan" not in str(path)}


def restorer(root: Path, paths: tuple[str, ...], **more: Any) -> FilesRestorer:
    return FilesRestorer("user_data", root, RUN, paths=paths, layout=LAYOUT, clock=lambda: NOW, **more)


def killed(act: Callable[[Callable[[str, bytes], None]], object], at: int) -> bool:
    """Do it in a process of its own, which is killed just before step `at`; whether it came to that."""
    child = os.fork()
    if not child:
        count = 0

        def step(_name: str, _path: bytes) -> None:
            nonlocal count
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        try:
            act(step)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def every_step(prepare: Callable[[], object], act: Callable[[Callable[[str, bytes], None]], object],
               after: Callable[[int], object]) -> int:
    """Kill `act` at its first step, and look; then at its second, and so on to its end; how many it has."""
    at = 0
    while True:
        prepare()
        if not killed(act, at):
            return at
        after(at)
        at += 1


PART = ("uploads/*", "models/b.pt")
CASES = pytest.mark.parametrize(
    ("by", "paths"), [("atomic", ()), ("atomic", PART), ("by three renames", PART)], indirect=["by"])


@CASES
@pytest.mark.parametrize("way", ["on", "back", "back and forth"])
def test_a_swap_that_was_killed_goes_on_or_back(
        live: Path, saved: Any, by: str, paths: tuple[str, ...], way: str) -> None:
    old = texts(live)
    new = expected(old, paths)

    def look(at: int) -> None:
        one = restorer(live, ())  # whoever goes on knows neither paths nor layout
        if one.position() is Position.STAGED:
            assert texts(live) == old
            return
        assert one.position() in {Position.SWAPPING, Position.SWAPPED}, at
        if way == "back and forth":
            killed(lambda step: FilesRestorer("user_data", live, RUN, step=step).undo(), 2)
            if one.position() is Position.SWAPPING:
                one.swap()
                assert texts(live) == new
        elif way == "on":
            one.swap()
            assert texts(live) == new
        one.undo()
        assert texts(live) == old
        assert one.position() is Position.UNDONE

    count = every_step(lambda: afresh(live, saved, paths),
                       lambda step: restorer(live, paths, step=step).swap(), look)
    assert count > (4 if by == "atomic" else 8)
    one = restorer(live, ())
    assert one.position() is Position.SWAPPED
    assert texts(live) == new


def expected(old: Texts, paths: tuple[str, ...]) -> Texts:
    if not paths:
        return dict.fromkeys(FILES, "saved")
    return old | dict.fromkeys(("uploads/2026/a.wav", "uploads/b.wav", "models/b.pt"), "saved")


def afresh(live: Path, saved: Any, paths: tuple[str, ...]) -> None:
    """The old state, and a run that has staged."""
    one = restorer(live, ())
    one.undo()
    one.accept()
    restorer(live, paths).stage(saved)


@CASES
@pytest.mark.parametrize("on", [True, False])
def test_an_undo_that_was_killed_goes_on_or_forward_again(
        live: Path, saved: Any, by: str, paths: tuple[str, ...], on: bool) -> None:
    old = texts(live)

    def prepare() -> None:
        afresh(live, saved, paths)
        restorer(live, paths).swap()

    def look(_at: int) -> None:
        one = restorer(live, ())
        assert one.position() in {Position.SWAPPED, Position.SWAPPING}
        if not on:
            one.swap()
            assert texts(live) == expected(old, paths)
        one.undo()
        assert texts(live) == old

    assert every_step(prepare, lambda step: FilesRestorer("user_data", live, RUN, step=step).undo(), look) > 3
    assert texts(live) == old


def test_staging_that_was_killed_is_begun_again_or_discarded(live: Path, saved: Any) -> None:
    old = texts(live)

    def look(_at: int) -> None:
        one = restorer(live, ())
        assert one.position() is Position.STAGED
        assert texts(live) == old
        if _at % 2:
            one.undo()
            assert one.position() is Position.ABSENT
        else:
            with pytest.raises(RestoreRefused, match="begin another restore"):
                one.swap()

    assert every_step(lambda: None, lambda step: restorer(live, (), step=step).stage(saved), look) > 2
    restorer(live, ()).swap()
    assert texts(live) == dict.fromkeys(FILES, "saved")


def test_an_accept_that_was_killed_is_completed_and_never_undone(live: Path, saved: Any) -> None:
    old = texts(live)

    def prepare() -> None:
        if restorer(live, ()).position() is Position.ABSENT:
            restorer(live, ()).stage(saved)
            restorer(live, ()).swap()

    def look(_at: int) -> None:
        one = restorer(live, ())
        if (live / f".nightscan_journal_{RUN}_user_data").exists():
            with pytest.raises(RestoreRefused, match="was accepted"):
                one.undo()
        one.accept()
        assert [path.name for path in live.iterdir() if path.name.startswith(".nightscan")] == []
        assert texts(live) != old

    def accept(step: Callable[[str, bytes], None]) -> None:
        FilesRestorer("user_data", live, RUN, step=step).accept()

    assert every_step(prepare, accept, look) > 1


def test_a_discard_that_was_killed_leaves_nothing_to_swap(live: Path, saved: Any) -> None:
    def prepare() -> None:
        if restorer(live, ()).position() is Position.ABSENT:
            restorer(live, ()).stage(saved)

    def look(_at: int) -> None:
        with pytest.raises(RestoreRefused, match="begin another restore"):
            restorer(live, ()).swap()
        restorer(live, ()).discard()

    def discard(step: Callable[[str, bytes], None]) -> None:
        FilesRestorer("user_data", live, RUN, step=step).discard()

    assert every_step(prepare, discard, look) > 1


def test_two_runs_do_not_confuse_each_other(live: Path, saved: Any) -> None:
    one, other = restorer(live, ()), FilesRestorer("user_data", live, "other", layout=LAYOUT,
                                                   clock=lambda: NOW)
    one.stage(saved)
    one.swap()
    other.stage(saved)
    assert (one.position(), other.position()) == (Position.SWAPPED, Position.STAGED)
    other.swap()
    other.undo()
    one.undo()
    assert texts(live)["uploads/only_live.wav"] == "live"
    one.accept()
    assert other.position() is Position.UNDONE


def test_what_the_application_wrote_meanwhile_is_kept_wherever_it_wrote(live: Path, saved: Any) -> None:
    one = restorer(live, ("uploads/b.wav",))
    one.stage(saved)
    (live / "uploads/during.wav").write_text("during")
    rewrite(live / "uploads/b.wav", "during")
    one.swap()
    rewrite(live / "uploads/b.wav", "after")
    one.undo()
    assert (live / "uploads/b.wav").read_text() == "during"
    assert (live / "uploads/during.wav").read_text() == "during"
    kept = live / ".nightscan_undone_20261123T020000Z_user_data/uploads/b.wav"
    assert kept.read_text() == "after"


def test_what_is_rewritten_at_the_last_moment_comes_back_too(live: Path, saved: Any) -> None:
    def step(name: str, path: bytes) -> None:
        if (name, path) == ("exchange", b"uploads/b.wav"):
            rewrite(live / "uploads/b.wav", "at the last moment")

    one = restorer(live, ("uploads/b.wav",), step=step)
    one.stage(saved)
    one.swap()
    assert (live / "uploads/b.wav").read_text() == "saved"
    restorer(live, ()).undo()
    assert (live / "uploads/b.wav").read_text() == "at the last moment"


def rewrite(path: Path, text: str) -> None:
    """As careful applications write: a new file, and a rename."""
    draft = path.with_name("draft")
    draft.write_text(text)
    draft.rename(path)
