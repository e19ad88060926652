"""Findings as lines, as JSON, and as an exit status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightscan_tasks.cli.colours import hint, state
from nightscan_tasks.cli.session import Exit
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.doctor.finding import worst

_NAME_COLUMNS = 16


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, folded where it must be, and what to do below it."""
    for finding in findings:
        level = finding.level.value if finding.level is Level.OK else finding.level.value.upper()
        yield from fold(state(level) + f"{'':<{4 - len(level)}}  {finding.name:<{_NAME_COLUMNS}}  "
                        f"{finding.found}", hanging=" " * (_NAME_COLUMNS + 8))
        if finding.advice:
            yield from fold(hint(f"-> {finding.advice}"), indent=" " * (_NAME_COLUMNS + 8),
                            hanging=" " * (_NAME_COLUMNS + 11))


def status(findings: Sequence[Finding]) -> Exit:
    """1 where something fails, 3 where something is warned of."""
    return {Level.OK: Exit.DONE, Level.WARN: Exit.DEGRADED, Level.FAIL: Exit.FAILED}[worst(findings)]


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """The worst level, and all of them."""
    return {"level": worst(findings).value, "findings": list(findings)}
