from __future__ import annotations

import gzip
import hashlib
import wave
from pathlib import Path

import pytest

from benchmarks.data.media import jpeg, model, mp3, results
from benchmarks.data.noise import Noise
from benchmarks.data.plan import FILES, TOTAL_BYTES, plan_tree
from benchmarks.data.sound import wav
from benchmarks.data.tree import Tree

BYTES, COUNT = 6_000_000, 500


def _written(root: Path, seed: int) -> Tree:
    tree = Tree(root, BYTES, COUNT, seed)
    tree.write()
    return tree


def _state(root: Path) -> dict[str, tuple[str, float]]:
    return {str(path.relative_to(root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
            for path in root.rglob("*") if path.is_file()}


def _shrunk(content: bytes) -> float:
    """The part that gzip takes off."""
    return 1 - len(gzip.compress(content)) / len(content)


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        _written(tmp_path / name, seed)
    one, again, other = (_state(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert not {digest for digest, _ in one.values()} & {digest for digest, _ in other.values()}


def test_the_whole_is_as_large_and_as_many_as_was_asked_for() -> None:
    items = list(plan_tree(seed=1))
    assert len(items) == len({item.path for item in items}) == FILES
    assert sum(item.size_bytes for item in items) == pytest.approx(TOTAL_BYTES, rel=0.05)


@pytest.mark.parametrize("number", range(6))
def test_a_recording_shrinks_as_a_real_one_does(number: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"".join(wav(Noise(f"recording {number}"), 600_000)))
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getnframes()) == (1, 2, 299_978)
    assert 0.10 <= _shrunk(path.read_bytes()) <= 0.40


def test_what_is_compressed_already_does_not_shrink() -> None:
    for made in (jpeg, mp3):
        assert _shrunk(b"".join(made(Noise("picture"), 200_000))) < 0.02


def test_results_shrink_much_and_models_a_little() -> None:
    assert _shrunk(b"".join(results(Noise("results"), 20_000))) > 0.6
    assert 0.02 < _shrunk(b"".join(model(Noise("model"), 400_000))) < 0.3


def test_no_block_is_there_twice(tmp_path: Path) -> None:
    """Or restic and borg would save it once, and be measured at something else."""
    _written(tmp_path, 1)
    blocks = [content[at:at + 4096] for path in tmp_path.rglob("*") if path.is_file()
              for content in [path.read_bytes()] for at in range(0, len(content) - 4095, 512)]
    assert len(blocks) > 5_000
    assert len(set(blocks)) == len(blocks)


def test_a_day_changes_one_file_in_a_hundred(tmp_path: Path) -> None:
    tree = _written(tmp_path, 1)
    before = _state(tmp_path)
    assert tree.change(1) == 5
    first = _state(tmp_path)
    assert len(first.items() - before.items()) == 5
    tree.change(2)
    second = _state(tmp_path)
    assert len(second.items() - first.items()) == 5
    assert first.keys() - second.keys()  # what came the day before is gone
    assert not any(path.startswith("models") for path, _ in second.items() - before.items())


def test_an_earlier_day_can_be_told_by_its_time(tmp_path: Path) -> None:
    _written(tmp_path, 1)
    oldest = min(path.stat().st_mtime for path in tmp_path.rglob("*.*"))
    assert oldest == 1_735_689_600
