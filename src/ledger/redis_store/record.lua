-- KEYS: the event. ARGV: our host, how many seconds ago it was delivered, for how many seconds more that is kept.
-- Wins over every claim. Gives the record of another host that has delivered the event too, else an empty string.
local there = redis.call('GET', KEYS[1])
if there and string.sub(there, 1, 2) == 'd:' then
  local host = string.match(there, '^d:%d+:(.*)$')
  if host ~= ARGV[1] then return there end
end
local now = tonumber(redis.call('TIME')[1])
redis.call('SET', KEYS[1], string.format('d:%d:%s', now - tonumber(ARGV[2]), ARGV[1]), 'EX', ARGV[3])
return ''
