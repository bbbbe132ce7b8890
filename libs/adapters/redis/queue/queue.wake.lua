-- Who is told that something may go. Processes that wait have said so; one of them is told, and asks for as many items as it has use for: as long as
-- there are more, the next is told.

-- One that was told may be gone before it asks: then the others ask.
local BACKUP_MS = 1000

-- Those who wait ask at this time, if they would ask later.
local function tell(at)
  if at >= state.told then return end
  state.told = at
  call('PUBLISH', base, number(at))
end

-- To be called at the end of whatever may let something go.
local function wake(now)
  if call('ZCARD', asleep) == 0 or not isWhole() then return end
  if first(turns) then
    repeat
      local process = write('ZPOPMIN', asleep)[1]
    until not process or call('PUBLISH', base .. ':' .. process, 'ask') > 0
    if call('ZCARD', asleep) == 0 then return end
    tell(now + BACKUP_MS)
  end
  local at = nextAt()
  if at > -HUGE and at < HUGE then tell(at) end
end

local function fallAsleep(process, at)
  write('ZADD', asleep, serial(), process)
  if call('ZCARD', asleep) == 1 then
    state.told = at
  else
    state.told = math.max(state.told, at)
  end
end
