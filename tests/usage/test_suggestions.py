"""What is misspelled names what was meant: options, stores, sets and restores."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan

_SETS = ("daily/20261122T020000Z", "daily/20261123T020000Z", "weekly/20261122T020000Z")
_RESTORE = "restore-20261123T160255050525Z"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A primary store with three sets, and a restore in its ledger."""
    folder = tmp_path_factory.mktemp("backups")
    for set_id in _SETS:
        (folder / set_id).mkdir(parents=True)
        (folder / set_id / "manifest.json").touch()
    (folder / "offsite").mkdir()
    (folder / "restores" / _RESTORE).mkdir(parents=True)
    (folder / "restores" / _RESTORE / "opened.json").touch()
    return folder


def said(store: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> tuple[int, str]:
    """The exit status of a command, and what it wrote to standard error, unwrapped."""
    for name, value in {"NIGHTSCAN_BACKUP_DIR": str(store), "NIGHTSCAN_OFFSITE": str(store / "offsite"),
                        "NIGHTSCAN_ROOT": str(store), "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(nightscan, line.split(), prog_name="nightscan")
    return result.exit_code, " ".join(result.stderr.split())


@pytest.mark.parametrize(("line", "hint"), [
    ("list --teir daily", "No such option '--teir'. (Did you mean one of: '--store', '--tier'?)"),
    ("--colour always list", "Did you mean '--color'?"),
    ("list --store ofsite", "there is no store ofsite; did you mean offsite?"),
    ("drill --from primry", "there is no store primry; did you mean primary?"),
    ("list --tier wekly", "there is no tier wekly; did you mean weekly?"),
    ("files --component sytem_config", "there is no component sytem_config; did you mean system_config?"),
    ("completion zhs", "there is no shell zhs; did you mean zsh?"),
    ("audit --action restor", "there is no action restor; did you mean restore?"),
    ("verify daily/20261123", f"not a set id: 'daily/20261123'; expected for example {_SETS[1]}; did you"),
    ("verify daily/20261122", f"did you mean {_SETS[0]}?"),
    ("verify daily", f"did you mean {_SETS[1]}?"),  # the newest of its kind
    ("verify weekyl/20261122T020000Z", f"did you mean {_SETS[2]}?"),
])
def test_wrong_usage_names_what_was_meant(store: Path, monkeypatch: pytest.MonkeyPatch, line: str,
                                          hint: str) -> None:
    status, text = said(store, monkeypatch, line)
    assert hint in text
    assert status == 2


@pytest.mark.parametrize("line", [
    "verify {} --local", "files {}", "hold {} --why x", "release {}", "trust {} --why x",
    "restore full --set {} --local"])
def test_a_set_that_is_not_there_names_the_one_that_is(store: Path, monkeypatch: pytest.MonkeyPatch,
                                                       line: str) -> None:
    status, text = said(store, monkeypatch, line.format("daily/20261123T020001Z"))
    assert text.endswith("did you mean daily/20261123T020000Z?")
    assert status == 1


def test_a_restore_that_is_not_there_names_the_one_that_is(store: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = said(store, monkeypatch, "restore rollback restore-20261123T160255050526Z --local")
    assert text.endswith(f"did you mean {_RESTORE}?")
    assert status == 1


def test_nothing_is_suggested_where_nothing_is_like_it(tmp_path: Path, store: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    assert "did you mean" not in said(tmp_path, monkeypatch, "release daily/20261123T020000Z")[1]
    there = said(store, monkeypatch, f"release {_SETS[0]}")[1]  # it is there, but nobody holds it
    assert there.startswith(f"nightscan: nobody holds {_SETS[0]}")
    assert "did you mean" not in there
