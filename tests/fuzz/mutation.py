"""What is fed to whoever reads what somebody else may have written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hypothesis import settings
from hypothesis import strategies as st

scaled = settings(max_examples=max(10, settings().max_examples // 5))
"""For tests with many kinds of examples: twenty in `make test`, a hundred in each round of `make fuzz`."""

Mutation = Callable[[bytearray, st.DrawFn], None]
_NUMBERS = (b"0", b"-1", b"9" * 30, b"1e999", b"4294967296", b"18446744073709551615", b"77777777777")


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed that was damaged in a few places, in the ways that files are, and as attackers do."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=4)):
        change(data, draw)
    return bytes(data)


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    """In chunks of that size, as a stream brings them."""
    return (data[start:start + size] for start in range(0, len(data), size))


def _place(data: bytearray, draw: st.DrawFn) -> int:
    return draw(st.integers(0, max(len(data) - 1, 0)))


def _flip(data: bytearray, draw: st.DrawFn) -> None:
    if data:
        data[_place(data, draw)] ^= 1 << draw(st.integers(0, 7))


def _truncate(data: bytearray, draw: st.DrawFn) -> None:
    del data[_place(data, draw):]


def _remove(data: bytearray, draw: st.DrawFn) -> None:
    start = _place(data, draw)
    del data[start:start + draw(st.integers(1, 600))]


def _double(data: bytearray, draw: st.DrawFn) -> None:
    start = _place(data, draw)
    piece = data[start:start + draw(st.integers(1, 1100))]
    data[start:start] = piece * draw(st.integers(1, 3))


def _insert(data: bytearray, draw: st.DrawFn) -> None:
    start = _place(data, draw)
    data[start:start] = draw(st.binary(max_size=40))


def _number(data: bytearray, draw: st.DrawFn) -> None:
    """Another number where one stands: lengths, counts, versions."""
    start = _place(data, draw)
    while start < len(data) and not 0x30 <= data[start] <= 0x39:
        start += 1
    end = start
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    data[start:end] = draw(st.sampled_from(_NUMBERS))


def _overwrite(data: bytearray, draw: st.DrawFn) -> None:
    start, source = _place(data, draw), _place(data, draw)
    piece = data[source:source + draw(st.integers(1, 512))]
    data[start:start + len(piece)] = piece


_CHANGES: tuple[Mutation, ...] = (_flip, _truncate, _remove, _double, _insert, _number, _overwrite)
