# Copyright (C) Conduit for nginx authors

# Idempotency-Key.  Races are in t/harness/idempotency.t.

use strict;
use warnings;

use ConduitTest 'no_plan';

our $Path = "/v1/images/generations/async";
our $Good = '{"model":"gpu-image","prompt":"a"}';

run_tests();

__DATA__

=== TEST 1: the same request again, another one, and the list
--- key: acme
--- more_headers
Idempotency-Key: k-1
--- pipelined_requests eval
["POST $::Path\n$::Good", "POST $::Path\n$::Good",
 "POST $::Path\n{\"model\":\"gpu-image\",\"prompt\":\"b\"}",
 "POST /v1/videos/generations/async\n$::Good", "GET /v1/tasks"]
--- error_code eval
[202, 202, 422, 400, 200]
--- response_headers_like eval
["", "Idempotency-Replayed: true\nLocation: .*", "",
 "", ""]
--- response_body_like eval
['"task_id"', '"task_id"', '"code":"idempotency_mismatch"', '"model"',
 '^\{"object":"list","data":\[\{(?:(?!\},\{"task_id").)*\}\],"first_id"']



=== TEST 2: quoted and bare are the same
--- key: acme
--- more_headers eval
["Idempotency-Key: \"k-1\"", "Idempotency-Key: k-1"]
--- request eval
["POST $::Path\n$::Good", "POST $::Path\n$::Good"]
--- error_code eval
[202, 202]
--- response_headers_like eval
["Location: .*", "Idempotency-Replayed: true"]



=== TEST 3: keys that are none
--- key: acme
--- more_headers eval
["Idempotency-Key: " . ("x" x 256), "Idempotency-Key: a\x01b"]
--- request eval
["POST $::Path\n$::Good", "POST $::Path\n$::Good"]
--- error_code eval
[400, 400]
--- response_body_like eval
[('"type":"invalid_request_error"') x 2]
