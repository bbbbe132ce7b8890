-- Twin of `flow.turns.ts`: whose turn it is, and what a hand-out takes.

local nextLane, handOut

do
  -- Of the lanes of a line that can go, also of those that nobody has let out yet, the one with the lowest rank.
  local function firstOf(line, now)
    local lowest, entry
    for _, id in ipairs(line.lanes) do
      local lane = get(lanes, id)
      if not fullGate(lane.group) and opensAt(lane) <= now then
        local other = peek(lane.entries)
        if not lowest or entryBefore(other, entry) then lowest, entry = lane, other end
      end
    end
    return lowest
  end

  -- The lane whose first entry goes next. Who comes up and cannot go is put where it waits.
  -- @param steps how many may be put so, in `left`
  -- @returns nothing where none can go, or where `steps` did not suffice to know it
  function nextLane(now, steps)
    while steps.left > 0 do
      openDue(now)
      local fn = peek(turns)
      local group = fn and peek(fn.able)
      local lane = group and peek(group.lanes)
      if not lane then return nil end
      local full = fullGate(group)
      if full then
        park(group, full)
      elseif lane.throttle and opensAt(lane) > now then
        parkLane(lane)
      else
        return firstOf(lane.line, now) or lane
      end
      steps.left = steps.left - 1
    end
  end

  local function ended(stop)
    return stop.ended or HUGE
  end

  -- What held an entry last since it was ready: itself, its group or its whole function.
  local function waitedOf(entry, lane, now)
    local ms = now - entry.since
    if ms <= 0 then return nil end
    local last
    local function consider(stop)
      if stop and ended(stop) > math.max(entry.tick, last and ended(last) or 0) then last = stop end
    end
    consider(entry.fn.stop)
    consider(lane.group.stop)
    consider(lane.stop)
    local waited = { ms = ms }
    for name, value in pairs(last and last.by or { cause = 'turn' }) do waited[name] = value end
    return waited
  end

  local function grantOf(entry, lane, now)
    local fn = lane.group.fn
    local rate = lane.throttle and fn.limits.throttle
    local counted = false
    for _, gate in ipairs(lane.group.gates) do
      if gate.kind == 'run' or numberOf(fn, gate) ~= HUGE then counted = true end
    end
    if not fn.limits.declared and not counted and not rate then return nil end
    return {
      throttle = rate and { key = lane.throttle.key, tat = tatAfter(lane.throttle.tat, now, throttleRate(rate)) } or nil,
      waited = waitedOf(entry, lane, now),
    }
  end

  -- Hands out the first entry of a lane that can go. Its line and its function stand last from now on.
  -- @returns the lease
  function handOut(lane, token, now)
    local line, throttle = lane.line, lane.throttle
    local entry = peek(lane.entries)
    local fn = entry.fn
    local ends = now + leaseMs
    local grant = grantOf(entry, lane, now)
    local starts = isStart(entry) or false

    if grant and grant.throttle then throttle.tat = grant.throttle.tat end
    hold(entry, starts, token, ends)
    -- What it takes back if nobody is there to take it.
    if grant and grant.throttle then entry.hold.tat = grant.throttle.tat end
    state.turn = state.turn + 1
    line.turn = state.turn
    for _, id in ipairs(line.lanes) do placeLane(get(lanes, id)) end
    state.turn = state.turn + 1
    fn.turn = state.turn
    placeFn(fn)
    if throttle then placeThrottle(throttle) end
    return { item = { text = entry.item }, token = token, ['until'] = ends, grant = grant }
  end
end
