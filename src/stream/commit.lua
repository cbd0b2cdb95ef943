#!lua flags=allow-oom
-- Writes what came of a batch, or nothing. All checks stand before the first write. Every write
-- is absolute: running the script twice leaves what running it once leaves.
--
-- KEYS: m, in, dl; then a key per hash that changes, the states last; then keys to remove.
-- ARGV: 1 fence (and consumer), 2 token, 3 token of the call before, 4 first id of the oldest
--       uncommitted batch or '', 5 how many hashes, 6 fields to drop from m, 7 values for m,
--       8 values for dead letters (10 each), 9 ids to acknowledge, 10 id to trim up to or '',
--       11 how many dead letters stay. From 12 on: per hash how many fields to drop and how many
--       values to set, then these; then what 6 to 9 count, in this order.
local fence, token, before, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local meta, stream, letters = KEYS[1], KEYS[2], KEYS[3]
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

local at = 12
local function write_all(command, key, count)
  local last = at + count - 1
  while at <= last do
    local to = math.min(at + UNPACK_MAX - 1, last)
    redis.call(command, key, unpack(ARGV, at, to))
    at = to + 1
  end
end

local hashes = tonumber(ARGV[5])
for n = 4 + hashes, #KEYS do
  redis.call('UNLINK', KEYS[n])
end
for n = 4, 3 + hashes do
  local drops, sets = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  write_all('HDEL', KEYS[n], drops)
  write_all('HSET', KEYS[n], sets)
end

redis.call('HSET', meta, 'token', token)
write_all('HDEL', meta, tonumber(ARGV[6]))
write_all('HSET', meta, tonumber(ARGV[7]))
for _ = 1, tonumber(ARGV[8]) / 10 do
  redis.call('XADD', letters, 'MAXLEN', ARGV[11], '*', unpack(ARGV, at, at + 9))
  at = at + 10
end
local acknowledged = tonumber(ARGV[9])
if acknowledged > 0 then
  redis.call('XACK', stream, 'aggregate', unpack(ARGV, at, at + acknowledged - 1))
end
if ARGV[10] ~= '' then redis.call('XTRIM', stream, 'MINID', ARGV[10]) end
return 'written'
