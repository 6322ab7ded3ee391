-- Checks that the user may do all that a worker does with the jobs of one function, so that no job
-- runs whose end could not be stored.
--
-- The keys are arguments, because the server refuses a script whole, and without the name of the
-- key, if the user may not use one of its KEYS. The script uses none of them.
--
-- ARGV: the two streams, delayed, bodies, a result, dead, letters

local function demand_read(stream)
    local arguments = {'GROUP', GROUP, '', 'STREAMS', stream, '>'}
    if redis.acl_check_cmd and not redis.acl_check_cmd('XREADGROUP', unpack(arguments)) then
        refuse('XREADGROUP', stream)
    end
end

now()
demand_remove(ARGV)
for at = 1, 2 do
    demand_append(ARGV[at])
    demand_read(ARGV[at])
    demand('EXISTS', ARGV[at])
    demand('XPENDING', ARGV[at], GROUP)
    demand('XRANGE', ARGV[at], '0-0', '0-0')
    demand('XCLAIM', ARGV[at], GROUP, '', '0', '0-0')
end
demand_delay(ARGV[3], ARGV[4])
demand('ZREM', ARGV[3], '')
demand('HDEL', ARGV[4], '')
demand_store(ARGV[5])
demand_delay(ARGV[6], ARGV[7])
return redis.status_reply('OK')
