"""`make bench`: the tables. `python -m benchmarks database files restore memory` makes some of them."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contest import Result, contest, shell
from benchmarks.memory import peaks
from benchmarks.site import add_scores, fill_database, saving, system, world
from nightscan_tasks.programs import find
from nightscan_tasks.wording import size
from nightscan_tasks.world.world import World

FILES_BYTES = 2_000_000_000  # of which more than 1 GB is user data
RESTORED_BYTES = 2_600_000_000  # 1.6 to 1.7 GB of user data in some 20,000 files
SCORES = 5_200_000  # about 630 MB of SQL
SQL_BYTES = 650_000_000  # what makes 638 MB of a dump
MEMORY_BYTES = (100_000_000, 2_000_000_000)
LIMIT_BYTES = 200_000_000
GPG = ('gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --trust-model always --encrypt '
       "-r backup@nightscan.com")


def database(site: World) -> Table:
    """`pg_dump` alone, through gzip, as in the guide, and as a component."""
    folder, env = site.folder, site.environ()
    dump = f'{find("pg_dump", at_least=(18,)).path} "$NIGHTSCAN_DATABASE_URI"'
    results = contest({
        "pg_dump >/dev/null": shell(f"{dump} >/dev/null", env=env, cwd=folder),
        "pg_dump | gzip": shell(f"{dump} | gzip >bench.out", env=env, cwd=folder),
        "pg_dump | gzip | gpg (the guide)": shell(f"{dump} | gzip | {GPG} >bench.out", env=env, cwd=folder),
        "the component": saving(site, "database", NIGHTSCAN_CONTENT_HASH="false"),
        "the component, each table's content hashed": saving(site, "database", NIGHTSCAN_CONTENT_HASH="true"),
    })
    plain = _plain_bytes(site, "database")
    return _table(f"database, {size(plain)} of SQL", results, plain,
                  faster_than="pg_dump | gzip", slower_than="pg_dump >/dev/null")


def files(site: World) -> Table:
    """`tar -czf`, `tar | gpg -z 0`, and the component as one archive and as two side by side."""
    folder, env = site.folder, site.environ()
    root = Path(env["NIGHTSCAN_ROOT"])
    tar = "tar --exclude='*.tmp' --exclude='*.log.gz' --exclude=cache"
    what = f"-C {root} uploads models config logs"
    results = contest({
        "tar -czf": shell(f"{tar} -czf bench.out {what}", env=env, cwd=folder),
        "tar -cf - | gpg -z 0": shell(f"{tar} -cf - {what} | {GPG} -z 0 >bench.out", env=env, cwd=folder),
        "the component, one archive": saving(site, "user_data"),
        "the component, two archives, two workers": saving(site, "user_data", processes=2),
    })
    plain = _plain_bytes(site, "user_data")
    return _table(f"user data, {size(plain)}", results, plain,
                  faster_than="tar -czf", slower_than="tar -cf - | gpg -z 0")


def memory() -> Table:
    """The largest worker process of each queue, while a weekly set of little and of much is taken."""
    small, large = (peaks(sample) for sample in MEMORY_BYTES)
    table = Table(title=f"memory: the largest process of each queue; the limit is {size(LIMIT_BYTES)}")
    for column in ("queue", *(f"{size(sample)} of data" for sample in MEMORY_BYTES), "within the limit"):
        table.add_column(column, justify="left" if column == "queue" else "right")
    for queue in sorted(large):
        worst = max(small.get(queue, 0), large[queue])
        table.add_row(queue, size(small.get(queue, 0)), size(large[queue]),
                      "yes" if worst < LIMIT_BYTES else "NO")
    return table


def _plain_bytes(site: World, component: str) -> int:
    """How much a component read in the runs just made: from the ledger's outcomes."""
    made = system(site)
    runs = [run_id for run_id in made.ledger.run_ids()
            if made.ledger.opened(run_id).plan.components == (component,)]
    outcome = made.ledger.outcome(runs[-1])
    return outcome.plain_bytes if outcome else 0


def _table(title: str, results: dict[str, Result], plain: int, *, faster_than: str,
           slower_than: str) -> Table:
    table = Table(title=f"{title}; medians of three")
    for column in ("way", "seconds", "MB/s", f"times as fast as {faster_than}",
                   f"times as long as {slower_than}", "rounds"):
        table.add_column(column, justify="left" if column in {"way", "rounds"} else "right")
    for name, result in results.items():
        table.add_row(name, f"{result.seconds:.2f}", f"{plain / result.seconds / 1e6:.0f}",
                      f"{results[faster_than].seconds / result.seconds:.2f}",
                      f"{result.seconds / results[slower_than].seconds:.2f}",
                      " ".join(f"{each:.2f}" for each in result.rounds))
    return table


def main() -> None:
    """Make the tables that were asked for, or all of them."""
    console = Console(width=140)
    asked = sys.argv[1:] or ["database", "files", "restore", "memory"]
    if "database" in asked:
        with world(20_000_000, celery=False) as site:
            add_scores(site, SCORES)
            console.print(database(site))
    if "files" in asked:
        with world(FILES_BYTES, celery=False) as site:
            console.print(files(site))
    if "restore" in asked:
        from benchmarks import restoring, restoring_files  # only here: they need what the others do not
        with world(20_000_000, celery=False) as site:
            fill_database(site, SQL_BYTES)
            console.print(restoring.database(site))
        with world(RESTORED_BYTES, celery=False) as site:
            console.print(restoring_files.files(site))
    if "memory" in asked:
        console.print(memory())


if __name__ == "__main__":
    main()
