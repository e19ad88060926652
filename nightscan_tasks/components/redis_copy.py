"""Copying keys from the scratch server into a database of the live one, and comparing each of them there.

Keys go in parcels of a few MiB that the two servers pack and unpack themselves, so that memory stays flat
and a key costs us nothing. What was written is read back in the same breath. A payload that comes back
other than it went is no damage yet: the order inside a set or a hash is each server's own. So those are
compared by their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nightscan_tasks.components.redis_fingerprint import TOLERANCE_MS, digest_of, expires_at_ms
from nightscan_tasks.components.redis_large import copy_large
from nightscan_tasks.components.redis_server import Client
from nightscan_tasks.errors import RestoreRefused

_PARCEL_BYTES = 4 << 20
_LARGE_BYTES = 4 << 20
_SCAN_COUNT = 500
_SHOWN = 3
_OLDEST_WITH_EXPIRETIME = (7, 0)

# When a key expires, in ms since 1970 as text; '0' if never. Older servers tell only what is left.
_EXPIRY = """
local function expiry_of(name)
    if ARGV[1] == 'exact' then
        return string.format('%.0f', math.max(0, redis.call('PEXPIRETIME', name)))
    end
    local time, left = redis.call('TIME'), redis.call('PTTL', name)
    if left < 0 then return '0' end
    return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + left)
end
"""

# Some keys, by a step of SCAN or by name. A parcel has name, expiry and payload of each, with their lengths.
_PACK = _EXPIRY + """
local most, large, cursor, pattern = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local names = {}
if cursor == '' then
    for i = 6, #ARGV do names[#names + 1] = ARGV[i] end
else
    local answer = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', ARGV[6])
    cursor, names = answer[1], answer[2]
end
local parts, bytes, later, alone = {}, 0, {}, {}
for _, name in ipairs(names) do
    local size = redis.call('MEMORY', 'USAGE', name, 'SAMPLES', 5)
    if not size then -- it is gone
    elseif size > large then alone[#alone + 1] = name
    elseif bytes > most then later[#later + 1] = name
    else
        local payload = redis.call('DUMP', name)
        for _, part in ipairs({name, expiry_of(name), payload}) do
            parts[#parts + 1] = struct.pack('>I4', #part)
            parts[#parts + 1] = part
        end
        bytes = bytes + #payload
    end
end
return {cursor, table.concat(parts), later, alone}
"""

# Answers with the names of keys that are not what they were in the parcel; their time may have passed.
_UNPACK = _EXPIRY + """
local parcel, tolerance_ms, position, different = ARGV[2], tonumber(ARGV[3]), 1, {}
local function take()
    local length
    length, position = struct.unpack('>I4', parcel, position)
    position = position + length
    return parcel:sub(position - length, position - 1)
end
while position <= #parcel do
    local name, expiry, payload = take(), take(), take()
    redis.call('RESTORE', name, expiry, payload, 'REPLACE', 'ABSTTL')
    local found = redis.call('DUMP', name)
    if not found or found:sub(1, -11) ~= payload:sub(1, -11)
        or math.abs(expiry_of(name) - expiry) > tolerance_ms then
        different[#different + 1] = name
    end
end
return different
"""

# Of each key: when it expires, and a digest of its members in one order; '' for types that have one.
_DIGESTS = _EXPIRY + """
local answers = {}
for i = 2, #ARGV do
    local name, parts, digest = ARGV[i], {}, ''
    local kind = redis.call('TYPE', name).ok
    if kind == 'set' then
        parts = redis.call('SMEMBERS', name)
    elseif kind == 'hash' then
        local flat = redis.call('HGETALL', name)
        for j = 1, #flat, 2 do
            local times = redis.pcall('HPEXPIRETIME', name, 'FIELDS', 1, flat[j])
            parts[#parts + 1] = struct.pack('>I4', #flat[j]) .. flat[j] .. flat[j + 1] .. tostring(times[1])
        end
    end
    if #parts > 0 then
        table.sort(parts)
        for j, part in ipairs(parts) do parts[j] = struct.pack('>I4', #part) .. part end
        digest = kind .. redis.sha1hex(table.concat(parts))
    end
    answers[#answers + 1] = {digest, expiry_of(name)}
end
return answers
"""


@dataclass(frozen=True)
class Databases:
    """The same keys as two clients see them: where they come from, and where they go.

    The versions are those of the servers; older ones than 7 do not tell when a key expires.
    """

    source: Client
    target: Client
    source_version: tuple[int, ...]
    target_version: tuple[int, ...]


def copy_database(databases: Databases, patterns: tuple[str, ...]) -> None:
    """Copy every key, or those that match; `RestoreRefused` names keys that are not as they were."""
    wrong: list[bytes] = []
    for parcel, large in _parcels(databases, patterns or ("*",)):
        different = databases.target.eval(_UNPACK, 0, _mode(databases.target_version), parcel, TOLERANCE_MS)
        wrong += [name for name in _other_members(databases, different) if not _is_equal(databases, name)]
        wrong += [name for name in large if not copy_large(databases.source, databases.target, name)]
    if wrong:
        names = ", ".join(repr(name[:60])[1:] for name in wrong[:_SHOWN])
        raise RestoreRefused(f"{len(wrong)} keys came back from the live server other than they were saved, "
                             f"such as {names}; nothing live was changed")


def _parcels(databases: Databases, patterns: tuple[str, ...]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Parcels, each with names of keys that are too large for one; a key may come twice."""
    head = (_mode(databases.source_version), _PARCEL_BYTES, _LARGE_BYTES)
    for pattern in patterns:
        cursor = b"0"
        while True:
            cursor, parcel, later, large = databases.source.eval(
                _PACK, 0, *head, cursor, pattern, _SCAN_COUNT)
            yield parcel, large
            while later:
                _, parcel, later, large = databases.source.eval(_PACK, 0, *head, b"", b"", *later)
                yield parcel, large
            if cursor == b"0":
                break


def _other_members(databases: Databases, names: list[bytes]) -> list[bytes]:
    """Those of the keys that are no set or hash with the same members in another order."""
    if not names:
        return []
    expected = databases.source.eval(_DIGESTS, 0, _mode(databases.source_version), *names)
    found = databases.target.eval(_DIGESTS, 0, _mode(databases.target_version), *names)
    return [name for name, (digest, expiry), (other, when) in zip(names, expected, found, strict=True)
            if not digest or digest != other or abs(int(expiry) - int(when)) > TOLERANCE_MS]


def _mode(version: tuple[int, ...]) -> str:
    return "exact" if version >= _OLDEST_WITH_EXPIRETIME else "old"


def _is_equal(databases: Databases, name: bytes) -> bool:
    expected, found = expires_at_ms(databases.source, name), expires_at_ms(databases.target, name)
    digest = digest_of(databases.source, name)
    if digest == digest_of(databases.target, name) and (
            expected == found or (expected and found and abs(expected - found) <= TOLERANCE_MS)):
        return True
    seconds, _ = databases.target.time()
    return digest is None or (expected is not None and expected <= (int(seconds) + 1) * 1000)  # it is gone
