#!lua flags=allow-oom
-- Writes what came of a batch, or nothing. All checks stand before the first write. Every write
-- is absolute: running the script twice leaves what running it once leaves.
--
-- KEYS: m, in, st, ix, at, dl; then a key per block; then a key per index of spans.
-- ARGV: 1 fence (and consumer), 2 token, 3 token of the call before, 4 first id of the oldest
--       uncommitted batch or '', 5-13 how many of: blocks, indexes of spans, values for st,
--       values for ix, values for at, values for m, fields to drop from m, values for dead
--       letters (10 each), ids to acknowledge; 14 id to trim up to or '', 15 how many dead
--       letters stay. From 16 on they follow, in this order.
local fence, token, before, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local meta, stream = KEYS[1], KEYS[2]
-- Lua refuses to unpack 8,000 values, after earlier writes of the same script have been made.
local UNPACK_MAX = 7000

local held = redis.call('HMGET', meta, 'fence', 'token')
if held[2] == token then return 'done' end
if held[1] ~= fence then return 'fenced' end
if (held[2] or '') ~= before then return 'conflict' end

-- Entries that lie with anybody else were delivered to an owner that is gone. The lowest id must
-- be the one that my oldest batch begins with, or something before it was never folded.
local pending = redis.call('XPENDING', stream, 'aggregate')
if pending[1] == 0 then
  if oldest ~= '' then return 'pending' end
else
  if pending[2] ~= oldest then return 'pending' end
  for _, consumer in ipairs(pending[4]) do
    if consumer[1] ~= fence then return 'pending' end
  end
end

local blocks, spans = tonumber(ARGV[5]), tonumber(ARGV[6])
local at = 16

-- A block that is shorter than it was (evicted, expired) would be filled with zeros.
for n = 1, blocks do
  local offset = tonumber(ARGV[at + 3 * (n - 1)])
  if offset > 0 and redis.call('STRLEN', KEYS[6 + n]) < offset then return 'reload' end
end

local function write_all(command, key, count)
  local last = at + count - 1
  while at <= last do
    local to = math.min(at + UNPACK_MAX - 1, last)
    redis.call(command, key, unpack(ARGV, at, to))
    at = to + 1
  end
end

for n = 1, blocks do
  local key = KEYS[6 + n]
  redis.call('SETRANGE', key, ARGV[at], ARGV[at + 1])
  if ARGV[at + 2] ~= '' then redis.call('PEXPIREAT', key, ARGV[at + 2]) end
  at = at + 3
end
for n = 1, spans do
  local key = KEYS[6 + blocks + n]
  local expires, sets, drops = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  write_all('HSET', key, sets)
  write_all('HDEL', key, drops)
  redis.call('PEXPIREAT', key, expires)
end
-- The states come last of what belongs to a series.
local values_of_states = tonumber(ARGV[7])
local states_at = at
at = at + values_of_states
write_all('HSET', KEYS[4], tonumber(ARGV[8]))
write_all('HSET', KEYS[5], tonumber(ARGV[9]))
local behind = at
at = states_at
write_all('HSET', KEYS[3], values_of_states)
at = behind

redis.call('HSET', meta, 'token', token)
write_all('HSET', meta, tonumber(ARGV[10]))
write_all('HDEL', meta, tonumber(ARGV[11]))
local letters = tonumber(ARGV[12])
for _ = 1, letters / 10 do
  redis.call('XADD', KEYS[6], 'MAXLEN', ARGV[15], '*', unpack(ARGV, at, at + 9))
  at = at + 10
end
local acknowledged = tonumber(ARGV[13])
if acknowledged > 0 then
  redis.call('XACK', stream, 'aggregate', unpack(ARGV, at, at + acknowledged - 1))
end
if ARGV[14] ~= '' then redis.call('XTRIM', stream, 'MINID', ARGV[14]) end
return 'written'
