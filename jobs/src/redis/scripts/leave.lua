-- Deletes consumers that have no pending entries: with a consumer, the server would delete its
-- pending entries, and no worker would ever get these jobs.
--
-- KEYS: streams
-- ARGV: the beginning of the names of the consumers, the milliseconds since they were active

for _, stream in ipairs(KEYS) do
    local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, GROUP)
    if not consumers.err then
        for _, fields in ipairs(consumers) do
            local consumer = {}
            for at = 1, #fields, 2 do
                consumer[fields[at]] = fields[at + 1]
            end
            local name = consumer['name']
            if string.sub(name, 1, #ARGV[1]) == ARGV[1] and consumer['pending'] == 0
                and consumer['idle'] >= tonumber(ARGV[2]) then
                redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, name)
            end
        end
    end
end
return redis.status_reply('OK')
