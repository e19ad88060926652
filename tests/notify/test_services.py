"""Services that speak HTTP: what they are sent, and what is said when they do not take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from apprise.plugins.slack import NotifySlack

from nightscan_tasks.notify import (
    Attachment,
    Channel,
    Message,
    NotDelivered,
    NotDeliveredYet,
    channels,
    deliver,
    services,
)
from nightscan_tasks.settings import load

_TOKEN = "T0k3nT0k3nT0k3n"


def slack(url: str) -> Channel:
    return channels(load({"SLACK_WEBHOOK_URL": url}))[0]


def other(url: str) -> Channel:
    return channels(load({"NIGHTSCAN_ALERT_URLS": url}))[0]


def test_what_understands_the_same_as_slack_is_posted_the_guide_s_json(
        listener: Any, message: Message) -> None:
    deliver(slack(f"{listener.url}/hooks/{_TOKEN}?thread=a%20b&x="), message)
    (post,) = listener.posts
    assert (post.method, post.path, post.query) == ("POST", f"/hooks/{_TOKEN}", {"thread": ["a b"]})
    assert post.headers["Content-Type"] == "application/json"
    assert post.json == {"text": f"{message.title}\n{message.text.rstrip()}"}


def test_slack_itself_is_told_by_apprise(listener: Any, message: Message,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"{listener.url}/services")  # no network here
    listener.bodies["/services"] = b"ok"
    deliver(slack(f"https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/{'c' * 24}"), message)
    (post,) = listener.posts
    assert post.path == f"/services/T0AAAAAAA/B0BBBBBBB/{'c' * 24}"
    assert message.title in post.text.encode().decode("unicode_escape") or message.title in str(post.json)
    assert "Depuis hier, 02:00." in str(post.json)
    assert "github" not in post.text  # nobody's pictures


def test_any_other_service_is_told_by_its_url_and_gets_the_files(listener: Any) -> None:
    deliver(other(f"json://127.0.0.1:{listener.port}/{_TOKEN}"),
            Message("Title", "text\n", "<p>text</p>", (Attachment("a.json", b"{}"),)))
    (post,) = listener.posts
    assert (post.json["title"], post.json["message"]) == ("Title", "text")
    assert post.json["attachments"] == [
        {"filename": "a.json", "base64": "e30=", "mimetype": "application/json"}]


@pytest.mark.parametrize(("status", "transient", "said"), [
    (500, True, "it answers 500"), (429, True, "it answers 429"), (404, False, "it answers 404"),
    (403, False, "SLACK_WEBHOOK_URL"), (302, False, "leads elsewhere")])
def test_an_answer_that_is_no_success_says_what_to_do(
        listener: Any, message: Message, everything_logged: Callable[[], str],
        status: int, transient: bool, said: str) -> None:
    listener.answers["/hooks"] = status
    with pytest.raises(NotDelivered) as refused:
        deliver(slack(f"{listener.url}/hooks/{_TOKEN}"), message)
    assert refused.value.transient is transient is isinstance(refused.value, NotDeliveredYet)
    assert said in str(refused.value)
    assert len(listener.posts) == 1  # nothing was followed
    assert _TOKEN not in str(refused.value) + everything_logged()


def test_no_log_has_the_address_of_one_who_took_it(listener: Any, message: Message,
                                                   everything_logged: Callable[[], str]) -> None:
    deliver(slack(f"{listener.url}/hooks/{_TOKEN}"), message)
    deliver(other(f"json://user:{_TOKEN}@127.0.0.1:{listener.port}/x/{_TOKEN}?+X-Key={_TOKEN}"), message)
    assert len(listener.posts) == 2
    assert _TOKEN not in everything_logged()


def test_one_who_hangs_or_is_not_there_costs_no_more_than_the_limit(
        listener: Any, message: Message, drip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_AT_MOST_SECONDS", 0.5)
    listener.answers["/hooks"] = 0
    for url in (f"{listener.url}/hooks/{_TOKEN}", f"http://127.0.0.1:{drip.port}/{_TOKEN}"):
        with pytest.raises(NotDeliveredYet, match="it does not answer in time") as refused:
            deliver(slack(url), message)
        assert _TOKEN not in str(refused.value)
    assert not drip.left  # each letter of its came in time, so no socket's limit ended it
    with pytest.raises(NotDeliveredYet, match="nothing listens there"):
        deliver(slack(f"http://127.0.0.1:1/{_TOKEN}"), message)
