-- Stores the results of jobs of one function, and removes the jobs. Returns a letter for each.
--
-- KEYS: the two streams, then the results
-- ARGV: worker, seconds that a result is kept, channel, then for each job: entry, id, outcome

demand_remove(KEYS)
for number = 3, #KEYS do
    demand_store(KEYS[number])
end
local answers, finished = {}, {}
for number = 1, #KEYS - 2 do
    local at = 1 + number * 3
    local id, result = ARGV[at + 1], KEYS[number + 2]
    local answer, stream, entry = fence(KEYS, ARGV[at], ARGV[1], result)
    if answer == 'h' then
        remove(stream, entry)
        local producer = store(result, ARGV[2], id, ARGV[at + 2])
        finished[producer] = (finished[producer] and finished[producer] .. ' ' or '') .. id
    end
    answers[number] = answer
end
for producer, ids in pairs(finished) do
    publish(ARGV[3], producer, ids)
end
return table.concat(answers)
