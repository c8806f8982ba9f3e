# Copyright (C) Conduit for nginx authors

# conduit_health and conduit_metrics.

use strict;
use warnings;

use ConduitTest 'no_plan';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: health, to anybody
--- request
GET /health
--- response_headers
Content-Type: application/json
--- response_body_like eval
qr/^\{"status":"Healthy","timestamp":"[^"]+Z".*"checks":\{/



=== TEST 2: its parts
--- config
    location = /a { conduit_health signalr; }
    location = /b { conduit_health webhooks; }
    location = /c { conduit_health providers; }
    location = /d { conduit_health store; }
--- request eval
["GET /a", "GET /b", "GET /c", "GET /d"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
[('^\{"status":"Healthy","timestamp":') x 4]



=== TEST 3: other methods
--- request eval
["POST /health\n{}", "POST /metrics\n{}", "HEAD /health"]
--- error_code eval
[405, 405, 200]



=== TEST 4: metrics
--- request
GET /metrics
--- response_headers
Content-Type: text/plain; version=0.0.4
--- response_body_like eval
qr/^conduit_zone_size_bytes 2097152$/m



=== TEST 5: requests are counted by endpoint and code
--- key: acme
--- pipelined_requests eval
["GET /v1/tasks", "GET /v1/tasks?limit=0", "GET /metrics"]
--- error_code eval
[200, 400, 200]
--- response_body_like eval
["list", "limit",
 '(?s)conduit_http_requests_total\{endpoint="list",code="200"\} [1-9].*'
 . 'conduit_http_requests_total\{endpoint="list",code="400"\} [1-9]']
