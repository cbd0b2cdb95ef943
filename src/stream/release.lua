#!lua flags=allow-oom
-- Gives a shard back, if it is still held under this fence.
-- KEYS: m. ARGV: fence.
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'fence', 'owner')
return 1
