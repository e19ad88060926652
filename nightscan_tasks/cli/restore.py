"""`nightscan restore WHAT`, and what is decided afterwards: `rollback`, `accept`, `resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from pydantic import SecretStr

from nightscan_tasks import wire
from nightscan_tasks.apart import at_hand
from nightscan_tasks.cli import broker, completing
from nightscan_tasks.cli.choices import MOMENT, SET_ID, TIER, F, local_option, unsigned_option
from nightscan_tasks.cli.group import Group
from nightscan_tasks.cli.restore_runs import COMMANDS
from nightscan_tasks.cli.restored import plan_lines, restored_lines
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.hosts import host_queue
from nightscan_tasks.model import COMPONENTS
from nightscan_tasks.restore import FULL, LIVE, has_password, plan_restore, restore
from nightscan_tasks.workflows.restore import wanted

_HELP = {
    FULL: f"{', '.join(LIVE)}: all of it, from one set",
    "database": "the database, or some tables of it",
    "redis": "Redis, or some keys of it",
    "user_data": "uploads, models, config and logs, or some files",
    "system_config": "the system's configuration, or some files",
    "source_code": "the application's code, or some files",
}
_EXAMPLES = {
    FULL: ("nightscan restore full --tier daily --index 1",
           "nightscan restore full --tier daily --index 2 --dry-run",
           "nightscan restore full --from offsite",
           "nightscan restore full --target-db nightscan_test"),
    "database": ("nightscan restore database --tier daily --index 1",
                 "nightscan restore database --before 2026-11-23T02:00",
                 "nightscan restore database --table prediction",
                 "nightscan restore database --target-db postgresql://nightscan@db2/nightscan"),
    "redis": ("nightscan restore redis --db 1", "nightscan restore redis --key 'session:*'"),
    "user_data": ("nightscan restore user_data --tier weekly --index 1",
                  "nightscan restore user_data --path 'uploads/2026/*'",
                  "nightscan restore user_data --path models --target-root /tmp/look",
                  "nightscan restore user_data --host web1"),
    "system_config": ("nightscan restore system_config --target-root /tmp/look",
                      "nightscan restore system_config --path nginx --dry-run"),
    "source_code": ("nightscan restore source_code --path web/app.py",
                    "nightscan restore source_code --tier pre_deploy --index 1"),
}


class _Parts(Group):
    """The components are commands; `-` and `_` are the same in them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """`user-data` is `user_data`."""
        return super().get_command(ctx, cmd_name.replace("-", "_"))

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The same for what is typed."""
        return super().resolve_command(ctx, [args[0].replace("-", "_"), *args[1:]])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The same for what is being typed; what begins with `-` is an option."""
        typed = incomplete if incomplete.startswith("-") else incomplete.replace("-", "_")
        return super().shell_complete(ctx, typed)


@click.group(name="restore", cls=_Parts, short_help="put a set back", examples=(
    "nightscan restore full --dry-run",
    "nightscan restore database --tier daily --index 1",
    "nightscan restore user_data --path 'uploads/2026/*'",
    "nightscan restore rollback",
))
def command() -> None:
    """Put a set back: all of it, or one component, or a part of one.

    Everything is staged beside what is live and compared with what was saved, before anything live
    is touched; then it takes its place in one step, and the old state is kept: `rollback` puts it
    back, `accept` lets it go. What is live is saved first, as a set of the tier pre_restore.
    """


def _common(function: F) -> F:
    """Which set, and how."""
    options: tuple[Callable[[F], F], ...] = (
        click.option("--set", "set_id", type=SET_ID, metavar="ID", help="This set."),
        click.option("--tier", type=TIER, help="The newest complete set of this tier …"),
        click.option("--index", type=click.IntRange(1), help="… or an older one: 1 is the newest."),
        click.option("--before", type=MOMENT, help="The newest complete set from before then."),
        click.option("--from", "store", metavar="STORE", default="primary", show_default=True,
                     shell_complete=completing.stores,
                     help="The store to read from: a name, or a URL."),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
        click.option("--no-safety", is_flag=True, help="Do not save first what is live."),
        click.option("--no-limit", is_flag=True, help="As fast as it goes, whatever limit this host has."),
        unsigned_option,
        local_option)
    for option in reversed(options):
        function = option(function)
    return function


_HOST: Callable[[F], F] = click.option(
    "--host", metavar="NAME", help="Whose files, where NIGHTSCAN_HOSTS names several hosts: a worker there "
    "puts them back. Without it, this host's.")
_UNGUARDED: Callable[[F], F] = click.option(
    "--unguarded", is_flag=True, help="With --local: let the dump's SQL run with all rights of the role that "
    "connects. Only for a set whose origin is certain.")
_TARGETS: dict[str, Callable[[F], F]] = {
    "database": click.option("--target-db", metavar="URI", help="Into this database instead; a bare name is "
                             "one on the application's server."),
    "redis": click.option("--target-redis", metavar="URL", help="Into this Redis instead."),
    "files": click.option("--target-root", type=click.Path(path_type=Path), metavar="DIR",
                          help="Unpack files below this folder instead."),
}
_PARTS: dict[str, tuple[Callable[[F], F], ...]] = {
    "database": (
        click.option("--table", "tables", multiple=True, metavar="NAME",
                     help="Only this table, with what depends on it; may be repeated."),
        click.option("--schema", "schemas", multiple=True, metavar="NAME",
                     help="Only this schema; may be repeated."),
        _UNGUARDED),
    "redis": (
        click.option("--db", "databases", multiple=True, type=click.IntRange(0), metavar="N",
                     help="Only this database; may be repeated."),
        click.option("--key", "keys", multiple=True, metavar="PATTERN",
                     help="Only keys that fit; may be repeated.")),
    "files": (
        click.option("--path", "paths", multiple=True, metavar="PATTERN",
                     help="Only files that fit, as `nightscan files` lists them; may be repeated."),),
}


_OF_HOSTS = (FULL, "user_data")


def _kind(what: str) -> str:
    return what if what in {"database", "redis"} else "files"


def _make(what: str) -> click.Command:
    """The command for `full` or one component."""

    @_common
    def run(session: Session, *, local: bool, dry_run: bool, **given: Any) -> None:
        which = _which(session, given)
        if given.get("unguarded") and not local:
            raise click.UsageError("--unguarded is nothing that a message may ask for: give --local too")
        work = _here if local else _there
        done = work(session, what, which, dry_run=dry_run)
        if dry_run:
            session.finish(Exit.FAILED if done["problems"] else Exit.DONE, done, plan_lines(done))
        session.finish(Exit.DONE, done, restored_lines(done))

    options = (*_TARGETS.values(), _UNGUARDED) if what == FULL else (
        _TARGETS[_kind(what)], *_PARTS[_kind(what)])
    for option in reversed((*options, _HOST) if what in _OF_HOSTS else options):
        run = option(run)
    return json_command(name=what, short_help=_HELP[what], examples=_EXAMPLES[what],
                        help=f"Put {what} back: {_HELP[what]}.\n\n"
                             f"Without --set, --tier or --before, from the newest complete set that has it. "
                             f"With a target, nothing live is touched.")(run)


for _what in (FULL, *COMPONENTS):
    command.add_command(_make(_what))
for _each in COMMANDS:
    command.add_command(_each)


_LIFTED = {"no_safety": "safety", "no_limit": "limited"}
"""Options that take away what is otherwise so."""


def _which(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, in the words of a message; what was not is left out."""
    if given["set_id"] and (given["tier"] or given["index"] or given["before"]):
        raise click.UsageError("give --set, or --tier, --index and --before, not both")
    if "://" not in given["store"] and not given["store"].startswith("/"):
        given["store"] = session.store_name(given["store"])
    lifted = {word: False for option, word in _LIFTED.items() if given.pop(option)}
    return lifted | {name: _word(value) for name, value in given.items()
                     if value not in (None, ()) and value is not False}


def _word(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value.absolute())
    return list(value) if isinstance(value, tuple) else value if isinstance(value, int) else str(value)


def _there(session: Session, what: str, which: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    if any(has_password(SecretStr(which[name])) for name in ("target_db", "target_redis") if name in which):
        raise click.UsageError("a target with a password must not go into a message: give --local too, or "
                               "leave it out and put it into the password file of the worker's user")
    settings = session.system.settings
    if what in _OF_HOSTS and settings.hosts and "target_root" not in which:
        which = {"host": settings.own_host, **which}
    queue = host_queue(broker.RESTORE, which.get("host", ""))
    sent = broker.send(settings, f"nightscan.restore_{what}", queue, **which,
                       **({"dry_run": True} if dry_run else {}))
    try:
        done: dict[str, Any] = followed(session, sent, f"restore {what}")
    except broker.TaskFailed as exc:  # as when its worker was killed: it may have changed something, or not
        raise broker.TaskFailed(f"{exc}\nwhat became of it: nightscan restore runs") from exc
    return done


def _here(session: Session, what: str, which: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    unguarded = which.pop("unguarded", False)
    request = replace(wanted(what, **which), unguarded=unguarded)
    if dry_run:
        planned: dict[str, Any] = wire.plain(plan_restore(session.system, request))
        return planned
    copies = session.system.settings.jobs if "user_data" in request.components else 0
    with at_hand(copies), watched(session, f"restore {what}") as watch:
        done: dict[str, Any] = wire.plain(restore(session.system, request, watch=watch))
    return done
