-- Twin of `flow.explain.ts`: what the queue tells people. Looks at one line, or at the lines of one function.

local countsOf, queuedItem, backlogOf, listLines, listThrottles

do
  local HOLDERS_MAX = 10

  function countsOf(fn)
    if not fn then return { running = 0, ready = 0, later = 0 } end
    return { running = call('ZCARD', keyOf(fn.leases)), ready = fn.ready, later = call('ZCARD', keyOf(fn.later)) }
  end

  -- How many entries of a lane go before an entry, which may be of another lane.
  local function countBefore(lane, entry)
    local key = keyOf(lane.entries)
    local from, to = call('ZCOUNT', key, '-inf', '(' .. number(entry.rank)), call('ZCOUNT', key, '-inf', number(entry.rank))
    while from < to do
      local middle = math.floor((from + to) / 2)
      local order = tonumber(call('ZRANGE', key, middle, middle)[1]:sub(1, 13))
      if order < entry.order then from = middle + 1 else to = middle end
    end
    return from
  end

  -- Place among all that wait in the line.
  local function placeOf(entry, line)
    local place = 1
    for _, id in ipairs(line.lanes) do place = place + countBefore(get(lanes, id), entry) end
    return place
  end

  local function held(wait, key, limit, bucket)
    wait.scope, wait.expression, wait.key = key.scope, key.expression, key.value
    wait.limit, wait.inUse, wait.holders = limit, bucket.inUse, holders(bucket, HOLDERS_MAX)
    return wait
  end

  -- The first thing found that holds an entry, asked as things are now: it may have come up before that.
  local function waitOf(entry, lane, now)
    local fn, limits = entry.fn, entry.fn.limits
    local wait = { place = placeOf(entry, lane.line) }
    if limits.paused then
      wait.cause = 'paused'
      return wait
    end
    local own = bucketAt(fn.own)
    if own.inUse >= limits.concurrency then
      wait.cause = 'concurrency'
      return held(wait, { scope = 'fn', value = '' }, limits.concurrency, own)
    end
    local full = fullGate(lane.group)
    if full then
      wait.cause = full.kind == 'step' and 'concurrency' or 'run_concurrency'
      return held(wait, full, numberOf(fn, full), bucketAt(full.bucket))
    end
    local opens = opensAt(lane)
    local throttle, rate = entry.keys.throttle, limits.throttle
    if opens > now and throttle and rate then
      wait.cause, wait.expression, wait.key = 'throttle', throttle.expression, throttle.value
      wait.limit, wait.periodMs, wait.burst, wait['until'] = rate.limit, rate.periodMs, rate.burst, opens
      return wait
    end
    wait.cause = 'turn'
    return wait
  end

  function queuedItem(entry, now)
    return { item = { text = entry.item }, leased = entry.hold ~= nil, wait = entry.lane and waitOf(entry, entry.lane, now) or nil }
  end

  local function backlogLine(line, now)
    local lowest
    for _, id in ipairs(line.lanes) do
      local entry = peek(get(lanes, id).entries)
      if entry and (not lowest or entryBefore(entry, lowest)) then lowest = entry end
    end
    local wait = lowest and waitOf(lowest, lowest.lane, now) or nil
    return { keys = { text = line.keys }, ready = line.ready, running = line.running, wait = wait }
  end

  -- The lines of a function stand in a sorted set of their own, as `longer` would sort them: it is brought up to date at the end of each call.
  local function lineScore(line)
    return -(line.ready * 67108864 + line.running)
  end

  function listLines()
    for id, line in pairs(lines.loaded or {}) do
      if line then
        local length = lineScore(line)
        if line.listed ~= length then
          write('ZADD', prefix .. 'longest:' .. line.fn.id, length, line.name)
          line.listed = length
        end
      elseif lines.raws[id] then
        local fn, name = id:match('^(.-)%z(.*)$')
        write('ZREM', prefix .. 'longest:' .. fn, name)
      end
    end
  end

  -- The throttles of a function that lanes refer to, by their state: so the next one to open is found.
  function listThrottles()
    for key, throttle in pairs(throttles.loaded or {}) do
      local listed = throttle and throttle.users > 0 and throttle.tat or nil
      if throttle and throttle.listed ~= listed then
        local set = prefix .. 'tats:' .. throttle.fn
        if listed then write('ZADD', set, listed, key) else write('ZREM', set, key) end
        throttle.listed = listed
      end
    end
  end

  local function nextOf(fn, now)
    local at = math.min(score(fn.later) or HUGE, score(fn.leases) or HUGE)
    local rate = fn.limits.throttle
    if not rate then return at end
    listThrottles()
    rate = throttleRate(rate)
    -- The higher the state, the later it opens.
    local from = now + (rate.atOnce - 1) * (rate.periodMs / rate.limit) - 1
    local nth = 0
    while true do
      local reply = call('ZRANGEBYSCORE', prefix .. 'tats:' .. fn.id, number(from), '+inf', 'WITHSCORES', 'LIMIT', nth, 1)
      if not reply[1] then return at end
      local opens = nextAllowed(tonumber(reply[2]), rate)
      if opens > now then return math.min(at, opens) end
      nth = nth + 1
    end
  end

  function backlogOf(id, linesMax, now)
    local fn = find(fns, id)
    local backlog = countsOf(fn)
    local list = {}
    backlog.lineCount = 0
    if fn then
      listLines()
      local key = prefix .. 'longest:' .. id
      backlog.lineCount = call('ZCARD', key)
      if linesMax > 0 then
        for n, name in ipairs(call('ZRANGE', key, 0, linesMax - 1)) do list[n] = backlogLine(get(lines, lineId(fn, name)), now) end
      end
      local at = nextOf(fn, now)
      if at ~= HUGE then backlog.nextAt = at end
    end
    backlog.lines = jsonList(list)
    return backlog
  end
end
