"""What a restore did, or would do, as an operator reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nightscan_tasks.cli.colours import critical, heading, hint, state
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.wording import duration, rate, size


def restored_lines(done: dict[str, Any]) -> Iterator[str]:
    """What is back, how fast, and where the old state is."""
    yield f"{done['set_id']}  restored from {done['store']} in {duration(done['elapsed_seconds'])}"
    yield ""
    yield from ("  " + row for row in timing_table(done["components"]))
    yield ""
    for each in done["components"]:
        if each["before"]:
            yield from fold(f"{each['component']}: what was there before is kept as {each['before']}",
                            indent="  ")
        for note in each["notes"]:
            yield from fold(f"{each['component']}: {note}", indent="  ")
    for note in done["notes"]:
        yield from fold(note, indent="  ")
    yield "  Each was compared with what was saved, before it took its place."
    if any(each["before"] for each in done["components"]):
        yield ""
        yield hint(f"The old state back:    nightscan restore rollback {done['run_id']}")
        yield hint(f"The old state let go:  nightscan restore accept {done['run_id']}")


def timing_table(components: list[dict[str, Any]]) -> list[str]:
    """Component, bytes, rate, time, objective, and whether it was met."""
    rows = [[each["component"], size(each["plain_bytes"]), rate(each["plain_bytes"], each["elapsed_seconds"]),
             duration(each["elapsed_seconds"]), duration(each["objective_seconds"]),
             state("met" if each["elapsed_seconds"] <= each["objective_seconds"] else "MISSED")]
            for each in components]
    return table(["COMPONENT", "PLAIN", "SPEED", "TOOK", "OBJECTIVE", ""], rows, right=(1, 2, 3, 4))


def plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    """What would be done: read, replaced, and how long it should take."""
    yield from fold(f"{plan['set_id']} would be restored from {plan['store']} ({plan['store_url']}); nothing "
                    f"was changed.")
    for note in plan["notes"]:
        yield from fold(note)
    yield ""
    rows = [[each["component"], size(each["plain_bytes"]), size(each["stored_bytes"]),
             duration(each["expected_seconds"]), duration(each["objective_seconds"])]
            for each in plan["components"]]
    yield from ("  " + row for row in table(["COMPONENT", "PLAIN", "STORED", "EXPECTED", "OBJECTIVE"], rows,
                                            right=(1, 2, 3, 4)))
    for each in plan["components"]:
        yield ""
        yield heading(str(each["component"]))
        yield from fold(f"reads     {', '.join(each['artifacts'])}", indent="  ", hanging="            ")
        yield from fold(f"into      {each['target']}", indent="  ", hanging="            ")
        yield from fold(f"replaces  {_replaced(each)}", indent="  ", hanging="            ")
        for note in each["notes"]:
            yield from fold(f"note      {note}", indent="  ", hanging="            ")
        for problem in each["problems"]:
            yield from fold(critical("PROBLEM") + f"   {problem}", indent="  ", hanging="            ")
    yield ""
    yield from _around(plan)


def _around(plan: dict[str, Any]) -> Iterator[str]:
    if plan["safety"]:
        yield from fold(f"First, what is live is saved as a set of the tier pre_restore: "
                        f"{', '.join(plan['safety'])}. --no-safety leaves that out.")
    for service in plan["services"]:
        yield f"Around the swap: {service}"
    guessed = [each["component"] for each in plan["components"] if not each["measured"]]
    if guessed:
        yield from fold(f"The time for {', '.join(guessed)} is a guess: nothing of it was restored here yet. "
                        f"`nightscan drill` measures it.")
    if any(each["problems"] for each in plan["components"]):
        yield critical("The restore would be refused, and change nothing, until the problems above are "
                       "solved.")


def _replaced(each: dict[str, Any]) -> str:
    if not each["replaces"]:
        return "nothing: there is nothing yet"
    how_much = size(each["replaced_bytes"] or 0)
    how_much = f", {how_much}" if each["replaced_bytes"] and how_much not in each["replaces"] else ""
    return f"{each['replaces']}{how_much}; it is kept until `nightscan restore accept`"
