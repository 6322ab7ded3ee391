-- Puts a dead letter of this function back in the queue. Returns whether there was one.
--
-- KEYS: functions, stream, dead, letters, result
-- ARGV: id, function

demand('SADD', KEYS[1], '')
demand_append(KEYS[2])
demand('ZREM', KEYS[3], '')
demand('HDEL', KEYS[4], '')
demand('DEL', KEYS[5])
local id = ARGV[1]
local letter = redis.call('HMGET', KEYS[4], id .. ':f', id .. ':p')
if letter[1] ~= ARGV[2] or not letter[2] then
    return 0
end
redis.call('SADD', KEYS[1], ARGV[2])
append(KEYS[2], id, 0, letter[2])
redis.call('ZREM', KEYS[3], id)
redis.call('HDEL', KEYS[4], id .. ':f', id .. ':a', id .. ':e', id .. ':p')
-- The next outcome is another one.
redis.call('DEL', KEYS[5])
return 1
