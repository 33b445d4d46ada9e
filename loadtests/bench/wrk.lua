-- Sends one request over and over and writes what came of it as one line of JSON.
wrk.method = "POST"
wrk.path = os.getenv("LOADTESTS_PATH")
wrk.headers["Content-Type"] = os.getenv("LOADTESTS_CONTENT_TYPE")
if os.getenv("LOADTESTS_JSON_LENGTH") ~= "" then
  wrk.headers["Inference-Header-Content-Length"] = os.getenv("LOADTESTS_JSON_LENGTH")
end
if os.getenv("LOADTESTS_AUTHORIZATION") ~= "" then
  wrk.headers["Authorization"] = os.getenv("LOADTESTS_AUTHORIZATION")
end
local file = io.open(os.getenv("LOADTESTS_BODY"), "rb")
if os.getenv("LOADTESTS_SEVERAL") then
  local bodies, at = {}, 0
  for line in file:lines() do bodies[#bodies + 1] = line end
  function request()
    at = at % #bodies + 1
    return wrk.format(nil, nil, nil, bodies[at])
  end
else
  wrk.body = file:read("*a")
end
file:close()

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
