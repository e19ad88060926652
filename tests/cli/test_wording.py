from datetime import UTC, datetime, timedelta

import pytest

from nightscan_tasks import wording

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_951, "1.0 MB"),
    (1_600_000_000, "1.6 GB"), (5 * 10**12, "5.0 TB")])
def test_bytes_have_decimal_units(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min"), (185, "3 min 5 s"), (7200, "2 h"), (7800, "2 h 10 min"),
    (9 * 86400, "9 days")])
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(("back", "text"), [
    (timedelta(seconds=40), "40 s ago"), (timedelta(minutes=12), "12 min ago"),
    (timedelta(hours=9), "9 h ago"), (timedelta(days=3), "3 days ago"),
    (timedelta(hours=-1), "in the future")])
def test_an_age_has_one_unit_and_the_future_is_named(back: timedelta, text: str) -> None:
    assert wording.ago(NOW - back, NOW) == text


def test_nothing_in_no_time_has_no_speed_and_no_ratio() -> None:
    assert wording.rate(0, 0) == "-"
    assert wording.ratio(0, 0) == "-"


@pytest.mark.parametrize(("number", "noun", "text"), [
    (1, "set", "1 set"), (0, "set", "0 sets"), (3400, "file", "3,400 files"), (2, "copy", "2 copies"),
    (2, "key", "2 keys")])
def test_a_count_has_its_plural(number: int, noun: str, text: str) -> None:
    assert wording.count(number, noun) == text


def test_what_is_not_encrypted_is_said() -> None:
    assert wording.encryption(None) == "not encrypted"
    assert wording.encryption("backup@nightscan.com") == "encrypted for backup@nightscan.com"
