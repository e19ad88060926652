"""What came of it, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.returning import PROMISED_SECONDS


@dataclass
class Figures:
    """Faults, runs, and whatever was wrong. `lost` are sets that were called good and are not."""

    seed: int
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    restored: int = 0
    back_seconds: float | None = None
    unanswered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    elapsed_seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Everything that must not be."""
        late = [f"workers were back only after {self.back_seconds:.0f} s"] if (
            self.back_seconds or 0) > PROMISED_SECONDS else []
        return [*self.unanswered, *self.wrong, *self.unexpected, *self.lost, *self.left, *late]

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"seed {self.seed}: {self.runs} runs in {self.elapsed_seconds:.0f} s"
        yield f"faults injected: {self.faults.total()}"
        yield from (f"  {count:4} {name}" for name, count in sorted(self.faults.items()))
        yield from (f"  left out: {each}" for each in self.skipped)
        yield f"workers and beats started again: {self.restarts}"
        yield "runs: " + ", ".join(f"{count} {ending}" for ending, count in sorted(self.endings.items()))
        if self.back_seconds is not None:
            yield f"seconds until all workers were back after the broker was: {self.back_seconds:.1f}"
        yield f"sets restored into scratch and compared: {self.restored}"
        for name, found in (("runs that never ended", self.unanswered), ("wrong reports", self.wrong),
                            ("endings that no fault explains", self.unexpected), ("lost sets", self.lost),
                            ("leftovers", self.left)):
            yield f"{name}: {len(found)}"
            yield from (f"  {each}" for each in found)
