-- All operations of the queue, as one library of functions: it is loaded once for each start of Redis, and its functions are the twins of those in
-- `libs/core/src/flow`, file by file and name by name. Its files are put together by `queue.library.ts`, which says in which order. Nothing is
-- kept from one call to the next: whatever is remembered while a call lasts begins with `begin`.
--
--     KEYS  the key of the queue; all others begin with it, and lie in one slot
--     ARGV  operation, instance, now, leaseMs, partitions, concurrencyDefault, then those of the operation

local base, asleep, operation, instance, leaseMs, partitions, given
local DEFAULT_LIMITS = { declared = false }
local COMMON_ARGUMENTS = 6

local HUGE = 1 / 0
-- How many things that fall due, or that stand in the way, one call deals with: no call keeps others waiting for long.
local STEPS_MAX = 500

local call
-- Whether something was written, and whether something was not there that has to be.
local wrote, missing

local function readArguments(keys, arguments)
  call, wrote, missing = redis.call, false, false
  base, given = keys[1], arguments
  asleep = base .. ':asleep'
  operation, instance = given[1], given[2]
  leaseMs, partitions, DEFAULT_LIMITS.concurrency = tonumber(given[4]), tonumber(given[5]), tonumber(given[6])
end

-- Of the operation, from 0 on.
local function argument(n)
  return given[COMMON_ARGUMENTS + 1 + n]
end

local function write(...)
  local reply = call(...)
  -- Not where Redis would not: where it has no memory left, or is a replica.
  wrote = true
  return reply
end

-- Numbers as text that loses nothing.
local function number(value)
  if value % 1 == 0 and value > -1e15 and value < 1e15 then return string.format('%.0f', value) end
  return string.format('%.17g', value)
end

-- Parts of an answer, as JSON. Items pass through as the text that they came as.
local function json(value)
  local kind = type(value)
  if kind == 'number' then return number(value) end
  if kind == 'string' then return cjson.encode(value) end
  if kind == 'boolean' then return tostring(value) end
  if value.text then return value.text end
  local parts = {}
  for name, part in pairs(value) do parts[#parts + 1] = '"' .. name .. '":' .. json(part) end
  return '{' .. table.concat(parts, ',') .. '}'
end

local function jsonList(values)
  local parts = {}
  for n, value in ipairs(values) do parts[n] = json(value) end
  return { text = '[' .. table.concat(parts, ',') .. ']' }
end
