-- Removes a dead letter. Returns whether there was one.
--
-- KEYS: dead, letters
-- ARGV: id

demand('ZREM', KEYS[1], '')
demand('HDEL', KEYS[2], '')
local id = ARGV[1]
redis.call('HDEL', KEYS[2], id .. ':f', id .. ':a', id .. ':e', id .. ':p')
return redis.call('ZREM', KEYS[1], id)
