-- The beginning of every script.

local GROUP = 'workers'

local function refuse(command, key)
    error({err = 'NOPERM this user may not run ' .. command .. ' on the key ' .. key})
end

-- Ends the script if the user may not run this command on this key. A script calls it before it
-- changes anything: otherwise it would end in the middle, with a job removed from one place and
-- not stored in the other. Servers other than Redis 7 may not be able to tell.
local function demand(command, key, ...)
    if redis.acl_check_cmd and not redis.acl_check_cmd(command, key, ...) then
        refuse(command, key)
    end
end

local function demand_append(stream)
    demand('XADD', stream, '*', 'i', '')
end

local function demand_remove(streams)
    for at = 1, 2 do
        demand('XACK', streams[at], GROUP, '0-0')
        demand('XDEL', streams[at], '0-0')
    end
end

local function demand_store(result)
    demand('SET', result, '', 'EX', '1')
end

local function demand_delay(delayed, bodies)
    demand('ZADD', delayed, '0', '')
    demand('HSET', bodies, '', '')
end

-- Returns the stream of an entry and its id there. An `f` before the id stands for the second
-- one of the two streams of a function, whose jobs come before those of the first one.
local function place_of(streams, entry)
    if string.sub(entry, 1, 1) == 'f' then
        return streams[2], string.sub(entry, 2)
    end
    return streams[1], entry
end

-- Returns the id, the attempts before and the payload of an entry of a stream; nil if there
-- is no such entry.
local function entry_of(stream, entry)
    local found = redis.call('XRANGE', stream, entry, entry)[1]
    if not found then
        return nil
    end
    local fields = {}
    for at = 1, #found[2], 2 do
        fields[found[2][at]] = found[2][at + 1]
    end
    return fields['i'], tonumber(fields['a'] or '0'), fields['p']
end

-- Appends a job to a stream.
local function append(stream, id, attempts, payload)
    if attempts > 0 then
        redis.call('XADD', stream, '*', 'i', id, 'a', attempts, 'p', payload)
    else
        redis.call('XADD', stream, '*', 'i', id, 'p', payload)
    end
end

-- Returns how many entries of a stream are not delivered yet. Others are deleted when they end.
local function waiting(stream)
    local pending = redis.pcall('XPENDING', stream, GROUP)
    local length = redis.call('XLEN', stream)
    return pending.err and length or math.max(length - pending[1], 0)
end

-- Returns the stream for a job that should not be behind all jobs that came after it. A worker
-- blocks only in reads of the first one, while that is empty.
local function early(streams)
    if waiting(streams[1]) < 100 then
        return streams[1]
    end
    if redis.call('EXISTS', streams[2]) == 0 then
        redis.call('XGROUP', 'CREATE', streams[2], GROUP, '0', 'MKSTREAM')
    end
    return streams[2]
end

-- Removes an entry from its stream and from the list of pending entries.
local function remove(stream, entry)
    redis.call('XACK', stream, GROUP, entry)
    redis.call('XDEL', stream, entry)
end

-- Returns 'h' if a consumer of this worker has the entry, 'g' if its job has a result, or 't';
-- and the stream of the entry and its id there.
local function fence(streams, name, worker, result)
    local stream, entry = place_of(streams, name)
    local pending = redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)
    if pending.err and string.sub(pending.err, 1, 7) ~= 'NOGROUP' then
        error(pending.err)
    end
    if pending[1] and string.sub(pending[1][2], 1, #worker) == worker then
        return 'h', stream, entry
    end
    return redis.call('EXISTS', result) == 1 and 'g' or 't'
end

-- Stores the outcome of a job. Returns the id of the producer, which is the first part of the
-- id of the job.
local function store(result, seconds, id, outcome)
    redis.call('SET', result, outcome, 'EX', seconds)
    return string.match(id, '^[^-]*')
end

-- Publishes the ids of jobs that have an outcome. If this worker may not, those who wait find
-- it later by themselves.
local function publish(channel, producer, ids)
    redis.pcall('PUBLISH', channel .. producer, ids)
end

-- Returns the time of the server in milliseconds. A script calls it before it changes anything.
local function now()
    local time = redis.pcall('TIME')
    if time.err then
        error({err = 'NOPERM this user may not run TIME: ' .. time.err})
    end
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Stores a job that waits for its time.
local function delay(delayed, bodies, id, due, attempts, payload)
    redis.call('ZADD', delayed, string.format('%.0f', due), id)
    redis.call('HSET', bodies, id .. ':a', attempts, id .. ':p', payload)
end

