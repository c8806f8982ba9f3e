# Copyright (C) Conduit for nginx authors

# OPTIONS, and conduit_cors.

use strict;
use warnings;

use ConduitTest 'no_plan';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: OPTIONS needs no key
--- request eval
["OPTIONS /v1/images/generations/async", "OPTIONS /v1/tasks",
 "OPTIONS /health", "OPTIONS /metrics", "OPTIONS /conduit/worker/claim"]
--- error_code eval
[(204) x 5]
--- response_headers_like eval
["Allow: .*POST.*", "Allow: .*GET.*", "Allow: .*GET.*", "Allow: .*GET.*",
 "Allow: .*POST.*"]



=== TEST 2: off
--- key: acme
--- more_headers
Origin: https://app.example.com
--- request
GET /v1/tasks
--- response_headers
!Access-Control-Allow-Origin



=== TEST 3: a preflight of an origin that may
--- http_config
    conduit_cors https://app.example.com http://localhost:3000;
--- more_headers
Origin: http://localhost:3000
Access-Control-Request-Method: POST
Access-Control-Request-Headers: authorization, content-type
--- request
OPTIONS /v1/images/generations/async
--- error_code: 204
--- response_headers_like
Access-Control-Allow-Origin: http://localhost:3000
Access-Control-Allow-Methods: .*POST.*
Access-Control-Allow-Headers: (?i).*authorization.*
Vary: .*Origin.*



=== TEST 4: replies and errors to it
--- http_config
    conduit_cors https://app.example.com;
--- more_headers
Origin: https://app.example.com
--- request
GET /v1/tasks
--- error_code: 401
--- response_headers_like
Access-Control-Allow-Origin: https://app.example.com
Access-Control-Expose-Headers: (?i).*retry-after.*



=== TEST 5: another origin
--- http_config
    conduit_cors https://app.example.com;
--- key: acme
--- more_headers
Origin: https://app.example.com.evil.example
--- request
GET /v1/tasks
--- response_headers
!Access-Control-Allow-Origin



=== TEST 6: any origin
--- http_config
    conduit_cors *;
--- key: acme
--- more_headers
Origin: https://anything.example
--- request
GET /v1/tasks
--- response_headers
Access-Control-Allow-Origin: *



=== TEST 7: switched off further in
--- http_config
    conduit_cors *;
--- config
    location /v1/tasks {
        conduit_cors off;
        conduit_tasks;
    }
--- key: acme
--- more_headers
Origin: https://anything.example
--- request
GET /v1/tasks
--- response_headers
!Access-Control-Allow-Origin
