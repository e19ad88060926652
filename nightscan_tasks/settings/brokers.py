"""What kind of broker there is, and whether it can be used with what keeps the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from nightscan_tasks.errors import SettingsError

if TYPE_CHECKING:
    from nightscan_tasks.settings.values import Settings

_RABBITMQ = {"amqp", "amqps", "pyamqp"}
_NO_RESULTS = {*_RABBITMQ, "rpc"}


def is_rabbitmq(url: SecretStr) -> bool:
    """Whether a broker is a RabbitMQ: queues on the disks of several nodes, and no memory of results."""
    return _scheme(url) in _RABBITMQ


def refuse_lost_results(settings: Settings) -> None:
    """`SettingsError` where results would go to a RabbitMQ.

    It can only hand each result to one asker, once. A run is put together from the results of its parts, and
    people ask for the result of what others sent.
    """
    if _scheme(settings.results) not in _NO_RESULTS:
        return
    raise SettingsError(
        "a RabbitMQ keeps no results, and NIGHTSCAN_RESULT_BACKEND names nothing else that does: set it to a "
        "Redis that is not the one that is backed up, for example "
        "NIGHTSCAN_RESULT_BACKEND=redis://localhost:6380/1; it may be small, and no backup is lost with it")


def _scheme(url: SecretStr) -> str:
    return url.get_secret_value().partition("://")[0].lower()
