-- KEYS: events. ARGV, for each: our claim, the lease in milliseconds.
-- Gives for each what stands there if it is another's, else an empty string.
local answers = {}
for at, key in ipairs(KEYS) do
  local claim = ARGV[2 * at - 1]
  local there = redis.call('GET', key)
  if there and there ~= claim then
    answers[at] = there
  else
    redis.call('SET', key, claim, 'PX', ARGV[2 * at])
    answers[at] = ''
  end
end
return answers
