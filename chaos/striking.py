"""The faults of one run: struck and mended at their moments, while somebody waits for the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.faults import FAULTS, Mend
from chaos.site import Site
from chaos.story import Strike


@dataclass
class Striking:
    """What is still to strike, and what is still to be mended."""

    site: Site
    strikes: Sequence[Strike]
    counted: Counter[str]
    began: float = field(default_factory=time.monotonic)
    mending: list[tuple[float, Mend]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = sorted(self.strikes, key=lambda each: each.after_seconds)

    def work(self) -> bool:
        """Do what is due; whether that was the last of it."""
        now = time.monotonic() - self.began
        while self.due and self.due[0].after_seconds <= now:
            self._strike(self.due.pop(0))
        for moment, mend in list(self.mending):
            if moment <= now:
                self.mending.remove((moment, mend))
                mend()
        return not self.due and not self.mending

    def mend_all(self) -> None:
        """Mend what is not, at once."""
        while self.mending:
            self.mending.pop()[1]()

    def _strike(self, strike: Strike) -> None:
        mend = FAULTS[strike.fault].strike(self.site, strike.chance)
        self.counted[strike.fault] += 1
        if mend is not None:
            self.mending.append((time.monotonic() - self.began + strike.for_seconds, mend))
