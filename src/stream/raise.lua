#!lua flags=allow-oom
-- Raises the format of a data set when it is still the one before, also in a full server: nothing
-- grows. KEYS: configuration. ARGV: the format before, the one to be. Answers the one in force.
if redis.call('HGET', KEYS[1], 'format') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'format', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'format')
