-- KEYS: events. ARGV, for each: our claim, the lease in milliseconds; 0 gives the claim back.
-- Gives for each 1 if it was ours.
local answers = {}
for at, key in ipairs(KEYS) do
  local lease = ARGV[2 * at]
  if redis.call('GET', key) ~= ARGV[2 * at - 1] then
    answers[at] = 0
  else
    if lease == '0' then redis.call('DEL', key) else redis.call('PEXPIRE', key, lease) end
    answers[at] = 1
  end
end
return answers
