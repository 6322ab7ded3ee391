-- Moves the jobs that are due to their streams, and puts jobs whose leases have ended back. Both
-- are bounded, so that the server is not kept long. Returns the milliseconds until the next job is
-- due, or -1, and then for each stream the entry after which the search for ended leases
-- continues, or '-' for the first.
--
-- KEYS: for each function: its two streams, delayed, bodies
-- ARGV: the most jobs, the lease of consumers without one in their names in milliseconds, then
-- for each of the streams the entry to continue at

local most, soonest = tonumber(ARGV[1]), -1
local answer = {}

local function is_soonest(milliseconds)
    milliseconds = math.max(milliseconds, 0)
    if soonest < 0 or milliseconds < soonest then
        soonest = milliseconds
    end
end

local function move_due(stream, delayed, bodies)
    local time = now()
    local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', string.format('%.0f', time), 'LIMIT', 0, most)
    for _, id in ipairs(ids) do
        local body = redis.call('HMGET', bodies, id .. ':a', id .. ':p')
        if body[2] then
            append(stream, id, tonumber(body[1]), body[2])
        end
        redis.call('ZREM', delayed, id)
        redis.call('HDEL', bodies, id .. ':a', id .. ':p')
    end
    local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if first[2] then
        is_soonest(first[2] - time)
    end
end

local function end_leases(stream, start, target)
    local pending = redis.call('XPENDING', stream, GROUP, start, '+', most)
    for _, lease in ipairs(pending) do
        local entry, consumer, idle, deliveries = unpack(lease)
        if idle >= tonumber(string.match(consumer, ':(%d+)$') or ARGV[2]) then
            local id, attempts, payload = entry_of(stream, entry)
            if id then
                append(target, id, attempts + deliveries, payload)
            end
            remove(stream, entry)
        end
    end
    return #pending == most and '(' .. pending[most][1] or '-'
end

-- Moves the jobs of the second stream to the first one, if that is empty: workers may block in
-- reads of it.
local function move_early(streams)
    if waiting(streams[1]) > 0 or waiting(streams[2]) == 0 then
        return
    end
    local reply = redis.call('XREADGROUP', 'GROUP', GROUP, 'keeper', 'COUNT', most, 'STREAMS', streams[2], '>')
    for _, found in ipairs(reply and reply[1][2] or {}) do
        local id, attempts, payload = entry_of(streams[2], found[1])
        if id then
            append(streams[1], id, attempts, payload)
        end
        remove(streams[2], found[1])
    end
end

for place = 1, #KEYS, 4 do
    local streams, cursor = {KEYS[place], KEYS[place + 1]}, 3 + (place - 1) / 2
    demand_remove(streams)
    demand_append(streams[1])
    demand('ZREM', KEYS[place + 2], '')
    demand('HDEL', KEYS[place + 3], '')
    move_due(KEYS[place], KEYS[place + 2], KEYS[place + 3])
    local target = early(streams)
    demand_append(target)
    answer[#answer + 1] = end_leases(streams[1], ARGV[cursor], target)
    if redis.call('EXISTS', streams[2]) == 1 then
        answer[#answer + 1] = end_leases(streams[2], ARGV[cursor + 1], target)
        move_early(streams)
    else
        answer[#answer + 1] = '-'
    end
end
table.insert(answer, 1, soonest)
return answer
