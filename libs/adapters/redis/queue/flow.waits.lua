-- Twin of `flow.waits.ts`: who may go and who waits.

-- They call each other.
local placeGroup, placeThrottle, rouseOne, dismiss, dismissLane

local function bucketAt(key)
  return find(buckets, key) or add(buckets, key, { key = key, users = 0, inUse = 0, waiting = {} })
end

local function tick()
  state.tick = state.tick + 1
  return state.tick
end

local function over(stop)
  return { by = stop.by, ended = tick() }
end

-- How many the function allows behind a gate.
local function numberOf(fn, gate)
  if gate.kind == 'step' then return stepNumber(fn.limits, gate) end
  return runNumber(fn.limits, gate)
end

-- The first gate of a group without room.
local function fullGate(group)
  for _, gate in ipairs(group.gates) do
    if bucketAt(gate.bucket).inUse >= numberOf(group.fn, gate) then return gate end
  end
end

-- When the throttle of a lane lets the next one through; whenever the function throttles nothing now.
local function opensAt(lane)
  local rate = lane.group.fn.limits.throttle
  if not lane.throttle or not rate then return -HUGE end
  return nextAllowed(lane.throttle.tat, throttleRate(rate))
end

-- Puts a function among those that may go, or takes it away. To be called after whatever may change that.
local function placeFn(fn)
  local limits, inUse = fn.limits, bucketAt(fn.own).inUse
  local cause = (limits.paused and 'paused') or (inUse >= limits.concurrency and 'concurrency') or nil
  local held = fn.stop and not fn.stop.ended and fn.stop or nil
  if held and held.by.cause ~= cause then fn.stop = over(held) end
  if cause and not (held and held.by.cause == cause) then
    fn.stop = { by = cause == 'paused' and { cause = cause } or { cause = cause, limit = limits.concurrency, inUse = inUse } }
  end
  if not cause and first(fn.able) then
    put(turns, fn, fn.turn)
  else
    remove(turns, fn)
  end
end

-- A scout has had a turn, or has lost who was to have it: one that waits would come before it.
local function isBehind(scout, heapOfOthers)
  local turn = score(heapOfOthers)
  return turn and turn < scout.turn
end

local function dropWaiting(waiting)
  if first(waiting.groups) or waiting.scout then return end
  if not find(waitings, waiting.id) then return end
  local bucket = bucketAt(waiting.gate.bucket)
  for n, id in ipairs(bucket.waiting) do
    if id == waiting.id then table.remove(bucket.waiting, n) end
  end
  write('ZREM', prefix .. 'waits:' .. waiting.fn.id, waiting.id)
  drop(waitings, waiting.id)
end

local function waitingAt(gate, fn)
  local bucket = bucketAt(gate.bucket)
  for _, id in ipairs(bucket.waiting) do
    local waiting = get(waitings, id)
    if waiting.fn == fn and waiting.limit == gate.limit then return waiting end
  end
  local order = serial()
  local id = wide(order)
  local waiting = add(waitings, id, newWaiting(id, fn, gate.limit, gate, nil))
  table.insert(bucket.waiting, id)
  write('ZADD', prefix .. 'waits:' .. fn.id, order, id)
  return waiting
end

-- Puts a group where it belongs after its lanes have changed. An empty one is nowhere, and no scout.
function placeGroup(group)
  local waiting = group.waiting and get(waitings, group.waiting)
  local home = waiting and waiting.groups or group.fn.able
  local turn = score(group.lanes)
  if turn then
    group.turn = turn
    put(home, group, turn)
    if group.scoutOf and isBehind(group, get(waitings, group.scoutOf).groups) then dismiss(group) end
  else
    remove(home, group)
    if waiting then
      group.waiting = nil
      dropWaiting(waiting)
    end
    dismiss(group)
  end
  placeFn(group.fn)
end

-- Puts a lane where it belongs after its entries or its turn have changed. An empty one is nowhere, and no scout.
local function placeLane(lane)
  local home = lane.waits and lane.throttle and lane.throttle.lanes or lane.group.lanes
  if first(lane.entries) then
    lane.turn = lane.line.turn
    put(home, lane, lane.turn)
    local throttle = lane.throttle
    if throttle and throttle.scout == lane.id and isBehind(lane, throttle.lanes) then dismissLane(lane) end
  else
    remove(home, lane)
    dismissLane(lane)
  end
  if lane.waits and lane.throttle then
    placeThrottle(lane.throttle)
  else
    placeGroup(lane.group)
  end
end

local function named(by, expression, key)
  if expression ~= nil then by.expression, by.key = expression, key end
  return by
end

local function bucketStop(gate, fn)
  local by = { cause = gate.kind == 'step' and 'concurrency' or 'run_concurrency', limit = numberOf(fn, gate), inUse = bucketAt(gate.bucket).inUse }
  return named(by, gate.expression, gate.value)
end

-- A group that came up and found a gate without room waits there. Whatever it was let out for goes to others.
local function park(group, gate)
  local fn = group.fn
  remove(fn.able, group)
  local waiting = waitingAt(gate, fn)
  group.waiting = waiting.id
  put(waiting.groups, group, group.turn)
  group.stop = { by = bucketStop(gate, fn) }
  dismiss(group)
  if group.scouts > 0 then
    for _, id in ipairs(call('ZRANGE', prefix .. 'scouts:' .. group.id, 0, -1)) do dismissLane(get(lanes, id)) end
  end
  placeFn(fn)
end

-- A lane that came up and found its throttle closed waits there.
local function parkLane(lane)
  local group, throttle = lane.group, lane.throttle
  remove(group.lanes, lane)
  lane.waits = true
  put(throttle.lanes, lane, lane.turn)
  local rate = group.fn.limits.throttle
  local by = { cause = 'throttle', limit = rate and rate.limit, ['until'] = opensAt(lane) }
  lane.stop = { by = named(by, lane.passes.expression, lane.passes.value) }
  dismissLane(lane)
  placeGroup(group)
  placeThrottle(throttle)
end

-- Room may have come: one group of each function that has room for it is let out, unless one is out already.
local function rouse(bucket)
  if #bucket.waiting == 0 then return end
  for _, id in ipairs({ unpack(bucket.waiting) }) do
    local waiting = find(waitings, id)
    if waiting then rouseOne(waiting) end
  end
end

function rouseOne(waiting)
  if waiting.scout or bucketAt(waiting.gate.bucket).inUse >= numberOf(waiting.fn, waiting.gate) then return end
  local group = pop(waiting.groups)
  if not group then return end
  group.waiting = nil
  if group.stop then group.stop = over(group.stop) end
  group.scoutOf = waiting.id
  waiting.scout = group.id
  placeGroup(group)
end

-- Lets out the lanes of a throttle that has opened, until one of them can come up: the others find it when their groups do.
local function open(throttle)
  while not throttle.scout do
    local lane = pop(throttle.lanes)
    if not lane then break end
    lane.waits = false
    if lane.stop then lane.stop = over(lane.stop) end
    put(lane.group.lanes, lane, lane.turn)
    if not lane.group.waiting then
      throttle.scout = lane.id
      lane.group.scouts = lane.group.scouts + write('ZADD', prefix .. 'scouts:' .. lane.group.id, 'NX', serial(), lane.id)
    end
    placeGroup(lane.group)
  end
  placeThrottle(throttle)
end

-- Throttles open for those that wait, and are forgotten once their time is past.
-- @returns whether all that was due is done; not so when `steps` did not suffice
local function openDue(now, steps)
  while true do
    local at = score(openings)
    if not at or at > now then return true end
    if steps == 0 then return false end
    steps = steps and steps - 1
    local throttle = peek(openings)
    if throttle.tat and throttle.tat <= now then throttle.tat = nil end
    if first(throttle.lanes) and not throttle.scout then
      open(throttle)
    else
      placeThrottle(throttle)
    end
  end
end

-- A group that is no longer on its way for others that wait.
function dismiss(group)
  if not group.scoutOf then return end
  local waiting = get(waitings, group.scoutOf)
  group.scoutOf = nil
  waiting.scout = nil
  rouseOne(waiting)
  dropWaiting(waiting)
end

-- A lane that is no longer on its way for others before its throttle.
function dismissLane(lane)
  local throttle = lane.throttle
  if not throttle or throttle.scout ~= lane.id then return end
  throttle.scout = nil
  lane.group.scouts = lane.group.scouts - write('ZREM', prefix .. 'scouts:' .. lane.group.id, lane.id)
  placeThrottle(throttle)
end

-- Sets a throttle to when something is to be done about it, and forgets it when that is never.
function placeThrottle(throttle)
  local waits = first(throttle.lanes) ~= nil
  if throttle.fn and waits ~= throttle.waitedFor then
    throttle.waitedFor = waits
    local key = prefix .. 'throttled:' .. throttle.fn
    if waits then write('ZADD', key, serial(), throttle.key) else write('ZREM', key, throttle.key) end
  end
  local at = throttle.tat
  if waits and not throttle.scout then at = opensAt(peek(throttle.lanes)) end
  if at then
    put(openings, throttle, at)
    return
  end
  remove(openings, throttle)
  if throttle.users > 0 then return end
  if throttle.listed then write('ZREM', prefix .. 'tats:' .. throttle.fn, throttle.key) end
  drop(throttles, throttle.key)
end
