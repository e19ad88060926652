"""The dead man's switch, in Healthchecks' protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from nightscan_tasks.model import Tier
from nightscan_tasks.notify.pinging import NotPinged, NotPingedYet, Phase, Ping, ping
from nightscan_tasks.settings import Settings, load

_KEY, _RUN = "p1ngk3yp1ngk3y", "daily-20261123T020000Z"


def pinged(url: str) -> Settings:
    return load({"NIGHTSCAN_PING_URL": url, "NIGHTSCAN_DB_PASSWORD": "hunter2hunter2"})


def told(phase: Phase, text: str = "words", tier: Tier = Tier.DAILY) -> Ping:
    return Ping(tier, phase, _RUN, text)


def test_the_phases_of_a_run_have_their_addresses_and_one_id(listener: Any) -> None:
    settings = pinged(f"{listener.url}/{_KEY}/nightscan-{{tier}}?create=1")
    for phase in Phase:
        ping(settings, told(phase, f"{phase} à deux heures"))
    ping(settings, told(Phase.SUCCESS, tier=Tier.WEEKLY))
    assert [post.path for post in listener.posts] == [
        f"/{_KEY}/nightscan-daily/start", f"/{_KEY}/nightscan-daily", f"/{_KEY}/nightscan-daily/fail",
        f"/{_KEY}/nightscan-weekly"]
    assert [post.method for post in listener.posts] == ["POST"] * 4
    assert [post.text for post in listener.posts[:3]] == [f"{phase} à deux heures" for phase in Phase]
    ids = {post.query["rid"][0] for post in listener.posts}
    assert len(ids) == 1
    assert str(UUID(*ids)) in ids  # as Healthchecks wants it written
    assert all(post.query["create"] == ["1"] for post in listener.posts)


def test_another_run_has_another_id(listener: Any) -> None:
    settings = pinged(listener.url)
    for run_id in (_RUN, "daily-20261124T020000Z"):
        ping(settings, Ping(Tier.DAILY, Phase.START, run_id, ""))
    assert len({post.query["rid"][0] for post in listener.posts}) == 2
    assert {post.path for post in listener.posts} == {"/start"}


def test_the_words_tell_no_secret_and_are_no_book(listener: Any) -> None:
    ping(pinged(listener.url), told(Phase.FAIL, f"the password hunter2hunter2 was refused{'!' * 50000}"))
    (post,) = listener.posts
    assert post.text.startswith("the password [hidden] was refused!")
    assert len(post.body) < 10_000


@pytest.mark.parametrize(("status", "transient"), [(404, False), (409, False), (302, False), (500, True),
                                                   (429, True)])
def test_an_answer_that_is_no_success_is_an_error_without_the_address(
        listener: Any, everything_logged: Callable[[], str], status: int, transient: bool) -> None:
    listener.answers[_KEY] = status
    with pytest.raises(NotPinged, match=f"answers {status}") as refused:
        ping(pinged(f"{listener.url}/{_KEY}"), told(Phase.START))
    assert refused.value.transient is transient is isinstance(refused.value, NotPingedYet)
    assert not listener.at("elsewhere")
    assert _KEY not in f"{refused.value} {refused.value.__cause__} {everything_logged()}"


def test_a_check_that_healthchecks_does_not_have_is_an_error_though_it_answers_200(listener: Any) -> None:
    listener.bodies[_KEY] = b"OK (not found)"
    with pytest.raises(NotPinged, match="it has no such check\nmake one for each tier"):
        ping(pinged(f"{listener.url}/{_KEY}"), told(Phase.SUCCESS))


def test_one_that_hangs_is_left_after_its_time(listener: Any, drip: Any) -> None:
    listener.answers[_KEY] = 0
    for url in (f"{listener.url}/{_KEY}", f"http://127.0.0.1:{drip.port}/{_KEY}"):
        with pytest.raises(NotPingedYet, match="does not answer in time") as refused:
            ping(pinged(url), told(Phase.START), seconds=0.3)
        assert _KEY not in str(refused.value)
    assert not drip.left  # each letter of its came in time, so no socket's limit ended it


def test_one_that_is_not_there_is_said(listener: Any) -> None:
    with pytest.raises(NotPingedYet, match="nothing listens there"):
        ping(pinged(f"http://127.0.0.1:1/{_KEY}"), told(Phase.START))


@pytest.mark.parametrize("url", [f"ftp://example.org/{_KEY}", f"file:///{_KEY}", _KEY,
                                 f"https://example.org/{{teir}}/{_KEY}"])
def test_a_wrong_address_is_said_without_quoting_it(url: str) -> None:
    with pytest.raises(NotPinged, match="NIGHTSCAN_PING_URL is wrong: expected") as refused:
        ping(pinged(url), told(Phase.START))
    assert _KEY not in str(refused.value)
