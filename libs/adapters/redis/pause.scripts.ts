import { RedisScript } from './redis.script.js';

// The keys, after the hash tag:
//   meta            instance: the start of Redis in which the present era began; era: what all other keys begin with
//   old             eras that are over, until they are swept
//   <era>:restored  partitions of which every pause is in
//   <era>:places    by pause, its shelf, path and value, each on a line; empty for one that nothing resolves
//   <era>:bodies    by pause, the pause as JSON; before it `!` where meeting the demanded value is all that it takes, else `?`
//   <era>:shelves   shelves in use: environment and event name
//   <era>:on:<shelf>     path, value, id, each on a line: those that demand a value stand together; those that demand none have neither
//   <era>:paths:<shelf>  by path, how many demand something of it; under the empty name all paths, in order, each on a line
// Shelves, paths and values are JSON texts, in which there is no line break, or digests.

/** Arguments begin with the instance and the name of an era to begin where that is another: what was written before may be lost in part. */
const ENTER = `
local base = KEYS[1]
local meta = redis.call('HMGET', base .. 'meta', 'instance', 'era')
local era = meta[2]
local function begin()
  if era then redis.call('SADD', base .. 'old', era) end
  era = ARGV[2]
  redis.call('HSET', base .. 'meta', 'instance', ARGV[1], 'era', era)
end
if meta[1] ~= ARGV[1] then begin() end
local here = base .. era .. ':'
`;

const TAKE = `
local function retell(paths)
  local names = {}
  for _, name in ipairs(redis.call('HKEYS', paths)) do
    if name ~= '' then names[#names + 1] = name end
  end
  table.sort(names)
  redis.call('HSET', paths, '', table.concat(names, '\\n'))
end
local function take(id, place)
  redis.call('HDEL', here .. 'places', id)
  if place == '' then return end
  redis.call('HDEL', here .. 'bodies', id)
  local shelf, path, value = string.match(place, '^(.-)\\n(.-)\\n(.*)$')
  local pauses, paths = here .. 'on:' .. shelf, here .. 'paths:' .. shelf
  redis.call('ZREM', pauses, path .. '\\n' .. value .. '\\n' .. id)
  if path ~= '' and redis.call('HINCRBY', paths, path, -1) <= 0 then
    redis.call('HDEL', paths, path)
    retell(paths)
  end
  if redis.call('EXISTS', pauses) == 0 then
    redis.call('DEL', paths)
    redis.call('SREM', here .. 'shelves', shelf)
  end
end
`;

/**
 * How many paths of a shelf, and then pauses: id, shelf (empty: nothing resolves it), body, how many demands, and each with path and value.
 * Of several demands it takes the one that the fewest share; a pause that is in already stays in its place where it may be found there, so
 * that who looks through the places meanwhile does not miss it.
 */
export const ADD = new RedisScript(`${ENTER}${TAKE}
local function best(shelf, i, n)
  local pauses, paths = here .. 'on:' .. shelf, here .. 'paths:' .. shelf
  local place, fewest = '\\n', nil
  for k = i, i + 2 * n - 2, 2 do
    local path, value = ARGV[k], ARGV[k + 1]
    if redis.call('HEXISTS', paths, path) == 1 or redis.call('HLEN', paths) <= tonumber(ARGV[3]) then
      local there = path .. '\\n' .. value
      local sharing = n > 1 and redis.call('ZLEXCOUNT', pauses, '[' .. there .. '\\n', '(' .. there .. '\\11') or 0
      if not fewest or sharing < fewest then place, fewest = there, sharing end
    end
  end
  return place
end
local function isStill(place, shelf, i, n)
  for k = i, i + 2 * n - 2, 2 do
    if place == shelf .. '\\n' .. ARGV[k] .. '\\n' .. ARGV[k + 1] then return true end
  end
  return place == shelf .. '\\n\\n'
end
local i = 4
while i <= #ARGV do
  local id, shelf, body, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local known = redis.call('HGET', here .. 'places', id)
  if shelf == '' then
    if known then take(id, known) end
    redis.call('HSET', here .. 'places', id, '')
  else
    if not known or not isStill(known, shelf, i + 4, n) then
      if known then take(id, known) end
      local place = best(shelf, i + 4, n)
      local path, paths = string.match(place, '^(.-)\\n'), here .. 'paths:' .. shelf
      redis.call('HSET', here .. 'places', id, shelf .. '\\n' .. place)
      redis.call('ZADD', here .. 'on:' .. shelf, 0, place .. '\\n' .. id)
      redis.call('SADD', here .. 'shelves', shelf)
      if path ~= '' and redis.call('HINCRBY', paths, path, 1) == 1 then retell(paths) end
    end
    redis.call('HSET', here .. 'bodies', id, body)
  end
  i = i + 4 + 2 * n
end
return era
`);

/** ids */
export const REMOVE = new RedisScript(`${ENTER}${TAKE}
for i = 3, #ARGV do
  local place = redis.call('HGET', here .. 'places', ARGV[i])
  if place then take(ARGV[i], place) end
end
return era
`);

/**
 * How many partitions there are, the era in which the match began (empty: it begins), how many pauses and bytes at most, how many shelves;
 * shelves, each with its paths as far as they are known; then what is asked for: the number of a shelf, the beginning of what stands there,
 * and the id after which to go on.
 * Answers `wait`; or `again`: the era is another; or `paths`, with numbers of shelves and their paths, where others are known; or `found`
 * with the era, where to go on (how many asks to leave out, after which id) or -1, and for each pause the number of its ask and its body.
 */
export const MATCH = new RedisScript(`${ENTER}
if redis.call('SCARD', here .. 'restored') < tonumber(ARGV[3]) then return {'wait'} end
if ARGV[4] ~= '' and ARGV[4] ~= era then return {'again'} end
local most, left, n = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local shelves, other = {}, {'paths'}
for k = 1, n do
  local shelf = ARGV[6 + 2 * k]
  shelves[k] = here .. 'on:' .. shelf
  local paths = redis.call('HGET', here .. 'paths:' .. shelf, '')
  if paths and paths ~= ARGV[7 + 2 * k] then
    other[#other + 1] = k - 1
    other[#other + 1] = paths
  end
end
if ARGV[4] == '' and #other > 1 then return other end
local found = {'found', era, -1, ''}
local first = 8 + 2 * n
for a = first, #ARGV, 3 do
  local from, after = ARGV[a + 1], ARGV[a + 2]
  local low, high = (after == '' and '[' or '(') .. from .. after, '(' .. string.sub(from, 1, -2) .. '\\11'
  for _, name in ipairs(redis.call('ZRANGEBYLEX', shelves[ARGV[a] + 1], low, high, 'LIMIT', 0, most)) do
    after = string.sub(name, #from + 1)
    local body = redis.call('HGET', here .. 'bodies', after)
    found[#found + 1] = (a - first) / 3
    found[#found + 1] = body
    most, left = most - 1, left - #body
    if most <= 0 or left <= 0 then
      found[3], found[4] = (a - first) / 3, after
      return found
    end
  end
end
return found
`);

export const SIZE = new RedisScript(`${ENTER}
return redis.call('HLEN', here .. 'places')
`);

/** partition. Answers the era, and whether the partition is restored in it. */
export const INTACT = new RedisScript(`${ENTER}
return {era, redis.call('SISMEMBER', here .. 'restored', ARGV[3])}
`);

/** partition, the era in which its restoring began. Answers whether that is the present one. */
export const RESTORED = new RedisScript(`${ENTER}
if era ~= ARGV[4] then return 0 end
redis.call('SADD', here .. 'restored', ARGV[3])
return 1
`);

export const CLEAR = new RedisScript(`${ENTER}
if era ~= ARGV[2] then begin() end
return era
`);

/** Frees a part of what is over; how many shelves at most. Answers 1 while there is more. */
export const SWEEP = new RedisScript(`
local base = KEYS[1]
local era = redis.call('SRANDMEMBER', base .. 'old')
if not era then return 0 end
local there = base .. era .. ':'
local shelves = redis.call('SPOP', there .. 'shelves', ARGV[1])
for _, shelf in ipairs(shelves) do
  redis.call('UNLINK', there .. 'on:' .. shelf, there .. 'paths:' .. shelf)
end
if #shelves == 0 then
  redis.call('UNLINK', there .. 'places', there .. 'bodies', there .. 'restored')
  redis.call('SREM', base .. 'old', era)
end
return 1
`);
