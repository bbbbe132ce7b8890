-- Twin of `flow.leases.ts`: what is under way, how it is counted, and how that is given back.

-- Something was given back to a bucket.
local function freed(bucket)
  rouse(bucket)
  dropBucket(bucket)
end

-- Sets a function to when something happens to it next. To be called after its leases or what is due later have changed.
local function placeAgenda(fn)
  local at = math.min(score(fn.later) or HUGE, score(fn.leases) or HUGE)
  if at == HUGE then
    remove(agenda, fn.agenda)
  else
    put(agenda, fn.agenda, at)
  end
end

-- Where an entry that is under way counts: its function's own bucket first.
local function bucketsOf(entry)
  local list = { entry.fn.own }
  for _, gate in ipairs(gatesOf(entry.keys, entry.hold.starts)) do list[#list + 1] = gate.bucket end
  return list
end

-- The bucket of whole runs behind its gates.
local function runBucketOf(entry)
  for _, gate in ipairs(entry.keys.gates) do
    if gate.kind == 'run' then return bucketAt(gate.bucket) end
  end
end

-- An entry goes under way, wherever it was: it counts in its function and behind its gates.
-- @param starts it is the first request of its run; then it stands in for its run, where whole runs are counted
local function hold(entry, starts, token, ends)
  local fn = entry.fn
  entry.hold = { token = token, ends = ends, starts = starts, standsIn = starts and runBucketOf(entry) ~= nil, withdrawn = false }
  for _, key in ipairs(bucketsOf(entry)) do take(bucketAt(key), entry) end
  local line = lineOf(entry)
  line.running = line.running + 1
  leave(entry)
  put(fn.leases, entry, ends)
  if token then add(byToken, token, entry.id) end
  placeAgenda(fn)
  placeFn(fn)
end

-- An entry is no longer under way: what it held is free for others. It is nowhere, until it enters its line again or is forgotten.
local function release(entry)
  local fn, held, line = entry.fn, entry.hold, entry.line
  if not held or not line then return nil end
  local list = bucketsOf(entry)
  remove(fn.leases, entry)
  if held.token then drop(byToken, held.token) end
  entry.hold = nil
  entry.line = nil
  line.running = line.running - 1
  dropLine(line)
  for _, key in ipairs(list) do
    local bucket = bucketAt(key)
    giveBack(bucket, entry)
    freed(bucket)
  end
  placeAgenda(fn)
  placeFn(fn)
  return held
end

-- An entry is out: in its line once it is due.
-- @param since when it was put out, or out again
local function putOut(entry, since, now)
  if entry.dueAt <= now then
    enter(entry, math.max(since, entry.dueAt))
  else
    put(entry.fn.later, entry, entry.dueAt)
    placeAgenda(entry.fn)
  end
end

-- Items fall due and leases end, all until now, in the order of time.
-- @param forget is told of entries that are no longer owed, once everything has happened
-- @returns whether all is done; not so when `steps` did not suffice
local function happen(now, forget, steps)
  local gone = {}
  local done = false
  while not done do
    local at = score(agenda)
    if not at or at > now then
      done = true
    elseif steps == 0 then
      break
    else
      steps = steps and steps - 1
      local fn = get(fns, first(agenda))
      local ended = peek(fn.leases)
      if ended and ended.hold.ends <= at then
        if release(ended).withdrawn then
          gone[#gone + 1] = ended
        else
          putOut(ended, at, now)
        end
      else
        local due = pop(fn.later)
        placeAgenda(fn)
        if due then enter(due, at) end
      end
    end
  end
  for _, entry in ipairs(gone) do forget(entry) end
  return done
end
