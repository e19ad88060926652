"""The command line: `nightscan …`, and the same as `celery -A worker nightscan …`.

One file a command, found and imported by `group` only when it is asked for, so that `--help` and
completion are quick. Deciding stands apart from rendering: `following` and `summary` read the ledger
and the stores into values, `wording`, `tables` and `display` turn values into lines. `broker` is the
only way to the workers. Results go to standard output, progress and problems to standard error.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but degraded (for example no offsite copy).
"""

from __future__ import annotations

import atexit
import gc
import os

import click

from nightscan_tasks.cli.context import colour_option
from nightscan_tasks.cli.group import DEBUG, Group, Lazy

_FOLDERS_0750_FILES_0640 = 0o027
_GARBAGE = 100_000  # so many more objects than before are looked through; Python's own number is 700
_COMPLETE = "_NIGHTSCAN_COMPLETE"  # click's name for it

# By what somebody wants. A new command is a line here, and a module of its name with `command` in it.
_COMMANDS = {
    "Set up": (
        Lazy("doctor", "check everything that a backup will need"),
        Lazy("completion", "complete commands in bash, zsh and fish"),
    ),
    "Back up": (
        Lazy("backup", "take a backup set"),
        Lazy("verify", "read every stored byte of a set back, and compare"),
        Lazy("scrub", "read stored bytes again, and mend what is damaged"),
    ),
    "Look": (
        Lazy("status", "runs under way, and how the last ones ended"),
        Lazy("serve", "the page, the figures and the report over HTTP"),
        Lazy("metrics", "the same in figures, for Prometheus"),
        Lazy("report", "a month in figures: success, sizes, drills, incidents, advice"),
        Lazy("alert", "who is told when something is not well, and whether it works"),
        Lazy("list", "the sets there are, in every store", module="listing"),
        Lazy("files", "the files in a set"),
        Lazy("audit", "who restored, deleted, held, or used the private key, and when"),
    ),
    "Restore": (
        Lazy("restore", "put a set back"),
        Lazy("recover", "everything back on a bare machine, from a bucket's name alone"),
        Lazy("drill", "restore into a scratch NightScan, compare, and measure"),
        Lazy("health", "check that what is live works"),
        Lazy("reconcile", "compare rows with files, and with the sets"),
        Lazy("validate", "compare every file with the hash that was recorded of it"),
    ),
    "Keep": (
        Lazy("rotate", "remove the sets that are past their time"),
        Lazy("hold", "keep a set, whatever its age"),
        Lazy("release", "let rotation have a set again that was held"),
        Lazy("trust", "say that a suspicious set, or the clock, is as it should be"),
    ),
    "Try": (
        Lazy("world", "a whole NightScan on loopback, to try things on"),
        Lazy("demo", "back up such a world, destroy it, put it back, and compare"),
    ),
}


@click.group(cls=Group, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]},
             examples=("nightscan doctor", "nightscan backup daily --wait", "nightscan status",
                       "nightscan restore full --dry-run"),
             epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but degraded.")
@click.version_option(package_name="nightscan-tasks", prog_name="nightscan")
@click.option("--color", "colour", type=click.Choice(["auto", "always", "never"]), default="auto",
              expose_value=False, is_eager=True, callback=colour_option, metavar="WHEN",
              help="Colours: always, never, or auto: on a terminal, unless NO_COLOR is set.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def nightscan(context: click.Context, *, debug: bool) -> None:
    """Back up NightScan, and put it back.

    Commands work through the broker and its workers; with --local, in this process.
    """
    context.meta[DEBUG] = debug
    before = os.umask(_FOLDERS_0750_FILES_0640)
    context.call_on_close(lambda: os.umask(before))


def main() -> None:
    """What `nightscan` runs."""
    if _COMPLETE in os.environ:
        from nightscan_tasks.cli.completing import quietly  # late: only a shell that asks needs it

        quietly()
    # What is imported, and what a command makes, is hardly ever garbage: to look through all of it again and
    # again, and three times more at the end, takes a fifth of the time of a night in which nothing changed.
    gc.set_threshold(_GARBAGE)
    atexit.register(gc.freeze)
    nightscan(prog_name="nightscan")
