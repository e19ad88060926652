"""Marks: what says, in the live Redis itself, which of its databases a restore uses, and for what.

A marked database holds one key more, the mark. So whoever comes later needs nothing but the server and
the id of the run; and nobody takes the old state of another restore for live data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from nightscan_tasks.components.redis_server import Client

MARK = b"nightscan:restore"

# What every script here begins with. `SELECT` in a script does not move its caller.
LUA = """
local MARK = 'nightscan:restore'

local function mark_here()
    if redis.call('TYPE', MARK).ok ~= 'hash' then return nil end
    local flat, mark = redis.call('HGETALL', MARK), {}
    for i = 1, #flat, 2 do mark[flat[i]] = flat[i + 1] end
    return mark
end

local function each_database(visit)
    local number = 0
    while true do
        local answer = redis.pcall('SELECT', number)
        if answer.err then
            if number == 0 then error(answer.err) end
            return
        end
        visit(number)
        number = number + 1
    end
end

local function each_of(run, visit)
    each_database(function(number)
        local mark = mark_here()
        if mark and mark.run == run then visit(number, mark) end
    end)
end
"""

_LOOK = LUA + """
local found = {}
each_database(function(number)
    local flat = {}
    if mark_here() then flat = redis.call('HGETALL', MARK) end
    found[#found + 1] = {number, redis.call('DBSIZE'), flat}
end)
return found
"""

_CLAIM = LUA + """
local claims = cjson.decode(ARGV[1])
for _, claim in ipairs(claims) do
    redis.call('SELECT', claim.number)
    if redis.call('DBSIZE') ~= 0 then return claim.number end
end
for _, claim in ipairs(claims) do
    redis.call('SELECT', claim.number)
    for field, value in pairs(claim.mark) do redis.call('HSET', MARK, field, value) end
end
return -1
"""

_SEAL = LUA + """
each_of(ARGV[1], function(number, mark)
    if mark.state == 'filling' then
        redis.call('HSET', MARK, 'state', 'staged', 'keys', redis.call('DBSIZE') - 1)
        if ARGV[2] then redis.call('HSET', MARK, 'functions', ARGV[2]) end
    end
end)
"""

_CLEAR = LUA + """
local states, gone = {}, {}
for i = 2, #ARGV do states[ARGV[i]] = true end
each_of(ARGV[1], function(number, mark)
    if states[mark.state] then
        gone[#gone + 1] = {number, redis.call('DBSIZE'), redis.call('HGETALL', MARK)}
        redis.call('FLUSHDB', 'ASYNC')
    end
end)
return gone
"""


class State(StrEnum):
    """What a marked database holds."""

    FILLING = "filling"    # a part of what is to be restored
    STAGED = "staged"      # all of it, compared
    RESERVED = "reserved"  # nothing yet: single keys that will be replaced go here
    BEFORE = "before"      # the old state; the restored one is live
    SPENT = "spent"        # nothing any more: its keys are live
    UNDONE = "undone"      # the restored state; the old one is live again


NOT_SWAPPED = (State.FILLING, State.STAGED, State.RESERVED)


@dataclass(frozen=True)
class Mark:
    """Whose database it is, what it holds, and for which database.

    `keys` are patterns where only a part is restored; `at` is a time for people. `functions` are those
    that go with the restored state, `old_functions` those that they replaced, as `FUNCTION DUMP` gives
    them, empty if there were none; None if they stay as they are.
    """

    run_id: str
    of: int
    state: State
    at: str
    keys: tuple[str, ...] = ()
    functions: bytes | None = None
    old_functions: bytes | None = None

    @classmethod
    def read(cls, flat: list[bytes]) -> Self:
        """Out of the fields of its hash."""
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return cls(run_id=facts[b"run"].decode(), of=int(facts[b"of"]),
                   state=State(facts[b"state"].decode()), at=facts.get(b"at", b"").decode(),
                   keys=tuple(json.loads(facts.get(b"patterns") or b"[]")),
                   functions=facts.get(b"functions"), old_functions=facts.get(b"old_functions"))

    def fields(self) -> Mapping[str, str | int]:
        """The fields of its hash when it is made."""
        return {"run": self.run_id, "of": self.of, "state": self.state, "at": self.at,
                "patterns": json.dumps(self.keys)}


@dataclass(frozen=True)
class Database:
    """One logical database of a server: how many keys it has, without its mark."""

    number: int
    keys: int
    mark: Mark | None = None


def look(client: Client) -> tuple[Database, ...]:
    """Every database of the server, at one moment."""
    return tuple(map(_database, client.eval(_LOOK, 0)))


def marked(client: Client, run_id: str) -> tuple[Database, ...]:
    """The databases that bear this run's mark."""
    return tuple(each for each in look(client) if each.mark and each.mark.run_id == run_id)


def claim(client: Client, marks: Mapping[int, Mark]) -> int | None:
    """Mark empty databases, all or none; the number of one that is not empty any more."""
    claims = [{"number": number, "mark": mark.fields()} for number, mark in marks.items()]
    taken = int(client.eval(_CLAIM, 0, json.dumps(claims)))
    return None if taken < 0 else taken


def seal(client: Client, run_id: str, functions: bytes | None) -> None:
    """Say that what this run staged is whole, and which functions go with it."""
    client.eval(_SEAL, 0, run_id, *([] if functions is None else [functions]))


def clear(client: Client, run_id: str, states: tuple[State, ...]) -> tuple[Database, ...]:
    """Empty this run's databases that are in one of these states; tells what they were."""
    return tuple(map(_database, client.eval(_CLEAR, 0, run_id, *states)))


def _database(answer: tuple[int, int, list[bytes]]) -> Database:
    number, size, flat = answer
    mark = Mark.read(flat) if b"run" in flat[::2] else None
    return Database(number, size - bool(mark), mark)
