"""A store that asks again: what is worth it, how often, and what could do harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nightscan_tasks.errors import StoreError, StoreRefused
from nightscan_tasks.stores.retrying import Retrying
from tests.stores.asking import ASKING, pieces, writes


def test_retrying_asks_again_what_may_be_asked_again(s3_place: Any, proxy: Any) -> None:
    s3_place.store().put("x", [b"content"])
    pauses: list[float] = []
    store = Retrying(s3_place.store(endpoint=proxy.endpoint), attempts=3, pause=pauses.append)
    asks: dict[str, Callable[[], object]] = {
        **{name: lambda name=name: ASKING[name](store)  # type: ignore[misc]
           for name in ("open", "stat", "list", "probe", "delete")},
        "put of a list": lambda: store.put("x", [b"content"])}
    for ask in asks.values():
        # A put that failed asks, by a HEAD, whether it was done all the same.
        proxy.breaks(lambda asked: asked.method != "HEAD", times=2, status=503, code="SlowDown")
        proxy.breaks(lambda _asked, only=ask is asks["stat"]: only, times=2, status=503,
                     code="SlowDown")
        ask()
        proxy.mend()
    assert len(pauses) == 2 * len(asks)
    assert all(0.25 <= pause <= 1 for pause in pauses)
    assert pauses[0] <= 0.5 <= pauses[1]


def test_retrying_gives_up_after_its_attempts(s3_place: Any, proxy: Any) -> None:
    pauses: list[float] = []
    store = Retrying(s3_place.store(endpoint=proxy.endpoint), attempts=3, pause=pauses.append)
    proxy.breaks(status=500, code="InternalError")
    with pytest.raises(StoreError):
        store.stat("x")
    assert len(proxy.asked) == 3
    assert len(pauses) == 2


def never(seconds: float) -> None:
    pytest.fail(f"it waited {seconds} s for another try")


@pytest.mark.parametrize(("chunks", "if_absent"), [
    (pieces(b"a stream"), False), ([b"a list"], True)], ids=["a stream", "exclusive"])
def test_retrying_does_not_repeat_what_could_differ(
        s3_place: Any, proxy: Any, chunks: Any, if_absent: bool) -> None:
    store = Retrying(s3_place.store(endpoint=proxy.endpoint), pause=never)
    proxy.breaks(writes, status=500, code="InternalError")
    with pytest.raises(StoreError):
        store.put("x", chunks, if_absent=if_absent)


def test_retrying_does_not_repeat_what_is_refused(s3_place: Any, proxy: Any) -> None:
    store = Retrying(s3_place.store(endpoint=proxy.endpoint), pause=never)
    proxy.breaks(status=403, code="AccessDenied")
    with pytest.raises(StoreRefused):
        store.stat("x")
