#!lua flags=allow-oom
-- Takes a shard over, if its fence is still the one that was seen.
-- KEYS: m, in. ARGV: fence seen or '', new fence, node, generation of a shard without one, group.
local meta, stream = KEYS[1], KEYS[2]
local seen, new, node, generation, group = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local held = redis.call('HGET', meta, 'fence') or ''
-- Mine already: the reply to the first try was lost.
if held ~= seen and held ~= new then return 0 end

local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end

-- Deleting a consumer drops what is pending for it, so only those with nothing go.
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local consumer = {}
  for at = 1, #fields, 2 do consumer[fields[at]] = fields[at + 1] end
  if consumer.pending == 0 and consumer.name ~= new then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
  end
end

redis.call('HSETNX', meta, 'generation', generation)
redis.call('HSET', meta, 'fence', new, 'owner', node)
return 1
