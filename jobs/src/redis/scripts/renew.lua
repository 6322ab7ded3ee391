-- Begins the leases of jobs of one function again. Returns a letter for each.
--
-- KEYS: the two streams, then the results
-- ARGV: worker, then for each job: entry, consumer

local answers = {}
for number = 1, #KEYS - 2 do
    local name, consumer = ARGV[number * 2], ARGV[number * 2 + 1]
    local answer, stream, entry = fence(KEYS, name, ARGV[1], KEYS[number + 2])
    if answer == 'h' then
        redis.call('XCLAIM', stream, GROUP, consumer, 0, entry, 'JUSTID')
    end
    answers[number] = answer
end
return table.concat(answers)
