#!lua
-- Writes what the owner of a shard saw of topics, if it still owns it. Not flagged allow-oom: what
-- is observed must take no memory where there is none.
-- KEYS: m, tp. ARGV: fence, how many fields to drop, these, then fields and values to set.
local meta, topics = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'fence') ~= ARGV[1] then return 0 end
local drops = tonumber(ARGV[2])
-- The caller keeps both far below the 7,999 values that Lua can unpack.
if drops > 0 then redis.call('HDEL', topics, unpack(ARGV, 3, 2 + drops)) end
if #ARGV > 2 + drops then redis.call('HSET', topics, unpack(ARGV, 3 + drops)) end
return 1
