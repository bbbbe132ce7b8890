-- Twin of `flow.lines.ts`: how items come into their lines and leave them. What is no longer referred to is dropped.

-- Whether an item is the first request of its run: not once the run holds a slot, for then its start is a fact.
local function isStart(entry)
  return entry.starts and not find(slots, entry.runId)
end

-- Where an item must pass and is counted, beside its function's own bucket.
local function gatesOf(keys, starts)
  if starts then return keys.gates end
  local gates = {}
  for _, gate in ipairs(keys.gates) do
    if gate.kind == 'step' then gates[#gates + 1] = gate end
  end
  return gates
end

local function throttleAt(key)
  return find(throttles, key) or add(throttles, key, newThrottle(key, nil, nil, 0, nil, false, false, false, nil))
end

-- @param own key of the bucket that counts all its requests in progress
local function fnAt(id, own)
  local fn = find(fns, id)
  if not fn then
    fn = add(fns, id, newFn(id, own, 0, false, false, false, false, 0, nil, nil, nil))
    local bucket = bucketAt(own)
    bucket.users = bucket.users + 1
  end
  return fn
end

local function dropLine(line)
  if line.ready + line.running == 0 then drop(lines, line.id) end
end

local function dropBucket(bucket)
  if bucket.users + bucket.inUse == 0 then drop(buckets, bucket.key) end
end

-- The line of an entry, for as long as it waits or is under way.
local function lineOf(entry)
  if entry.line then return entry.line end
  local fn, keys = entry.fn, entry.keys
  local id = lineId(fn, keys.line)
  local line = find(lines, id)
  if not line then
    line = add(lines, id, { id = id, fn = fn, name = keys.line, keys = keys.keys, turn = 0, lanes = {}, ready = 0, running = 0, listed = nil })
  end
  entry.line = line
  return line
end

local function groupAt(fn, keys, names, starts)
  local named = groupId(fn, names.name)
  local id = find(groupIds, named)
  if id then return get(groups, id) end
  id = wide(serial())
  add(groupIds, named, id)
  local group = add(groups, id, newGroup(id, fn, names.name, names.order, gatesOf(keys, starts), 0, 0, nil, nil, 0, nil, false))
  for _, gate in ipairs(group.gates) do
    local bucket = bucketAt(gate.bucket)
    bucket.users = bucket.users + 1
  end
  return group
end

local function throttleFor(fn, key)
  local throttle = throttleAt(key)
  throttle.fn = fn.id
  throttle.users = throttle.users + 1
  return throttle
end

local function newLaneOf(line, keys, names, starts)
  local fn = line.fn
  local group = groupAt(fn, keys, names, starts)
  local passes = starts and keys.throttle or nil
  if passes then throttleFor(fn, passes.key) end
  local id = wide(serial())
  local lane = add(lanes, id, newLane(id, line, group, passes, 0, false, nil, false))
  group.laneCount = group.laneCount + 1
  table.insert(line.lanes, id)
  return lane
end

local function intoLane(line, entry)
  local starts = isStart(entry)
  local names = starts and entry.keys.starts or entry.keys.others
  local lane
  for _, id in ipairs(line.lanes) do
    local other = get(lanes, id)
    if other.group.groupName == names.name then lane = other end
  end
  lane = lane or newLaneOf(line, entry.keys, names, starts)
  entry.lane = lane
  put(lane.entries, entry, entry.rank)
  placeLane(lane)
end

local function dropLane(lane)
  local line, group, throttle = lane.line, lane.group, lane.throttle
  for n, id in ipairs(line.lanes) do
    if id == lane.id then
      table.remove(line.lanes, n)
      break
    end
  end
  drop(lanes, lane.id)
  if throttle then
    throttle.users = throttle.users - 1
    placeThrottle(throttle)
  end
  group.laneCount = group.laneCount - 1
  if group.laneCount > 0 then return end
  placeGroup(group)
  drop(groupIds, groupId(group.fn, group.groupName))
  drop(groups, group.id)
  for _, gate in ipairs(group.gates) do
    local bucket = bucketAt(gate.bucket)
    bucket.users = bucket.users - 1
    dropBucket(bucket)
  end
end

-- Puts an entry that is due into its line. A line or a function that had nothing to do begins at the end.
local function enter(entry, since)
  local fn, line = entry.fn, lineOf(entry)
  if line.ready == 0 then
    state.turn = state.turn + 1
    line.turn = state.turn
  end
  if fn.ready == 0 then
    state.turn = state.turn + 1
    fn.turn = state.turn
  end
  line.ready = line.ready + 1
  fn.ready = fn.ready + 1
  state.ready = state.ready + 1
  entry.since = since
  entry.tick = tick()
  intoLane(line, entry)
end

local function takeOutOf(lane, entry)
  entry.lane = nil
  remove(lane.entries, entry)
end

local function leftLane(lane)
  placeLane(lane)
  if not first(lane.entries) then dropLane(lane) end
end

-- Takes an entry that waits out of its line.
local function leave(entry)
  local line, lane, fn = entry.line, entry.lane, entry.fn
  if not line or not lane then return end
  line.ready = line.ready - 1
  fn.ready = fn.ready - 1
  state.ready = state.ready - 1
  takeOutOf(lane, entry)
  leftLane(lane)
  dropLine(line)
end

-- Its run has come to hold a slot, or holds none any more: the entry keeps its place in the line, in the other lane.
local function changeLane(entry)
  local line, lane = entry.line, entry.lane
  if not line or not lane then return end
  takeOutOf(lane, entry)
  intoLane(line, entry)
  leftLane(lane)
end
