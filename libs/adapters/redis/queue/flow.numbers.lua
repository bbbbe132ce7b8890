-- Twins of `flow.numbers.ts` and `gcra.ts`. Names are made where items are put in.

-- How many requests in progress a function allows for a key.
local function stepNumber(limits, key)
  if not limits.step then return HUGE end
  local smallest
  for _, declared in ipairs(limits.step) do
    if declared.scope == key.scope and declared.expression == key.expression then
      smallest = math.min(smallest or declared.limit, declared.limit)
    end
  end
  return smallest or key.limit
end

-- How many whole runs, by the same rule.
local function runNumber(limits, key)
  if not limits.run then return HUGE end
  return limits.run.expression == key.expression and limits.run.limit or key.limit
end

local ROUNDING_MS = 0.01

local function nextAllowed(tat, rate)
  if tat == nil then return -HUGE end
  return math.ceil(tat - (rate.atOnce - 1) * (rate.periodMs / rate.limit) - ROUNDING_MS)
end

local function throttleRate(throttle)
  return { limit = throttle.limit, periodMs = throttle.periodMs, atOnce = throttle.limit + throttle.burst }
end

-- Where a bucket stands after one that may come at this moment.
local function tatAfter(tat, at, rate)
  return math.max(tat or at, at) + rate.periodMs / rate.limit
end
