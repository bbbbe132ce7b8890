-- Twin of `flow.state.ts`: the same things, each kept as a record. What refers to another for good is loaded with it and has it as a field; what
-- changes is kept as an id. A name is what stands in a heap: in its order where the model has one for equals, and short, since Redis keeps small
-- sets of short names closely packed.

local entries, lanes, groups, waitings, throttles, fns

local function entryOf(name) return get(entries, name:sub(14)) end
local function laneOf(name) return get(lanes, name:sub(-13)) end
local function groupOf(name) return get(groups, name:sub(-13)) end
local function fnOf(name) return get(fns, name) end
local function throttleOf(name) return get(throttles, name) end
-- Of fn.agenda, which is in another heap than its function.
local function agendaOf(name) return get(fns, name).agenda end

local function numeric(raw) return tonumber(raw) end
local function same(raw) return raw end

local byRun = kind('runs', same, same)
local byToken = kind('tokens', same, same)
local slots = kind('slots', same, same)
local revisions = kind('revisions', numeric, number)

-- Of entries without keys. The names need only differ, and be in the order of those of `groupName`.
local NO_KEYS = {
  line = '',
  keys = '[]',
  gates = {},
  starts = { name = 'starts', order = 'starts' },
  others = { name = 'others', order = 'others' },
}

-- @param packed what never changes of it
local function newKeyring(id, users, packed)
  local line, keys, gates, throttle, starts, others = cmsgpack.unpack(packed)
  return {
    id = id, users = users, packed = packed, line = line, keys = keys, gates = gates, throttle = throttle, starts = starts, others = others,
  }
end

-- The keys of entries, by their names: kept once for all that have the same.
local keyrings = kind('keyrings', function(raw, id)
  return newKeyring(id, cmsgpack.unpack(raw))
end, function(keys)
  return cmsgpack.pack(keys.users, keys.packed)
end)

-- @param numbers its limits, packed
local function newFn(id, own, turn, home, slot, agendaHome, agendaSlot, ready, numbers, stop, reviewed)
  return {
    id = id, name = id, own = own, turn = turn, home = home, slot = slot, ready = ready, numbers = numbers,
    limits = numbers and cmsgpack.unpack(numbers) or DEFAULT_LIMITS, stop = stop,
    reviewed = reviewed, agenda = { name = id, home = agendaHome, slot = agendaSlot }, able = heap('able', id, groupOf, nil),
    later = heap('later', id, entryOf, 'later'), leases = heap('leases', id, entryOf, 'running'),
  }
end

fns = kind('fns', function(raw, id)
  return newFn(id, cmsgpack.unpack(raw))
end, function(fn)
  return cmsgpack.pack(fn.own, fn.turn, fn.home, fn.slot, fn.agenda.home, fn.agenda.slot, fn.ready, fn.numbers, fn.stop, fn.reviewed)
end)

local function lineId(fn, name)
  return fn.id .. '\0' .. name
end

local lines = kind('lines', function(raw, id)
  local fn, name, keys, turn, lanesOf, ready, running, listed = cmsgpack.unpack(raw)
  return {
    id = id, fn = get(fns, fn), name = name, keys = keys, turn = turn, lanes = lanesOf, ready = ready, running = running, listed = listed,
  }
end, function(line)
  return cmsgpack.pack(line.fn.id, line.name, line.keys, line.turn, line.lanes, line.ready, line.running, line.listed)
end)

local function groupId(fn, name)
  return fn.id .. '\0' .. name
end

local groupIds = kind('groupids', same, same)

local function newGroup(id, fn, groupName, order, gates, turn, laneCount, waiting, scoutOf, scouts, stop, home)
  return {
    id = id, fn = fn, groupName = groupName, order = order, gates = gates, turn = turn, laneCount = laneCount, waiting = waiting, scoutOf = scoutOf,
    scouts = scouts, stop = stop, home = home, slot = home and turn, name = order .. id, lanes = heap('group', id, laneOf, nil),
  }
end

groups = kind('groups', function(raw, id)
  local fn, groupName, order, gates, turn, laneCount, waiting, scoutOf, scouts, stop, home = cmsgpack.unpack(raw)
  return newGroup(id, get(fns, fn), groupName, order, gates, turn, laneCount, waiting, scoutOf, scouts, stop, home)
end, function(group)
  return cmsgpack.pack(
    group.fn.id, group.groupName, group.order, group.gates, group.turn, group.laneCount, group.waiting, group.scoutOf, group.scouts, group.stop, group.home
  )
end)

local function newThrottle(key, tat, scout, users, fn, home, slot, waitedFor, listed)
  return {
    key = key, name = key, tat = tat, scout = scout, users = users, fn = fn, home = home, slot = slot, waitedFor = waitedFor, listed = listed,
    lanes = heap('throttle', key, laneOf, nil),
  }
end

throttles = kind('throttles', function(raw, key)
  return newThrottle(key, cmsgpack.unpack(raw))
end, function(throttle)
  return cmsgpack.pack(
    throttle.tat, throttle.scout, throttle.users, throttle.fn, throttle.home, throttle.slot, throttle.waitedFor, throttle.listed
  )
end)

local function newLane(id, line, group, passes, turn, waits, stop, home)
  return {
    id = id, line = line, group = group, passes = passes, throttle = passes and get(throttles, passes.key), turn = turn, waits = waits, stop = stop,
    home = home, slot = home and turn, name = group.order .. id, entries = heap('lane', id, entryOf, nil),
  }
end

lanes = kind('lanes', function(raw, id)
  local line, group, passes, turn, waits, stop, home = cmsgpack.unpack(raw)
  return newLane(id, get(lines, line), get(groups, group), passes, turn, waits, stop, home)
end, function(lane)
  return cmsgpack.pack(lane.line.id, lane.group.id, lane.passes, lane.turn, lane.waits, lane.stop, lane.home)
end)

-- @param limit the number that the keys of its groups carry
local function newWaiting(id, fn, limit, gate, scout)
  return { id = id, fn = fn, limit = limit, gate = gate, scout = scout, groups = heap('waiting', id, groupOf, nil) }
end

waitings = kind('waitings', function(raw, id)
  local fn, limit, gate, scout = cmsgpack.unpack(raw)
  return newWaiting(id, get(fns, fn), limit, gate, scout)
end, function(waiting)
  return cmsgpack.pack(waiting.fn.id, waiting.limit, waiting.gate, waiting.scout)
end)

local buckets = kind('buckets', function(raw, key)
  local users, used, waiting = cmsgpack.unpack(raw)
  return { key = key, users = users, inUse = used, waiting = waiting }
end, function(bucket)
  return cmsgpack.pack(bucket.users, bucket.inUse, bucket.waiting)
end)

local function newEntry(id, fn, order, runId, dueAt, rank, starts, keys, item)
  return {
    id = id, name = wide(order) .. id, fn = fn, order = order, runId = runId, dueAt = dueAt, rank = rank, starts = starts, keys = keys, item = item,
    line = nil, lane = nil, hold = nil, since = 0, tick = 0, after = nil, before = nil, home = false, slot = false,
  }
end

entries = kind('entries', function(raw, id)
  local fn, order, runId, dueAt, rank, starts, keys, lined, lane, hold, since, tick, after, before, home, slot, item = cmsgpack.unpack(raw)
  local entry = newEntry(id, get(fns, fn), order, runId, dueAt, rank, starts, keys and get(keyrings, keys) or NO_KEYS, item)
  entry.hold, entry.since, entry.tick, entry.after, entry.before, entry.home, entry.slot = hold, since, tick, after, before, home, slot
  entry.line = lined and get(lines, lineId(entry.fn, entry.keys.line)) or nil
  entry.lane = lane and get(lanes, lane) or nil
  return entry
end, function(entry)
  local lined, lane = entry.line ~= nil, entry.lane and entry.lane.id
  return cmsgpack.pack(
    entry.fn.id, entry.order, entry.runId, entry.dueAt, entry.rank, entry.starts, entry.keys.id, lined, lane, entry.hold, entry.since, entry.tick,
    entry.after, entry.before, entry.home, entry.slot, entry.item
  )
end)

local turns, openings, agenda

local function begin()
  forgetRecords()
  state, stateRaw = {}, nil
  turns, openings, agenda = heap('turns', '', fnOf, nil), heap('openings', '', throttleOf, nil), heap('agenda', '', agendaOf, nil)
end

-- What counts in a bucket: items under way and runs that hold a slot, in the order in which they came.

local function take(bucket, entry)
  bucket.inUse = bucket.inUse + write('ZADD', prefix .. 'items:' .. bucket.key, 'NX', serial(), entry.id)
end

local function giveBack(bucket, entry)
  bucket.inUse = bucket.inUse - write('ZREM', prefix .. 'items:' .. bucket.key, entry.id)
end

local function occupyBucket(bucket, runId)
  bucket.inUse = bucket.inUse + write('ZADD', prefix .. 'holders:' .. bucket.key, 'NX', serial(), runId)
end

local function vacateBucket(bucket, runId)
  bucket.inUse = bucket.inUse - write('ZREM', prefix .. 'holders:' .. bucket.key, runId)
end

-- Runs that are counted, each once.
local function holders(bucket, max)
  local known, list = {}, {}
  local function count(runId)
    if known[runId] then return end
    known[runId] = true
    list[#list + 1] = runId
  end
  for _, part in ipairs({ 'items:', 'holders:' }) do
    local from = 0
    while #list < max do
      local members = call('ZRANGE', prefix .. part .. bucket.key, from, from + max - 1)
      for n = 1, #members do
        if #list < max then count(part == 'items:' and get(entries, members[n]).runId or members[n]) end
      end
      from = from + max
      if #members < max then break end
    end
  end
  return jsonList(list)
end

-- The lowest rank first, then arrival.
local function entryBefore(a, b)
  return a.rank < b.rank or (a.rank == b.rank and a.order < b.order)
end
