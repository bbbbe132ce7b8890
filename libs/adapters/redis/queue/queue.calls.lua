-- The operations as they are called.

local MORE, LOST = {}, {}
local now

-- Items stand in the arguments one after the other.
local ITEM_ARGUMENTS = 9

local function itemsFrom(n, keyringsOf)
  local items = {}
  while argument(n) do
    local flags, keys = argument(n + 6), argument(n + 7)
    if keys ~= '' and not find(keyrings, keys) then
      local ring = keyringsOf[keys]
      local packed = cmsgpack.pack(ring.line, ring.keys, ring.gates, ring.throttle, ring.starts, ring.others)
      add(keyrings, keys, newKeyring(keys, 0, packed))
    end
    items[#items + 1] = {
      id = argument(n), runId = argument(n + 1), fn = argument(n + 2), own = argument(n + 3), dueAt = tonumber(argument(n + 4)), rank = tonumber(argument(n + 5)),
      starts = flags:find('s', 1, true) ~= nil, underWay = flags:find('u', 1, true) ~= nil,
      keys = keys == '' and NO_KEYS or get(keyrings, keys), item = argument(n + 8),
    }
    n = n + ITEM_ARGUMENTS
  end
  return items
end

-- Rings that no entry has come to use.
local function dropUnused()
  for id, ring in pairs(keyrings.loaded or {}) do
    if ring and ring.users == 0 then drop(keyrings, id) end
  end
end

-- @param n where the change stands: its parts as JSON, then the items
local function apply(n)
  local change = cjson.decode(argument(n))
  withdraw(change.withdraw)
  vacate(change.vacate)
  occupy(change.occupy)
  throttled(change.throttled)
  enqueue(itemsFrom(n + 1, change.keyrings), now)
end

local calls = {}

-- change, items
function calls.enqueue()
  if catchUp(now) then return MORE end
  enqueue(itemsFrom(1, cjson.decode(argument(0)).keyrings), now)
end

-- change: its parts that are not items. Nothing falls due meanwhile.
function calls.change()
  local change = cjson.decode(argument(0))
  withdraw(change.withdraw)
  vacate(change.vacate)
  occupy(change.occupy)
  throttled(change.throttled)
end

-- partition, from, next, change, items
function calls.settle()
  if catchUp(now) then return MORE end
  local partition, from, upTo = argument(0), tonumber(argument(1)), tonumber(argument(2))
  local reflected = find(homes, partition)
  if not reflected or reflected < from then return LOST end
  if reflected >= upTo then return end
  apply(3)
  add(homes, partition, upTo)
end

-- partition
function calls.reflects()
  return find(homes, argument(0))
end

-- Whether everything is still there that was put out in parts, the first of them into this generation.
local function isStill(generation)
  return generation == '' or generation == state.generation
end

-- generation of the parts before, change, items
-- @returns the generation
function calls.restore()
  if catchUp(now) then return MORE end
  if not isStill(argument(0)) then return LOST end
  apply(1)
  return state.generation
end

-- generation of all parts, partition, next
function calls.restored()
  if not isStill(argument(0)) then return LOST end
  find(homes, argument(1))
  add(homes, argument(1), tonumber(argument(2)))
end

function calls.clear()
  beginAnew(now, stateRaw)
end

function calls.clean()
  clean()
  return #state.old
end

-- process, how many, a name for their tokens, then tokens to take back
-- @returns when something happens next, whether an old generation is left, the leases
function calls.claim()
  local process, count, name = argument(0), tonumber(argument(1)), argument(2)
  local n = 3
  while argument(n) do
    takeBack(argument(n))
    n = n + 1
  end
  if catchUp(now) then return MORE end
  local whole = isWhole()
  local steps = { left = STEPS_MAX }
  local leases = {}
  while whole and #leases < count do
    local lease = claim(now, name .. ':' .. #leases, steps)
    if not lease then break end
    leases[#leases + 1] = lease
  end
  local more = steps.left == 0
  local at = whole and nextAt() or HUGE
  if #leases < count and not more then
    fallAsleep(process, at)
  else
    write('ZREM', asleep, process)
  end
  return { text = json({ at = at < HUGE and math.max(at, 0) or nil, more = more, old = #state.old > 0, leases = jsonList(leases) }) }
end

-- token
function calls.extend()
  if catchUp(now) then return MORE end
  return extend(argument(0), now)
end

-- token
function calls.complete()
  if catchUp(now) then return MORE end
  complete(argument(0), now)
end

-- function, its own bucket, numbers as JSON or nothing, revision
function calls.limits()
  local id, own, numbers, revision = argument(0), argument(1), argument(2), tonumber(argument(3))
  if revision < (find(revisions, id) or 0) then return end
  if catchUp(now) then return MORE end
  add(revisions, id, revision)
  limits(id, own, numbers ~= '' and cjson.decode(numbers) or nil, now)
end

-- function, or nothing: all
function calls.counts()
  if catchUp(now) then return MORE end
  advance(now)
  if argument(0) then return countsOf(find(fns, argument(0))) end
  return { running = state.running, ready = state.ready, later = state.later }
end

-- run
function calls.ofRun()
  if catchUp(now) then return MORE end
  advance(now)
  local list = entriesOf(argument(0))
  table.sort(list, function(a, b) return a.order < b.order end)
  local items = {}
  for n, entry in ipairs(list) do items[n] = queuedItem(entry, now) end
  return jsonList(items)
end

-- function, how many lines
function calls.backlog()
  if catchUp(now) then return MORE end
  advance(now)
  return backlogOf(argument(0), tonumber(argument(1)), now)
end

local function answer()
  local at = tonumber(given[3])
  readOrBegin(at)
  now = state.now
  local found = calls[operation]()
  dropUnused()
  listLines()
  listThrottles()
  writeRecords()
  if found ~= MORE then wake(now) end
  writeState()
  if found == MORE then return { 'more' } end
  if found == LOST then return { 'lost' } end
  return { 'done', found ~= nil and json(found) or nil }
end

local function queue(keys, arguments)
  readArguments(keys, arguments)
  begin()
  local ok, reply = pcall(answer)
  if ok then return reply end
  local reason = type(reply) == 'table' and reply.err or tostring(reply)
  if not wrote and not missing then return redis.error_reply('QUEUEFAILED ' .. reason) end
  -- Half of what it does may be written, or what it found cannot be: nothing of that is trusted again.
  beginAnew(tonumber(given[3]), stateRaw)
  writeState()
  return redis.error_reply('QUEUELOST ' .. reason)
end
