-- Copyright (C) Conduit for nginx authors

-- Sends what a file holds, in turn: each line is METHOD, PATH, KEY, ETAG and
-- BODY, separated by tabs, "-" for none.

local requests = {}
local next_one = 0

function init(args)
    for line in io.lines(args[1]) do
        local method, path, key, etag, body =
            line:match("^(%S+)\t(%S+)\t(%S+)\t(%S+)\t(.*)$")
        local headers = {}

        if key ~= "-" then
            headers["Authorization"] = "Bearer " .. key
        end

        if etag ~= "-" then
            headers["If-None-Match"] = etag
        end

        if body == "-" then
            body = nil
        end

        requests[#requests + 1] = wrk.format(method, path, headers, body)
    end
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end

function done(summary, latency)
    io.write(string.format("requests %d errors %d %d p50 %d\n",
                           summary.requests,
                           summary.errors.status,
                           summary.errors.connect + summary.errors.read
                           + summary.errors.write + summary.errors.timeout,
                           latency:percentile(50)))
end
