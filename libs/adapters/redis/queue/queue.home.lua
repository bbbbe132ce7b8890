-- What the queue reflects of the partitions, and how it comes to know that it has lost what it held.

-- Everything is forgotten. What is kept of it lies under other names, and is taken away later.
local function beginAnew(now, raw)
  local before = state.generation
  local time = call('TIME')
  local old = state.old or {}
  if before then old[#old + 1] = before end
  state.generation, state.instance, state.now = time[1] .. wide(time[2]), instance, math.max(state.now or now, now)
  state.order, state.turn, state.tick, state.serial, state.ready, state.running, state.later = 0, 0, 0, 0, 0, 0, 0
  state.told, state.reviews, state.old = state.told or -HUGE, {}, old
  stateRaw = raw
  prefix = base .. ':' .. state.generation .. ':'
  -- Whoever waits may no longer be known.
  call('PUBLISH', base, 'again')
end

local function readOrBegin(now)
  local raw = call('GET', base)
  if raw then readState(raw) end
  -- Redis has started anew since: what it still knows may be older than what it once knew.
  if not raw or state.instance ~= instance then beginAnew(now, raw or nil) end
  state.now = math.max(state.now, now)
end

local homes = kind('homes', numeric, number)

-- Whether all partitions are there, so that what is handed out is all that counts.
local function isWhole()
  return partitions == 0 or call('HLEN', prefix .. 'homes') >= partitions
end

-- Takes away a part of what is kept of the oldest generation.
local HEAPS = {
  fns = { 'able', 'later', 'leases', 'waits', 'throttled', 'longest', 'tats' },
  lanes = { 'lane' },
  groups = { 'group', 'scouts' },
  waitings = { 'waiting' },
  throttles = { 'throttle' },
  buckets = { 'items', 'holders' },
}

local function clean()
  local generation = state.old[1]
  if not generation then return end
  local from = base .. ':' .. generation .. ':'
  for name, heapsOf in pairs(HEAPS) do
    local key = from .. name
    local found = call('HSCAN', key, 0, 'COUNT', 100)[2]
    if #found > 0 then
      for n = 1, #found, 2 do
        for _, letter in ipairs(heapsOf) do write('UNLINK', from .. letter .. ':' .. found[n]) end
        write('HDEL', key, found[n])
      end
      return
    end
  end
  for _, name in ipairs({ 'turns:', 'openings:', 'agenda:' }) do write('UNLINK', from .. name) end
  for _, of in ipairs(kinds) do write('UNLINK', from .. of.name) end
  table.remove(state.old, 1)
end
