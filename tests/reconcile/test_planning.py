"""What is missing, and what nobody names, is decided from names and files alone."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.reconcile.naming import Name
from nightscan_tasks.reconcile.planning import Counts, There, plan_reconcile
from nightscan_tasks.reconcile.scratch import scratch

NOW_NS = 1_000


def nowhere(_path: bytes) -> None:
    return None


def plan(names: list[Name | None], files: list[There],
         resolve: Callable[[bytes], bytes | None] = nowhere) -> tuple[Counts, list[bytes], list[bytes]]:
    with scratch(None) as comparison:
        counts = plan_reconcile(comparison, names, files, fresh_since_ns=NOW_NS, resolve=resolve)
        missing = [path for (path,) in comparison.execute("SELECT path FROM missing ORDER BY path")]
        return counts, missing, [path for (path,) in comparison.execute("SELECT path FROM orphan ORDER BY 1")]


def name(*paths: str) -> Name:
    return Name(tuple(path.encode() for path in paths))


def file(path: str, changed_ns: int = 0) -> There:
    return There(path.encode(), "f", 10, changed_ns)


def test_each_file_is_found_missing_or_an_orphan() -> None:
    counts, missing, orphans = plan([name("a"), name("b"), None, name("a")], [file("a"), file("c")])
    assert (missing, orphans) == ([b"b"], [b"c"])
    assert counts == Counts(rows=4, foreign=1, named=2, found=1, files=2, fresh=0)


def test_a_young_file_is_no_orphan() -> None:
    counts, _, orphans = plan([], [file("old", NOW_NS - 1), file("young", NOW_NS)])
    assert orphans == [b"old"]
    assert counts.fresh == 1


def test_every_reading_of_a_name_counts() -> None:
    places = {b"a b": b"a b"}
    _, missing, orphans = plan([name("a%20b", "a b")], [file("a b"), file("a%20c")], places.get)
    assert (missing, orphans) == ([], [b"a%20c"])
    # Both are there: the first is meant, and the second is still no orphan.
    _, missing, orphans = plan([name("a%20b", "a b")], [file("a%20b"), file("a b")], places.get)
    assert (missing, orphans) == ([], [])


def test_a_file_that_is_reached_through_a_link_is_no_orphan() -> None:
    places = {b"link": b"real"}
    files = [There(b"link", "l"), file("real"), There(b"other-link", "l")]
    assert plan([name("link")], files, places.get)[1:] == ([], [])


def test_a_link_that_leads_nowhere_is_missing() -> None:
    assert plan([name("link")], [There(b"link", "l")])[1:] == ([b"link"], [])


def test_a_file_that_came_while_they_were_listed_is_found() -> None:
    assert plan([name("new")], [], {b"new": b"new"}.get)[1] == []


PATHS = st.sets(st.text("ab/é%", min_size=1, max_size=4))


@given(PATHS, PATHS)
def test_it_is_the_difference_of_two_sets(named: set[str], there: set[str]) -> None:
    _, missing, orphans = plan([name(each) for each in named], [file(each) for each in there])
    assert missing == sorted(each.encode() for each in named - there)
    assert orphans == sorted(each.encode() for each in there - named)


def test_the_scratch_leaves_no_file(tmp_path: Path) -> None:
    with scratch(tmp_path) as comparison:
        comparison.execute("INSERT INTO held VALUES (?)", (b"x",))
        assert list(tmp_path.iterdir()) == []
