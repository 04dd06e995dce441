-- KEYS: the event. ARGV: our claim, the lease in milliseconds.
-- Gives what stands there if it is another's, else an empty string.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
