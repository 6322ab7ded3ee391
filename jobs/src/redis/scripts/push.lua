-- Stores jobs of one function. Returns, for each job whose key was stored before, its place in
-- the arguments and the id of the first job with this key.
--
-- KEYS: functions, stream, delayed, bodies, then the keys of those jobs that have one
-- ARGV: function, seconds that a key is kept, then for each job: id, the place of its key in
-- KEYS or 0, delay in milliseconds, payload

demand('SADD', KEYS[1], '')
demand_append(KEYS[2])
local time = 0
for at = 3, #ARGV, 4 do
    local key, wait = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    if key > 0 then
        demand_store(KEYS[key])
        demand('GET', KEYS[key])
    end
    if wait > 0 then
        demand_delay(KEYS[3], KEYS[4])
        time = now()
    end
end
redis.call('SADD', KEYS[1], ARGV[1])
local first = {}
for at = 3, #ARGV, 4 do
    local id, key, wait, payload = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
    if key > 0 and not redis.call('SET', KEYS[key], id, 'NX', 'EX', ARGV[2]) then
        first[#first + 1] = (at - 3) / 4
        first[#first + 1] = redis.call('GET', KEYS[key])
    elseif wait > 0 then
        delay(KEYS[3], KEYS[4], id, time + wait, 0, payload)
    else
        append(KEYS[2], id, 0, payload)
    end
end
return first
