"""Whatever is damaged in one store is replaced by what is whole in another; what is whole is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from nightscan_tasks.audit import Action
from nightscan_tasks.ledger.reads import Kind

EVERY_KIND = ("user_data.00.tar.gz", "user_data.00.index.jsonl.gz", "system_config.tar.gz", "manifest.json",
              "RESTORE.md")


def repairs(site: Any) -> list[tuple[str, str]]:
    """Of which the audit record tells."""
    return [(each.subject, each.facts["store"]) for each in site.system().audit.records().records
            if each.action == Action.REPAIR]


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_every_kind_of_file_is_mended_and_told(site: Any, damage: Any, how: str, store: str) -> None:
    set_id = site.take()
    for number, name in enumerate(EVERY_KIND):
        key = set_id.key(name)
        before = site.data(store, key)
        getattr(damage, how)(store, key)
        found = site.scrub(store)
        assert [(each.kind, each.key) for each in found.findings] == [(Kind.MENDED, key)]
        assert [(each.kind, each.key) for each in found.standing] == [(Kind.MENDED, key)]
        assert site.data(store, key) == before
        assert repairs(site)[number:] == [(key, store)]
    clean = site.scrub(store)
    assert (clean.findings, clean.standing, clean.problem) == ((), (), "")
