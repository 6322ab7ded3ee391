-- Reads new entries of several functions, no more than there is room for. Returns for each
-- stream that had some its place in KEYS and its entries.
--
-- KEYS: for each function its two streams
-- ARGV: consumer, room, the number of the function that is read first

local room, taken = tonumber(ARGV[2]), {}

local function take(place)
    local reply = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1],
        'COUNT', room, 'STREAMS', KEYS[place], '>')
    if reply then
        taken[#taken + 1] = place - 1
        taken[#taken + 1] = reply[1][2]
        room = room - #reply[1][2]
    end
end

for count = 0, #KEYS / 2 - 1 do
    local place = (ARGV[3] + count) % (#KEYS / 2) * 2 + 1
    -- Most queues never have the second one.
    if room > 0 and redis.call('EXISTS', KEYS[place + 1]) == 1 then
        take(place + 1)
    end
    if room > 0 then
        take(place)
    end
end
return taken
