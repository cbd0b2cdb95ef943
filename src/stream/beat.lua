#!lua flags=allow-oom
-- Raises a node's counter, also in a full server: a full server must still be drained.
-- KEYS: nodes. ARGV: node, its counter and roles. Answers all nodes.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGETALL', KEYS[1])
