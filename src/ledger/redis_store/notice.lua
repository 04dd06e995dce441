-- KEYS: the notice, the sender's address, the sender's domain, all notices, the address of the person behind the sender.
-- ARGV: what to do; the event; HOST:NONCE; then
--   reserve: the lease in milliseconds, per domain and hour, in total and hour
--   cancel:  nothing more
--   confirm: how many seconds ago it was sent, for how many seconds more that is kept, and the sender's interval
-- The sorted sets are ordered by when a notice ceases to count, in milliseconds: a reservation by the end of its lease.
local HOUR = 3600000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ours = 'r:' .. ARGV[3]

local function count_until(moment)
  for at = 3, 4 do
    redis.call('ZADD', KEYS[at], string.format('%d', moment), ARGV[2])
    redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', string.format('%d', now))
    redis.call('PEXPIRE', KEYS[at], HOUR)
  end
end

if ARGV[1] == 'reserve' then
  local notice = redis.call('GET', KEYS[1])
  if notice and string.sub(notice, 1, 2) == 's:' then return {'sent', notice} end
  if notice == ours then return {'granted', ''} end
  if notice then return {'in-flight', notice} end
  for _, at in ipairs({2, 5}) do
    local sender = redis.call('GET', KEYS[at])
    if sender and sender ~= ours then
      if string.sub(sender, 1, 2) ~= 's:' then sender = 's:' .. time[1] end
      return {'too-soon', sender}
    end
  end
  for at = 3, 4 do
    redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', string.format('%d', now))
  end
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[5]) then return {'domain', ''} end
  if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[6]) then return {'total', ''} end
  redis.call('SET', KEYS[1], ours, 'PX', ARGV[4])
  redis.call('SET', KEYS[2], ours, 'PX', ARGV[4])
  count_until(now + tonumber(ARGV[4]))
  return {'granted', ''}
end

if ARGV[1] == 'cancel' then
  if redis.call('GET', KEYS[1]) ~= ours then return {'gone', ''} end
  redis.call('DEL', KEYS[1])
  if redis.call('GET', KEYS[2]) == ours then redis.call('DEL', KEYS[2]) end
  count_until(0)
  return {'cancelled', ''}
end

local sent = string.format('s:%d', time[1] - tonumber(ARGV[4]))
redis.call('SET', KEYS[1], sent, 'EX', ARGV[5])
local left = tonumber(ARGV[6]) - tonumber(ARGV[4])
if left > 0 then
  redis.call('SET', KEYS[2], sent, 'EX', string.format('%d', left))
elseif redis.call('GET', KEYS[2]) == ours then
  redis.call('DEL', KEYS[2])
end
count_until(now + HOUR - tonumber(ARGV[4]) * 1000)
return {'confirmed', ''}
