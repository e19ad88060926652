"""Records that are changed or removed are found, and what cannot be found is known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.audit import Action
from nightscan_tasks.system import System

Tamper = Callable[[Path], None]


@pytest.fixture
def chain(system: System, tmp_path: Path) -> Path:
    """The folder of five records of this host."""
    for number in range(1, 6):
        system.audit.record(Action.DELETE, f"set {number}")
    assert system.audit.check().problems == ()
    return tmp_path / "backups/audit" / system.host


def _forget_copy(tmp_path: Path) -> None:
    (tmp_path / "root/.nightscan_audit/records.jsonl").unlink()


def _record(chain: Path, number: int) -> Path:
    return chain / f"{number:012d}.json"


def _change(chain: Path) -> None:
    path = _record(chain, 3)
    path.write_text(path.read_text().replace("set 3", "set 9"))


def _change_last(chain: Path) -> None:
    path = _record(chain, 5)
    path.write_text(path.read_text().replace("set 5", "set 9"))


def _delete_first(chain: Path) -> None:
    _record(chain, 1).unlink()


def _delete_middle(chain: Path) -> None:
    _record(chain, 3).unlink()


def _delete_end(chain: Path) -> None:
    _record(chain, 4).unlink()
    _record(chain, 5).unlink()


def _close_up(chain: Path) -> None:
    """Delete one, and give those behind it its number."""
    for number in (4, 5):
        path = _record(chain, number)
        told = json.loads(path.read_text())
        _record(chain, number - 1).write_text(json.dumps({**told, "number": number - 1}))
        path.unlink()


def _swap(chain: Path) -> None:
    third, fourth = _record(chain, 3).read_bytes(), _record(chain, 4).read_bytes()
    _record(chain, 3).write_bytes(fourth)
    _record(chain, 4).write_bytes(third)


def _spoil(chain: Path) -> None:
    _record(chain, 2).write_text("{")


def _lose_head(chain: Path) -> None:
    (chain / "head.json").unlink()


def _spoil_head(chain: Path) -> None:
    (chain / "head.json").write_text("no head")


def _add(chain: Path) -> None:
    (chain / "0000.json").write_text("{}")


@pytest.mark.parametrize(("tamper", "told"), [
    (_change, "000000000004.json does not follow the record before it"),
    (_change_last, "000000000005.json is not the record that was written there"),
    (_delete_first, "000000000001.json is missing"),
    (_delete_middle, "000000000003.json is missing"),
    (_delete_end, "000000000004.json to audit/"),
    (_close_up, "does not follow"),
    (_swap, "calls itself 4"),
    (_spoil, "000000000002.json cannot be read"),
    (_lose_head, "head.json is missing"),
    (_spoil_head, "head.json is missing or changed"),
    (_add, "0000.json is no audit record"),
], ids=lambda each: each.__name__.strip("_") if callable(each) else "")
def test_the_store_alone_tells(tamper: Tamper, told: str, system: System, chain: Path,
                               tmp_path: Path) -> None:
    _forget_copy(tmp_path)
    tamper(chain)
    problems = system.audit.check().problems
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("tamper", [_delete_middle, _delete_end], ids=["in the middle", "at the end"])
def test_what_was_removed_stays_missing_when_more_is_recorded(tamper: Tamper, system: System,
                                                              chain: Path, tmp_path: Path) -> None:
    _forget_copy(tmp_path)
    tamper(chain)
    system.audit.record(Action.DELETE, "later")
    assert any("is missing" in problem for problem in system.audit.check().problems)


def _rewrite(chain: Path) -> None:
    """As who knows the format would: the last two are gone, and the head says that they never were."""
    head = json.loads(_record(chain, 4).read_text())["before"]
    _delete_end(chain)
    (chain / "head.json").write_text(json.dumps({"number": 3, "sha256": head}))


def _remove_all(chain: Path) -> None:
    for path in chain.iterdir():
        path.unlink()
    chain.rmdir()


@pytest.mark.parametrize("tamper", [_rewrite, _remove_all], ids=["end rewritten", "all removed"])
def test_what_the_store_cannot_tell_the_host_s_own_copy_does(tamper: Tamper, system: System, chain: Path,
                                                             tmp_path: Path) -> None:
    tamper(chain)
    problems = system.audit.check().problems
    assert any("000000000005.json is missing: this host's own copy has it (delete of set 5" in problem
               for problem in problems), problems
    _forget_copy(tmp_path)
    assert system.audit.check().problems == ()  # who rewrites both cannot be noticed: docs/AUDIT.md says so


def test_what_waited_and_was_thrown_away_is_found(system: System, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("in the way")
    system.audit.record(Action.RESTORE, "one")
    (tmp_path / "backups").unlink()
    (tmp_path / "root/.nightscan_audit/records.jsonl.waiting").unlink()
    assert "restore of one" in system.audit.check().problems[0]
    assert "is in no chain" in system.audit.check().problems[0]
