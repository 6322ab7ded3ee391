-- Puts jobs of one function back that this worker has not started, before most of the jobs that
-- wait, with no attempt counted. Returns a letter for each.
--
-- KEYS: the two streams, then the results
-- ARGV: worker, then the entry of each job

demand_remove(KEYS)
local target, answers = early(KEYS), {}
demand_append(target)
for number = 1, #KEYS - 2 do
    local answer, stream, entry = fence(KEYS, ARGV[number + 1], ARGV[1], KEYS[number + 2])
    if answer == 'h' then
        local id, attempts, payload = entry_of(stream, entry)
        if id then
            append(target, id, attempts, payload)
        end
        remove(stream, entry)
    end
    answers[number] = answer
end
return table.concat(answers)
