"""One message to one channel."""

from __future__ import annotations

from nightscan_tasks.errors import NightscanError, TransientError
from nightscan_tasks.notify.answers import Answer
from nightscan_tasks.notify.channels import Channel
from nightscan_tasks.notify.message import Message


class NotDelivered(NightscanError):
    """A channel did not take a message: says which, why, and what to do, and nothing that is secret."""

    def __init__(self, channel: str, reason: str, advice: str = "") -> None:
        super().__init__(channel, reason, advice)
        self.channel, self.reason, self.advice = channel, reason, advice

    def __str__(self) -> str:
        return f"{self.channel}: {self.reason}" + (f"\n{self.advice}" if self.advice else "")


class NotDeliveredYet(NotDelivered, TransientError):
    """It may well be taken a little later."""

    transient = True


def deliver(channel: Channel, message: Message) -> None:
    """Tell one channel, within half a minute; `NotDelivered`, or `NotDeliveredYet` where it may pass."""
    from nightscan_tasks.notify import services  # Apprise: only in a process that tells somebody

    _raise(channel, services.send(channel, message))


def prove(channel: Channel) -> None:
    """`NotDelivered` where the channel's settings are wrong on their face. Nothing is sent."""
    from nightscan_tasks.notify import services  # as above

    _raise(channel, services.refusal(channel))


def _raise(channel: Channel, answer: Answer | None) -> None:
    if answer is None:
        return
    kind = NotDeliveredYet if answer.transient else NotDelivered
    raise kind(channel.name, answer.reason, answer.advice) from None
