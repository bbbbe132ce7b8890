-- Twin of `flow.model.ts`: what is done to a queue.

local function remember(entry)
  local before = find(byRun, entry.runId)
  if before then get(entries, before).before = entry.id end
  entry.after = before
  add(byRun, entry.runId, entry.id)
  add(entries, entry.id, entry)
  local keys = entry.keys
  if keys ~= NO_KEYS then
    keys.users = keys.users + 1
    -- The last other entry with these keys may have gone since they were looked up.
    add(keyrings, keys.id, keys)
  end
end

local function dropFn(fn)
  if fn.limits ~= DEFAULT_LIMITS or fn.ready > 0 or first(fn.later) or first(fn.leases) then return end
  if not find(fns, fn.id) then return end
  drop(fns, fn.id)
  local own = bucketAt(fn.own)
  own.users = own.users - 1
  dropBucket(own)
end

local function forget(entry)
  local keys = entry.keys
  if entry.after then get(entries, entry.after).before = entry.before end
  if entry.before then
    get(entries, entry.before).after = entry.after
  else
    find(byRun, entry.runId)
    if entry.after then add(byRun, entry.runId, entry.after) else drop(byRun, entry.runId) end
  end
  drop(entries, entry.id)
  if keys ~= NO_KEYS then
    keys.users = keys.users - 1
    if keys.users == 0 then drop(keyrings, keys.id) end
  end
  dropFn(entry.fn)
end

-- The entries of a run, the latest first.
local function entriesOf(runId)
  local list = {}
  local id = find(byRun, runId)
  while id do
    local entry = get(entries, id)
    list[#list + 1] = entry
    id = entry.after
  end
  return list
end

-- Lets happen what is due by now.
local function advance(now)
  happen(now, forget)
  openDue(now)
end

-- @param items with id, runId, fn, own, dueAt, rank, starts, underWay, keys, item
local function enqueue(items, now)
  advance(now)
  for _, item in ipairs(items) do
    local out = find(entries, item.id)
    if out then
      if out.hold then out.hold.withdrawn = false end
    else
      local fn = fnAt(item.fn, item.own)
      local entry = newEntry(item.id, fn, state.order, item.runId, item.dueAt, item.rank, item.starts, item.keys, item.item)
      state.order = state.order + 1
      remember(entry)
      if item.underWay then
        hold(entry, isStart(entry) or false, nil, now + leaseMs)
      else
        putOut(entry, now, now)
      end
    end
  end
end

local function withdraw(ids)
  for _, id in ipairs(ids) do
    local entry = find(entries, id)
    if entry and entry.hold then
      entry.hold.withdrawn = true
    elseif entry then
      remove(entry.fn.later, entry)
      placeAgenda(entry.fn)
      leave(entry)
      forget(entry)
    end
  end
end

-- Hands out the item whose turn it is.
local function claim(now, token, steps)
  advance(now)
  local lane = nextLane(now, steps)
  return lane and handOut(lane, token, now)
end

local function extend(token, now)
  advance(now)
  local id = find(byToken, token)
  if not id then return nil end
  local entry = get(entries, id)
  entry.hold.ends = now + leaseMs
  put(entry.fn.leases, entry, entry.hold.ends)
  placeAgenda(entry.fn)
  return entry.hold.ends
end

local function complete(token, now)
  advance(now)
  local id = find(byToken, token)
  if not id then return end
  local entry = get(entries, id)
  release(entry)
  forget(entry)
end

-- Whether a run holds a slot has changed: its entries stand in the lane for that, and stand in for no slot themselves.
local function review(runId)
  local touched = {}
  for _, entry in ipairs(entriesOf(runId)) do
    if entry.starts then
      changeLane(entry)
      if entry.hold and entry.hold.standsIn then
        local bucket = runBucketOf(entry)
        giveBack(bucket, entry)
        entry.hold.standsIn = false
        local known = false
        for _, other in ipairs(touched) do known = known or other == bucket end
        if not known then touched[#touched + 1] = bucket end
      end
    end
  end
  for _, bucket in ipairs(touched) do freed(bucket) end
end

-- @param held pairs of run and bucket
local function occupy(held)
  for _, slot in ipairs(held) do
    local runId, key = slot[1], slot[2]
    if not find(slots, runId) then
      local bucket = bucketAt(key)
      occupyBucket(bucket, runId)
      add(slots, runId, key)
      review(runId)
      freed(bucket)
    end
  end
end

local function vacate(runIds)
  for _, runId in ipairs(runIds) do
    local key = find(slots, runId)
    local bucket = key and bucketAt(key)
    if bucket then
      vacateBucket(bucket, runId)
      drop(slots, runId)
    end
    review(runId)
    if bucket then freed(bucket) end
  end
end

-- @param told pairs of key and state
local function throttled(told)
  for _, one in ipairs(told) do
    local throttle = throttleAt(one[1])
    throttle.tat = math.max(throttle.tat or one[2], one[2])
    placeThrottle(throttle)
  end
end

-- Asks again all that a function's numbers may hold: in steps, since that may be as many as its items have keys.
-- @returns how many steps are left; none: it is to go on
local function ask(fn, steps)
  local stages = { 'waits:', 'throttled:' }
  while fn.reviewed and steps > 0 do
    local stage, from = fn.reviewed[1], fn.reviewed[2]
    local found = call('ZRANGEBYSCORE', prefix .. stages[stage] .. fn.id, '(' .. number(from), '+inf', 'WITHSCORES', 'LIMIT', 0, math.min(steps, 100))
    for n = 1, #found, 2 do
      local one = stage == 1 and find(waitings, found[n]) or find(throttles, found[n])
      if one and stage == 1 then rouseOne(one) end
      if one and stage == 2 then placeThrottle(one) end
      fn.reviewed = { stage, tonumber(found[n + 1]) }
      steps = steps - 1
    end
    if #found == 0 then fn.reviewed = stages[stage + 1] and { stage + 1, 0 } or nil end
  end
  placeFn(fn)
  return steps
end

-- Goes on with functions whose numbers have changed.
local function askOn(steps)
  while state.reviews[1] and steps > 0 do
    local fn = find(fns, state.reviews[1])
    if fn and fn.reviewed then steps = ask(fn, steps) end
    if fn and fn.reviewed then return 0 end
    table.remove(state.reviews, 1)
    if fn then dropFn(fn) end
  end
  return steps
end

-- The numbers of a function, from now on; nil: the defaults.
local function limits(id, own, numbers, now)
  advance(now)
  local fn = fnAt(id, own)
  fn.limits = numbers or DEFAULT_LIMITS
  fn.numbers = numbers and cmsgpack.pack(numbers)
  if fn.reviewed then
    fn.reviewed = { 1, 0 }
    return
  end
  fn.reviewed = { 1, 0 }
  table.insert(state.reviews, id)
  askOn(STEPS_MAX)
end

-- Whether more is due than one call may deal with.
local function isBehind(now)
  local at = score(agenda)
  if at and at <= now then
    local due = 0
    for _, id in ipairs(call('ZRANGEBYSCORE', keyOf(agenda), '-inf', now, 'LIMIT', 0, STEPS_MAX + 1)) do
      local fn = get(fns, id)
      due = due + call('ZCOUNT', keyOf(fn.later), '-inf', now) + call('ZCOUNT', keyOf(fn.leases), '-inf', now)
      if due > STEPS_MAX then return true end
    end
  end
  at = score(openings)
  return at and at <= now and call('ZCOUNT', keyOf(openings), '-inf', now) > STEPS_MAX
end

-- Deals with a part of what is due, where that is too much for one call.
-- @returns whether the call is to be made again
local function catchUp(now)
  if state.reviews[1] then
    askOn(STEPS_MAX)
    return true
  end
  if not isBehind(now) then return false end
  if happen(now, forget, STEPS_MAX) then openDue(now, STEPS_MAX) end
  return true
end

-- When `advance` has something to do next.
local function nextAt()
  return math.min(score(agenda) or HUGE, score(openings) or HUGE)
end

-- What was handed out to one who is no longer there is had by another: as if it had never been handed out, but for the turns of others.
local function takeBack(token)
  local id = find(byToken, token)
  if not id then return end
  local entry = get(entries, id)
  local since, before, tat = entry.since, entry.tick, entry.hold.tat
  local held = release(entry)
  if held.withdrawn then return forget(entry) end
  local throttle, rate = entry.keys.throttle and find(throttles, entry.keys.throttle.key), entry.fn.limits.throttle
  -- Not where others have come through since: one too few is better than one too many.
  if tat and rate and throttle and throttle.tat == tat then
    throttle.tat = tat - rate.periodMs / rate.limit
    placeThrottle(throttle)
  end
  enter(entry, since)
  entry.tick = before
end
