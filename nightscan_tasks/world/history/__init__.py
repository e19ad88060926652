"""A believable past of an installation, written through the real records, without moving a byte.

    system = System(load({
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_ROOT": str(tmp_path / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "audit.jsonl"),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris"}), clock=lambda: now)
    told = write_history(system, days=90, seed=1, now=now)

writes 90 days of runs, sets, verifications, drills, a restore, scrubs, rotations and alerts into both stores:
what `ledger`, `catalog`, `gather` and everything made of them read. `told` says what happened when, so that
a test need not search. The same arguments write the same records; a year takes a few seconds.

Sets are there as their manifests say, but for their bytes: artifacts are absent, so nothing can be restored
or verified. Those past their time are gone, as a rotation would have left it, while the ledger keeps how
their runs ended. It ends well, unless `well=False`: then the last run failed, an offsite store has not
answered for two days, and the last drill did not hold.

`story` decides what happens on which day; `sizes` how much there is to save, and how long that takes; `runs`
makes records of it, `proofs` what proves them: drills, restores, readings; `alarms` says what was noticed;
`writing` writes it all.
"""

from nightscan_tasks.world.history.story import Story, Trouble
from nightscan_tasks.world.history.writing import History, write_history

__all__ = ["History", "Story", "Trouble", "write_history"]
