"""Which restorer puts a component back at a place."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.components.restorer import Restorer
from nightscan_tasks.ledger.restore_records import Part
from nightscan_tasks.restore.request import Targets
from nightscan_tasks.restore.unpacking import Unpacking
from nightscan_tasks.system import System


@dataclass(frozen=True)
class Restorers:
    """The restorers of one run, each made when it is asked for."""

    system: System
    run_id: str
    targets: Targets
    part: Part
    unguarded: bool = False

    def of(self, component: str) -> Restorer:
        """The restorer of one component. It knows all it needs from the target and the run's id."""
        # Imported where needed: each brings the client of its server.
        match component:
            case "database":
                return self._database()
            case "redis":
                return self._redis()
        return self._files(component)

    def _database(self) -> Restorer:
        from nightscan_tasks.components.database_restorer import DatabaseRestorer
        from nightscan_tasks.components.database_staging import Loading

        settings = self.system.settings
        return DatabaseRestorer(
            self.targets.database or settings.dsn, self.run_id,
            loading=Loading(settings.restore_jobs, settings.restore_extensions, self.unguarded),
            tables=self.part.tables, schemas=self.part.schemas, temp_dir=settings.temp_dir)

    def _redis(self) -> Restorer:
        from nightscan_tasks.components.redis_restorer import RedisRestorer

        settings = self.system.settings
        return RedisRestorer(self.targets.redis or settings.redis, self.run_id, temp_dir=settings.temp_dir,
                             databases=self.part.databases, keys=self.part.keys, clock=self.system.clock)

    def _files(self, component: str) -> Restorer:
        from nightscan_tasks.components.files_layout import files_restorer

        if self.targets.root is not None:
            return Unpacking(component, self.targets.root, self.run_id, self.part.paths)
        return files_restorer(self.system.settings, component, self.run_id, paths=self.part.paths,
                              clock=self.system.clock)
