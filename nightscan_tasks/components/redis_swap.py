"""The swap, and its undoing: one script each, so that nobody comes between and no crash cuts it.

Whole databases change places. Of single keys, those that match go where the old state is kept, and the
staged ones come instead. What Celery keeps stays with what is live, whichever state that is: putting an
old queue over a running one would lose tasks, or run them twice. It is looked for inside the script,
since a queue's key comes and goes with its tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from nightscan_tasks.components.celery_keys import CELERY_LUA
from nightscan_tasks.components.redis_functions import restoring
from nightscan_tasks.components.redis_marks import LUA, Database, State, marked
from nightscan_tasks.components.redis_server import Client, functions
from nightscan_tasks.errors import RestoreRefused

# Every command that needs memory comes first, as a server that is full refuses those; after them nothing
# can fail. The mark travels with what it marks: it is set in `other`, and after the exchange lies in
# `live`, from where it is moved.
_EXCHANGE = LUA + CELERY_LUA + """
local run, now, done, todo = ARGV[1], ARGV[2], 0, {}

local function as_set(names)
    local set = {}
    for _, name in ipairs(names) do set[name] = true end
    return set
end

-- Removes from `other` what Celery has in `live`; answers with the names of what it has there.
local function yield_to_celery(live, other)
    local queues, kept = {}, {}
    redis.call('SELECT', live)
    local machinery, results = celery_here(queues)
    redis.call('SELECT', other)
    if #machinery > 0 then
        for _, name in ipairs((celery_here(queues))) do redis.call('UNLINK', name) end
    end
    for _, names in ipairs({machinery, results}) do
        for _, name in ipairs(names) do
            redis.call('UNLINK', name)
            kept[#kept + 1] = name
        end
    end
    return kept
end

local function exchange_databases(live, other)
    local celery = yield_to_celery(live, other)
    redis.call('SELECT', live)
    for _, name in ipairs(celery) do redis.call('MOVE', name, other) end
    redis.call('SWAPDB', live, other)
    redis.call('SELECT', live)
    redis.call('MOVE', MARK, other)
    return #celery
end

local function exchange_keys(live, from, to, patterns)
    local celery = as_set(yield_to_celery(live, from))
    redis.call('SELECT', live)
    for _, pattern in ipairs(patterns) do
        for _, name in ipairs(redis.call('KEYS', pattern)) do
            if not celery[name] then redis.call('MOVE', name, to) end
        end
    end
    redis.call('SELECT', from)
    for _, name in ipairs(redis.call('KEYS', '*')) do
        if name ~= MARK then redis.call('MOVE', name, live) end
    end
    return 0
end

local function place_of(number, mark)
    return {number = number, of = tonumber(mark.of), patterns = cjson.decode(mark.patterns)}
end

local function set_state(number, state)
    redis.call('SELECT', number)
    redis.call('HSET', MARK, 'state', state, 'at', now)
end
"""

_SWAP = _EXCHANGE + """
local staged, reserved = {}, {}
local problem = nil
each_of(run, function(number, mark)
    if mark.state == 'before' then done = done + 1
    elseif mark.state == 'staged' then
        if redis.call('DBSIZE') - 1 > tonumber(mark.keys) then problem = {'foreign', number} end
        staged[#staged + 1] = place_of(number, mark)
    elseif mark.state == 'reserved' then
        if redis.call('DBSIZE') > 1 then problem = {'foreign', number} end
        reserved[mark.of] = number
    elseif mark.state ~= 'spent' then problem = {mark.state, number} end
end)
if problem then return problem end
if done > 0 then return {'done', done} end
if #staged == 0 then return {'absent', 0} end
for _, each in ipairs(staged) do
    redis.call('SELECT', each.of)
    if mark_here() then return {'marked', each.of} end
    if #each.patterns > 0 and not reserved[tostring(each.of)] then return {'filling', each.number} end
end
if ARGV[3] == 'look' then return {'ready', #staged} end
for _, each in ipairs(staged) do
    if #each.patterns > 0 then
        set_state(each.number, 'spent')
        set_state(reserved[tostring(each.of)], 'before')
    else
        set_state(each.number, 'before')
        if ARGV[4] then redis.call('HSET', MARK, 'old_functions', ARGV[4]) end
    end
end
local celery = 0
for _, each in ipairs(staged) do
    if #each.patterns > 0 then
        exchange_keys(each.of, each.number, reserved[tostring(each.of)], each.patterns)
    else
        celery = celery + exchange_databases(each.of, each.number)
    end
end
return {'swapped', celery}
"""

_UNDO = _EXCHANGE + """
local before, spent = {}, {}
each_of(run, function(number, mark)
    if mark.state == 'before' then
        before[#before + 1] = place_of(number, mark)
    elseif mark.state == 'spent' then spent[mark.of] = number end
end)
for _, each in ipairs(before) do
    if #each.patterns > 0 and not spent[tostring(each.of)] then return -each.number end
end
for _, each in ipairs(before) do
    if #each.patterns > 0 then
        set_state(each.number, 'spent')
        set_state(spent[tostring(each.of)], 'undone')
    else set_state(each.number, 'undone') end
end
for _, each in ipairs(before) do
    if #each.patterns > 0 then
        exchange_keys(each.of, each.number, spent[tostring(each.of)], each.patterns)
    else exchange_databases(each.of, each.number) end
end
return #before
"""

_REFUSALS = {
    "absent": "nothing of run {run} is staged there: stage it first",
    "filling": "what run {run} staged in database {number} is not whole: stage it again",
    "undone": "run {run} was undone, and its restored state is kept in database {number}: begin a new "
              "restore, and let this one go with `nightscan restore accept {run}`",
    "foreign": "somebody else wrote into database {number}, where run {run} staged: find out who uses that "
               "database, then stage again",
    "marked": "database {number} holds what another restore keeps: let that go first",
}


@dataclass(frozen=True)
class Exchange:
    """How a swap ended: whether it had been done before, and how many keys of Celery went along."""

    was_done: bool
    celery_keys: int = 0


def swap_databases(client: Client, run_id: str, *, now: datetime) -> Exchange:
    """Let what this run staged take the place of what is live, functions too, in one step.

    `RestoreRefused` where nothing whole is staged; then nothing was changed.
    """
    stamp = now.isoformat(timespec="seconds")
    status, number = client.eval(_SWAP, 0, run_id, stamp, "look")
    if status == b"done":
        return Exchange(was_done=True)
    _refuse_unless(status, b"ready", run_id, number)
    new_functions = _kept(marked(client, run_id), "functions")
    words: list[bytes | str] = [run_id, stamp, "swap"]
    if new_functions is not None:
        words.append(functions(client) or b"")
    (status, number), *_ = _at_once(client, (_SWAP, words), new_functions)
    _refuse_unless(status, b"swapped", run_id, number)
    return Exchange(was_done=False, celery_keys=number)


def undo_swap(client: Client, run_id: str, *, now: datetime) -> int:
    """Let the old state take its place again, in one step; how many databases that were."""
    before = [each for each in marked(client, run_id) if each.mark and each.mark.state is State.BEFORE]
    if not before:
        return 0
    (count, *_) = _at_once(client, (_UNDO, [run_id, now.isoformat(timespec="seconds")]),
                           _kept(before, "old_functions"))
    if count < 0:
        raise RestoreRefused(f"somebody emptied a database that run {run_id} used: its old keys are in "
                             f"database {-count}, move them by hand; nothing was changed")
    return int(count)


def _kept(databases: Iterable[Database], field: Literal["functions", "old_functions"]) -> bytes | None:
    kept: list[bytes | None] = [getattr(each.mark, field) for each in databases if each.mark]
    return next((each for each in kept if each is not None), None)


def _at_once(client: Client, script: tuple[str, list[bytes | str]],
             new_functions: bytes | None) -> list[Any]:
    """A script and the functions in one transaction.

    A script that failed changed nothing, but the rest of its transaction is done all the same: so the
    functions are put back then.
    """
    text, words = script
    old = functions(client) if new_functions is not None else None
    with client.pipeline(transaction=True) as pipe:
        pipe.eval(text, 0, *words)
        if new_functions is not None:
            pipe.execute_command(*restoring(new_functions))
        answers = pipe.execute(raise_on_error=False)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    if isinstance(answers[0], Exception) and new_functions is not None:
        client.execute_command(*restoring(old or b""))
    if failed:
        raise failed[0]
    return list(answers)


def _refuse_unless(status: bytes, wanted: bytes, run_id: str, number: int) -> None:
    if status != wanted:
        raise RestoreRefused(_REFUSALS[status.decode()].format(run=run_id, number=number)
                             + "; the old state is live")
