# Copyright (C) Conduit for nginx authors

# conduit_rate, and a key's own rate.

use strict;
use warnings;

use Digest::SHA 'sha256_hex';
use ConduitTest 'no_plan';

our $Free = "conduit_key free { secret sha256:" . sha256_hex("condt_free")
            . "; rate off; }";
our $Wide = "conduit_key wide { secret sha256:" . sha256_hex("condt_wide")
            . "; rate 60r/m burst=9; }";

no_shuffle();
run_tests();

__DATA__

=== TEST 1: what a key has left
--- http_config
    conduit_rate 6r/m burst=3;
--- key: acme
--- pipelined_requests eval
[("GET /v1/tasks") x 4]
--- error_code eval
[200, 200, 200, 429]
--- response_headers_like eval
["RateLimit-Policy: \"default\";q=3;w=30
RateLimit: \"default\";r=2;t=10
X-RateLimit-Limit: 3
X-RateLimit-Remaining: 2
X-RateLimit-Reset: 10",
 "X-RateLimit-Remaining: 1", "X-RateLimit-Remaining: 0",
 "X-RateLimit-Remaining: 0
Retry-After: (?:[89]|10)
retry-after-ms: \\d+"]
--- response_body_like eval
["list", "list", "list",
 '"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"']



=== TEST 2: who is not let in takes nothing
--- http_config
    conduit_rate 60r/m burst=1;
--- request eval
["GET /v1/tasks", "OPTIONS /v1/tasks", "GET /health", "GET /metrics"]
--- error_code eval
[401, 204, 200, 200]



=== TEST 3: no limit, no headers
--- http_config
    conduit_rate off;
--- key: acme
--- pipelined_requests eval
[("GET /v1/tasks") x 200]
--- error_code eval
[(200) x 200]
--- response_headers eval
[("!RateLimit\n!RateLimit-Policy\n!X-RateLimit-Limit") x 200]



=== TEST 4: a key's own rate wins, "off" included
--- http_config eval
"conduit_rate 60r/m burst=1;\n$::Free"
--- key: free
--- pipelined_requests eval
[("GET /v1/tasks") x 5]
--- error_code eval
[(200) x 5]



=== TEST 5: over a location's "off" as well
--- http_config eval: $::Wide
--- config
    location /v1/tasks {
        conduit_rate off;
        conduit_tasks;
    }
--- key: wide
--- request
GET /v1/tasks
--- response_headers
X-RateLimit-Limit: 9



=== TEST 6: levels
--- config
    location /v1/tasks {
        conduit_rate 10r/s burst=20;
        conduit_tasks;
    }
--- key: acme
--- request
GET /v1/tasks
--- response_headers
RateLimit-Policy: "default";q=20;w=2
