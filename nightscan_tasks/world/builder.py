"""One `up` at work: what it starts it remembers, before and after, and can undo."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nightscan_tasks.world import blueprint, celery_services, environment, service
from nightscan_tasks.world.blueprint import CELERY, SERVERS, TREES
from nightscan_tasks.world.celery_services import Worker
from nightscan_tasks.world.keyring import KeyRing
from nightscan_tasks.world.service import Record
from nightscan_tasks.world.state import State

Told = Callable[[str], None]


class Builder:
    """One `up`: starts, remembers before and after each start, and undoes its own starts."""

    def __init__(self, folder: Path, state: State, told: Told) -> None:
        self.folder = folder
        self.state = state
        self._told = told
        self._started: set[str] = set()
        self._process_env = environment.of_processes(folder)

    def build(self, services: Collection[str], celery: Sequence[str],
              settings: Mapping[str, str]) -> None:
        """Servers first, all at once; then, as they answer, what needs them."""
        self.state = dataclasses.replace(self.state, settings={**self.state.settings, **settings})
        self._save()
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        self._plant([name for name in TREES if name in services])
        self._run([name for name in SERVERS if name in services], self._process_env)
        environ = blueprint.environ(self.folder, self.state)
        self._run(celery, {**self._process_env, **environ})
        environment.write(self.folder, blueprint.environ(self.folder, self.state))

    def abandon(self) -> None:
        """Stop what this `up` started, and only that."""
        stop_all([record for name, record in self.state.records.items() if name in self._started],
                  self._told)
        if "gpg" in self._started:
            KeyRing(self.folder / "gpg").close()

    def _plant(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.state.trees:
                self.state = dataclasses.replace(self.state, trees=(*self.state.trees, name))
                self._save()
            self._started.add(name)
            blueprint.tree(self.folder, name).create()
            self._told(f"{name}: ready")

    def _run(self, names: Sequence[str], env: Mapping[str, str]) -> None:
        services = [blueprint.service_of(self.folder, self.state, name) for name in names]
        for one in services:
            if not self._runs(one.name):
                self._started.add(one.name)
                service.start(one, env=env, remember=self._remember,
                              before=self.state.records.get(one.name))
        for one in services:
            record = service.answered(one, self.state.records[one.name], env=env,
                                      remember=self._remember)
            self._told(f"{one.name}: {record.version} ({record.origin}) answers"
                       + (f" on port {next(iter(record.ports.values()))}" if record.ports else ""))
        workers = [one for one in services if isinstance(one, Worker)]
        if workers:
            celery_services.answer(workers, env=env)
            self._told("every worker replies, and takes from its queue")

    def _runs(self, name: str) -> bool:
        return name in self.state.records and self.state.records[name].up

    def _remember(self, record: Record) -> None:
        self.state = self.state.having(record)
        self._save()

    def _save(self) -> None:
        self.state.save(self.folder)


def stop_all(records: Collection[Record], told: Told) -> None:
    """Celery first, while its servers still answer; then the servers; each group side by side."""
    groups = ([record for record in records if record.name in CELERY],
              [record for record in records if record.name not in CELERY])
    for group in groups:
        if not group:
            continue
        with ThreadPoolExecutor(max_workers=len(group)) as pool:
            for record, _ in zip(group, pool.map(service.stop, group), strict=True):
                told(f"{record.name}: stopped")
