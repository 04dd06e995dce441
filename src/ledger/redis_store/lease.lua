-- KEYS: the event. ARGV: our claim, the lease in milliseconds; 0 gives the claim back.
-- Gives 1 if it was ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
