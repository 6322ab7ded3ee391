-- Counts the jobs: the ones that wait for a worker, the leased ones, the ones that wait for
-- their time, and the dead letters.
--
-- KEYS: dead, then for each function: its two streams, delayed

local unread, leased, delayed = 0, 0, 0
for at = 2, #KEYS, 3 do
    for stream = at, at + 1 do
        local length, new = redis.call('XLEN', KEYS[stream]), waiting(KEYS[stream])
        unread, leased = unread + new, leased + length - new
    end
    delayed = delayed + redis.call('ZCARD', KEYS[at + 2])
end
return {unread, leased, delayed, redis.call('ZCARD', KEYS[1])}
