-- KEYS: events. ARGV, for each: our host, how many seconds ago it was delivered, for how many seconds more that is kept.
-- Wins over every claim. Gives for each the record of another host that has delivered it too, else an empty string.
local now = tonumber(redis.call('TIME')[1])
local answers = {}
for at, key in ipairs(KEYS) do
  local host, age, left = ARGV[3 * at - 2], ARGV[3 * at - 1], ARGV[3 * at]
  local there = redis.call('GET', key)
  local by = there and string.match(there, '^d:%d+:(.*)$')
  if by and by ~= host then
    answers[at] = there
  else
    redis.call('SET', key, string.format('d:%d:%s', now - tonumber(age), host), 'EX', left)
    answers[at] = ''
  end
end
return answers
