"""The guide's audit rule, as a file for /etc/audit/rules.d."""

from pathlib import Path

RULES = Path(__file__).resolve().parents[2] / "worker/audit/nightscan.rules"


def test_the_guide_s_rule_is_in_force_and_the_others_wait_for_their_hosts() -> None:
    lines = [line.strip() for line in RULES.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert [line for line in lines if not line.startswith("#")] == [
        "-w /opt/nightscan/backups -p wa -k backup_access"]
    waiting = [line.removeprefix("#").split() for line in lines
               if line.startswith("#") and not line.startswith("##")]
    assert waiting
    for rule in waiting:
        assert [rule[0], rule[2], rule[4]] == ["-w", "-p", "-k"]
        assert rule[1].startswith("/")
        assert set(rule[3]) <= set("rwxa")


def test_what_the_guide_says_is_what_the_readme_installs() -> None:
    readme = (RULES.parents[1] / "systemd/README.md").read_text(encoding="utf-8")
    assert "worker/audit/nightscan.rules /etc/audit/rules.d/" in readme
