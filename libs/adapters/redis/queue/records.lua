-- How what the queue knows is kept in Redis.
--
--     <base>                      the state: one packed value
--     <base>:asleep               processes that wait for an item, the longest waiting first
--     <base>:<generation>:<kind>  a hash for each kind of record, by id
--     <base>:<generation>:<heap>:<id>
--                                 a sorted set for each heap that is not empty
--
-- A new generation begins where everything is forgotten; what the old one held is taken away bit by bit.

local state, stateRaw, prefix

local function readState(raw)
  stateRaw = raw
  state.generation, state.instance, state.now, state.order, state.turn, state.tick, state.serial, state.ready, state.running, state.later, state.told, state.reviews, state.old =
    cmsgpack.unpack(raw)
  prefix = base .. ':' .. state.generation .. ':'
end

local function writeState()
  local raw = cmsgpack.pack(
    state.generation, state.instance, state.now, state.order, state.turn, state.tick, state.serial, state.ready, state.running, state.later, state.told,
    state.reviews, state.old
  )
  if raw ~= stateRaw then write('SET', base, raw) end
end

-- Counts what comes, where something is kept in the order in which it came.
local function serial()
  state.serial = state.serial + 1
  return state.serial
end

-- A number of fixed width, so that names made of it are in its order.
local function wide(value)
  return string.format('%013d', value)
end

-- Records: read when they are first asked for, written at the end where they have changed. A kind that is not asked for costs nothing: most calls
-- are about a few records of a few kinds.

local kinds, asked = {}, {}

local function kind(name, read, pack)
  local it = { name = name, read = read, pack = pack, loaded = false, raws = false }
  kinds[#kinds + 1] = it
  return it
end

local function forgetRecords()
  for _, of in ipairs(asked) do of.loaded, of.raws = false, false end
  asked = {}
end

local function loadedOf(of)
  local loaded = of.loaded
  if not loaded then
    loaded = {}
    of.loaded, of.raws = loaded, {}
    asked[#asked + 1] = of
  end
  return loaded
end

local function find(of, id)
  local loaded = of.loaded or loadedOf(of)
  local record = loaded[id]
  if record == nil then
    local raw = call('HGET', prefix .. of.name, id)
    of.raws[id] = raw or nil
    record = raw and of.read(raw, id)
    loaded[id] = record
  end
  return record or nil
end

local function get(of, id)
  local record = find(of, id)
  if not record then
    missing = true
    error('no ' .. of.name .. ' ' .. tostring(id))
  end
  return record
end

local function add(of, id, record)
  loadedOf(of)[id] = record
  return record
end

local function drop(of, id)
  find(of, id)
  of.loaded[id] = false
end

local function writeRecords()
  for _, of in ipairs(asked) do
    local changed, gone
    local raws, pack = of.raws, of.pack
    for id, record in pairs(of.loaded) do
      local before = raws[id]
      if record then
        local raw = pack(record)
        if raw ~= before then
          changed = changed or {}
          changed[#changed + 1] = id
          changed[#changed + 1] = raw
        end
      elseif before then
        gone = gone or {}
        gone[#gone + 1] = id
      end
    end
    local key = prefix .. of.name
    for n = 1, changed and #changed or 0, 1000 do write('HSET', key, unpack(changed, n, math.min(n + 999, #changed))) end
    for n = 1, gone and #gone or 0, 1000 do write('HDEL', key, unpack(gone, n, math.min(n + 999, #gone))) end
  end
end

-- Heaps: the lowest score first, then the lowest name. An item is in one of those of its kind at most, and knows in which. Who is first is kept
-- as long as it is known: `first` is nil where it is not, and false where there is none; the same for its score.

local function heap(letter, id, itemOf, total)
  return { letter = letter, id = id, itemOf = itemOf, total = total, key = false, first = nil, score = nil }
end

local function keyOf(of)
  local key = of.key
  if not key then
    key = prefix .. of.letter .. ':' .. of.id
    of.key = key
  end
  return key
end

-- The name of the first item.
local function first(of)
  local name = of.first
  if name == nil then
    name = call('ZRANGE', keyOf(of), '0', '0')[1] or false
    of.first, of.score = name, nil
  end
  return name or nil
end

-- Its score.
local function score(of)
  if of.first == nil or (of.first and of.score == nil) then
    local reply = call('ZRANGE', keyOf(of), '0', '0', 'WITHSCORES')
    of.first, of.score = reply[1] or false, tonumber(reply[2])
  end
  return of.first and of.score or nil
end

local function peek(of)
  local name = first(of)
  return name and of.itemOf(name)
end

-- Puts an item in, or to its new place if it is in already.
local function put(of, item, at)
  local name = item.name
  if item.home ~= of.letter then
    item.home = of.letter
    if of.total then state[of.total] = state[of.total] + 1 end
  elseif item.slot == at then
    return
  end
  item.slot = at
  write('ZADD', keyOf(of), at, name)
  if of.first == false then
    of.first, of.score = name, at
  elseif of.first and (of.first == name or of.score == nil or at == of.score) then
    of.first = nil
  elseif of.first and at < of.score then
    of.first, of.score = name, at
  end
end

-- Harmless when the item is not in.
local function remove(of, item)
  if item.home ~= of.letter then return end
  item.home, item.slot = false, false
  if of.total then state[of.total] = state[of.total] - 1 end
  write('ZREM', keyOf(of), item.name)
  if of.first == item.name then of.first = nil end
end

local function pop(of)
  local item = peek(of)
  if item then remove(of, item) end
  return item
end
