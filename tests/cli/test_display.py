from nightscan_tasks.cli.display import Changes
from nightscan_tasks.cli.pictures import Picture, brief, sentence
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.watch.running import work_seen
from nightscan_tasks.watch.under_way import Phase, WorkSeen

READING = {"part": "database", "phase": "reading", "bytes": 412_000_000, "of_bytes": 1_600_000_000,
           "bytes_per_second": 120_000_000}


def picture(*works: WorkSeen) -> Picture:
    return Picture("daily-20261123T020000Z: started, 2 parts", works)


def test_each_change_is_one_line_and_nothing_is_said_twice() -> None:
    changes = Changes(clock=lambda: 0)
    first = picture(WorkSeen("database", Phase.WAITING), WorkSeen("redis", Phase.WAITING))
    second = picture(work_seen("database", READING),
                     WorkSeen("redis", Phase.FAILED, message="no such server"))
    assert list(changes.lines(first)) == ["daily-20261123T020000Z: started, 2 parts"]
    assert list(changes.lines(second)) == [
        "database: reading 412.0 MB of about 1.6 GB, 120.0 MB/s", "redis: FAILED: no such server"]
    assert list(changes.lines(second)) == []


def test_after_a_long_silence_a_line_says_how_far_it_is() -> None:
    now = [0.0]
    changes = Changes(clock=lambda: now[0])
    under_way = picture(work_seen("database", READING))
    assert len(list(changes.lines(under_way))) == 2
    now[0] = 31
    assert list(changes.lines(under_way)) == ["database: reading 412.0 MB of about 1.6 GB, 120.0 MB/s"]
    assert list(changes.lines(under_way)) == []


def test_a_finished_part_tells_its_sizes_time_and_speed() -> None:
    work = WorkSeen("database", Phase.DONE, plain_bytes=638_000_000, stored_bytes=98_000_000,
                    elapsed_seconds=4.4)
    assert sentence(work) == "saved and read back, 638.0 MB as 98.0 MB in 4.4 s, 145.0 MB/s"
    assert brief(work) == "98.0 MB stored"
    assert sentence(WorkSeen("database@offsite", Phase.DONE, stored_bytes=5)) == "copied and read back, 5 B"


def test_progress_that_tells_nonsense_is_still_shown() -> None:
    work = work_seen("database", {"phase": None, "bytes": "many"})
    assert (work.done_bytes, work.share) == (0, 0)
    assert work_seen("x", {"bytes": 10, "of_bytes": 5}).share == 1


def test_columns_are_aligned_and_have_no_trailing_blanks() -> None:
    lines = table(["NAME", "SIZE", "END"], [["a", "1 B", ""], ["longer", "10 B", "x"]], right=(1,))
    assert lines == ["NAME    SIZE  END", "a        1 B", "longer  10 B  x"]


def test_text_is_folded_to_the_terminal_and_paths_are_left_whole() -> None:
    path = "/" + "very/long/" * 12
    lines = fold(f"look at {path} and do what it says", indent="  ", hanging="    ")
    assert lines == ["  look at", f"    {path}", "    and do what it says"]
