# Copyright (C) Conduit for nginx authors

# What every reply has: X-Request-Id, JSON errors, connections kept.

use strict;
use warnings;

use ConduitTest 'no_plan';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a request id of the client's
--- key: acme
--- more_headers
X-Request-Id: abc-1.2_3:4
--- request
GET /v1/tasks
--- response_headers
X-Request-Id: abc-1.2_3:4



=== TEST 2: one that is not sane is replaced, none is made up
--- key: acme
--- request eval
[("GET /v1/tasks") x 3]
--- more_headers eval
["X-Request-Id: a b", "X-Request-Id: " . ("x" x 129), "X-Other: 1"]
--- response_headers_like eval
[('X-Request-Id: [A-Za-z0-9._:-]{8,64}') x 3]



=== TEST 3: errors have it, too
--- more_headers
X-Request-Id: abc
--- request
GET /v1/tasks
--- error_code: 401
--- response_headers
X-Request-Id: abc
Content-Type: application/json



=== TEST 4: a connection goes on after refusals with a body
--- key: acme
--- pipelined_requests eval
["POST /v1/images/generations/x/y\nsome body", "POST /v1/tasks\nanother",
 "POST /v1/images/generations/async\n{}", "GET /v1/tasks"]
--- error_code eval
[404, 405, 400, 200]



=== TEST 5: Expect: 100-continue
--- raw_request eval
my $body = '{"model":"sandbox-image","prompt":"a"}';
"POST /v1/images/generations/async HTTP/1.1\r
Host: localhost\r
Connection: close\r
Authorization: Bearer condt_acme\r
Expect: 100-continue\r
Content-Length: " . length($body) . "\r
\r
$body"
--- ignore_response
--- access_log
POST /v1/images/generations/async HTTP/1.1" 202
