-- Moves a job to the dead letters. Its outcome is its error.
--
-- KEYS: the two streams, result, dead, letters
-- ARGV: worker, entry, attempts, function, error, seconds that a result is kept, channel, outcome

demand_remove(KEYS)
demand_delay(KEYS[4], KEYS[5])
demand_store(KEYS[3])
-- Before anything is changed: the user may not be allowed to read it.
local time = now()
local answer, stream, entry = fence(KEYS, ARGV[2], ARGV[1], KEYS[3])
if answer == 'h' then
    local id, _, payload = entry_of(stream, entry)
    remove(stream, entry)
    if not id then
        return 'g'
    end
    redis.call('ZADD', KEYS[4], string.format('%.0f', time), id)
    redis.call('HSET', KEYS[5], id .. ':f', ARGV[4], id .. ':a', ARGV[3],
        id .. ':e', ARGV[5], id .. ':p', payload)
    publish(ARGV[7], store(KEYS[3], ARGV[6], id, ARGV[8]), id)
end
return answer
