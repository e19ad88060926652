"""What no row names goes to the quarantine, and nothing else does."""

from datetime import timedelta
from pathlib import Path
from typing import Any


def test_a_fresh_file_a_cache_and_the_quarantine_itself_are_no_orphans(application: Any) -> None:
    application.environ["NIGHTSCAN_QUARANTINE_DIR"] = str(application.root / "uploads/quarantined")
    application.write("cache/thumb.jpg")
    application.write("part.tmp")
    application.write("stray.wav")
    application.now -= timedelta(hours=2)
    assert application.reconcile(apply=True).counts.fresh == 1
    application.now += timedelta(hours=2)
    assert application.reconcile(apply=True).quarantined == 1
    assert application.reconcile(apply=True).orphans == 0
    assert (application.root / "uploads/cache/thumb.jpg").exists()


def test_no_set_saves_the_quarantine(application: Any) -> None:
    application.write("stray.wav", "nobody's")
    application.reconcile(apply=True)
    saved = [each.path for each in application.system().component("source_code").found()]
    assert b"uploads" not in saved
    assert not [path for path in saved if b"quarantine" in path]


def test_two_orphans_of_one_name_are_both_kept(application: Any) -> None:
    for content in ("first", "second"):
        application.write("stray.wav", content)
        application.reconcile(apply=True)
    assert application.files() == {**application.in_order_files, "quarantine/uploads/stray.wav": "first",
                                   "quarantine/uploads/stray.wav.1": "second"}


def test_a_quarantine_may_be_another_disk(application: Any, other_disk: Path) -> None:
    application.environ["NIGHTSCAN_QUARANTINE_DIR"] = str(other_disk)
    application.write("stray.wav", "nobody's")
    found = application.reconcile(apply=True)
    assert found.in_order, found.problems
    assert (Path(found.quarantine) / "uploads/stray.wav").read_text() == "nobody's"
    assert application.files() == application.in_order_files
