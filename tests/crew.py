"""Workers that a test hires, and a client that sends to them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery
from celery.states import READY_STATES

from nightscan_tasks.ledger import Outcome
from nightscan_tasks.settings import is_rabbitmq, load
from nightscan_tasks.system import System
from tests.hands import Hand, started, wait_until, worker


@dataclass
class Crew:
    """The workers of one installation, and the client that sends to them."""

    folder: Path
    environ: dict[str, str]
    patience_seconds: float = 60
    hands: dict[str, Hand] = field(default_factory=dict)
    commands: list[Hand] = field(default_factory=list)
    _app: Celery | None = None

    @property
    def system(self) -> System:
        return System(load(self.environ))

    @property
    def app(self) -> Celery:
        if self._app is None:
            self._app = client(self.environ)
        return self._app

    def hire(self, name: str, *queues: str, concurrency: int = 1, **more: str) -> Hand:
        """Start a worker, and return when it is ready."""
        return self.start(name, *queues, concurrency=concurrency, prefix=(), folder=None, **more).ready()

    def start(self, name: str, *queues: str, concurrency: int = 1, prefix: tuple[str, ...] = (),
              folder: Path | None = None, **more: str) -> Hand:
        """Start a worker; `prefix` is a program that becomes it on another host."""
        self.hands[name] = hand = worker(folder or self.folder, name, {**self.environ, **more}, queues,
                                         concurrency=concurrency, prefix=prefix)
        return hand

    def command(self, name: str, *words: str, **more: str) -> Hand:
        """Start `nightscan …`; whatever becomes of it, it ends with the crew."""
        command = started(self.folder, name, {**self.environ, **more}, "-m", "nightscan_tasks.cli", *words)
        self.commands.append(command)
        return command

    def send(self, task: str, *args: Any, **kwargs: Any) -> str:
        """Send a task, and return its id."""
        return str(self.app.send_task(f"nightscan.{task}", args=args, kwargs=kwargs).id)

    def answer(self, task_id: str) -> Any:
        """Wait for a task's result; its error is raised here."""
        wait_until(lambda: self.state(task_id) in READY_STATES, f"task {task_id} to end")
        result = self.app.backend.get_result(task_id)
        if isinstance(result, BaseException):
            raise result
        return result

    def state(self, task_id: str) -> str:
        return str(self.app.backend.get_state(task_id))

    def reap(self) -> None:
        """What beat sends every minute."""
        self.send("reap")

    def manual(self, *components: str) -> str:
        """Ask for a run, and return its id as soon as it is there."""
        answer: dict[str, str] = self.answer(self.send("backup_manual", list(components)))
        return answer["run_id"]

    def outcome(self, run_id: str, *, reaped: bool = False) -> Outcome:
        """Wait for the end of a run, with beat's help or without."""
        found: Outcome = wait_until(
            lambda: self.system.ledger.outcome(run_id), f"{run_id} to end", seconds=self.patience_seconds,
            every=self.patience_seconds / 50, meanwhile=self.reap if reaped else lambda: None)
        return found

    def close(self) -> None:
        for hand in (*self.commands, *self.hands.values()):
            hand.end()
        app, self._app = self._app, None
        if app is not None:
            dismiss(app)


def client(environ: Mapping[str, str]) -> Celery:
    """A client of the broker that `environ` names, configured as the workers are."""
    from worker import configuration

    app = Celery("client", set_as_current=False)
    settings = load(environ)
    app.conf.update(configuration.configure(settings))
    if not is_rabbitmq(settings.broker_url):
        # Pools are shared by all applications of one broker: with an option of its own it can close its own.
        # Of a RabbitMQ's there is but one here.
        app.conf.broker_transport_options["client"] = secrets.token_hex(4)
    return app


def dismiss(app: Celery) -> None:
    """Close every connection of a client."""
    app.backend.result_consumer.stop()
    app.backend.client.close()
    app.pool.force_close_all()
    app.close()
