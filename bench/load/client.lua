-- wrk's part: a fixed request (or one for each line of a file, in turn), and the counts as JSON at the end.
-- Arguments: NAME=VALUE with the names method, body_bytes, body (a file), targets, header (may repeat, "Name: value").

local requests = {}

function init(args)
  local targets
  for _, argument in ipairs(args) do
    local name, value = argument:match("^([%w_]+)=(.*)$")
    if name == "method" then
      wrk.method = value
    elseif name == "body_bytes" then
      wrk.body = string.rep("x", tonumber(value))
    elseif name == "body" then
      local file = assert(io.open(value, "rb"))
      wrk.body = file:read("*a")
      file:close()
    elseif name == "targets" then
      targets = value
    elseif name == "header" then
      local field, text = value:match("^([^:]+):%s*(.*)$")
      wrk.headers[field] = text
    end
  end
  -- Without targets no `request` is defined, and wrk sends one request that it formatted once.
  if targets then
    for line in io.lines(targets) do
      local host, path = line:match("^(%S+) (%S+)$")
      wrk.headers["Host"] = host
      requests[#requests + 1] = wrk.format(wrk.method, path)
    end
    local at = 0
    request = function()
      at = at % #requests + 1
      return requests[at]
    end
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"statuses":%d,"failed":%d,"p50_us":%.0f,"p99_us":%.0f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
