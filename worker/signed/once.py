"""What was recorded and is played again is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.signed.letter import Letter

_AHEAD_SECONDS = 120


@dataclass
class Once:
    """Lets a letter through once, while it is fresh, and none from before this process started.

    Before that, nobody knows here what was let through: so nothing has to be kept on a disk. A restore that
    was sent while its worker was away is sent again by a person, who then knows that it runs.
    """

    started_at: float
    fresh_seconds: float
    _through: dict[str, float] = field(default_factory=dict)

    def admit(self, letter: Letter, *, now: float) -> str:
        """Why it is not let through; empty if it is."""
        if letter.sent_at < self.started_at:
            return "it was sent before this worker started, which may have done it already; send it again"
        if not now - self.fresh_seconds <= letter.sent_at <= now + _AHEAD_SECONDS:
            return (f"it was sent {now - letter.sent_at:.0f} s ago, which is more than "
                    f"{self.fresh_seconds:.0f} s or in the future: compare the clocks, and send it again")
        if letter.number in self._through:
            return "it was here before"
        self._through = {number: sent_at for number, sent_at in self._through.items()
                         if sent_at >= now - self.fresh_seconds}
        self._through[letter.number] = letter.sent_at
        return ""
