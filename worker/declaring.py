"""Every worker of a RabbitMQ makes every queue, before one is bound to where messages wait for their moment.

Celery makes the queues that a worker takes from, and binds all: the first worker of an empty RabbitMQ would
find most of them missing, and call that critical. And what is sent to a queue whose worker never started
would have nowhere to wait.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps
from celery.worker.consumer.connection import Connection
from celery.worker.consumer.delayed_delivery import DelayedDelivery


class Declaring(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Makes the queues of the configuration each time that a worker has reached its broker."""

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        """Make those that are missing."""
        with consumer.connection.channel() as channel:
            for queue in consumer.app.amqp.queues.values():
                queue(channel).declare()


def connect(app: Celery) -> None:
    """Let the workers of an application do so."""
    app.steps["consumer"].add(Declaring)
    DelayedDelivery.requires = (*DelayedDelivery.requires, Declaring)  # Celery orders steps by these alone
