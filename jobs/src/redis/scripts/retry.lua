-- Returns a job whose attempt failed to the queue.
--
-- KEYS: the two streams, result, delayed, bodies
-- ARGV: worker, entry, attempts, delay in milliseconds

demand_remove(KEYS)
local due = 0
if tonumber(ARGV[4]) > 0 then
    demand_delay(KEYS[4], KEYS[5])
    due = now() + ARGV[4]
else
    demand_append(KEYS[1])
end
local answer, stream, entry = fence(KEYS, ARGV[2], ARGV[1], KEYS[3])
if answer == 'h' then
    local id, _, payload = entry_of(stream, entry)
    remove(stream, entry)
    if not id then
        return 'g'
    end
    if tonumber(ARGV[4]) > 0 then
        delay(KEYS[4], KEYS[5], id, due, ARGV[3], payload)
    else
        append(KEYS[1], id, tonumber(ARGV[3]), payload)
    end
end
return answer
