# Copyright (C) Conduit for nginx authors

# What a status is asked for, without a task at hand: ids, methods, paths, the
# other spellings.  Tasks themselves are looked at in t/harness/tasks.t.

use strict;
use warnings;

use ConduitTest 'no_plan';

our $None = "00000000-0000-4000-8000-000000000000";

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: unknown and malformed ids are the same to a client
--- key: acme
--- request eval
[map { "GET $_" }
 "/v1/images/generations/$::None", "/v1/images/generations/x",
 "/v1/images/generations/" . uc "5ba1c6de-0000-4000-8000-000000000000",
 "/v1/videos/generations/$::None", "/v1/tasks/$::None",
 "/v1/images/generations/$::None/events",
 "/v1/images/generations/$::None/status",
 "/v1/videos/generations/tasks/$::None"]
--- error_code eval
[(404) x 8]
--- response_body_like eval
[('"type":"not_found_error","param":null,"code":"task_not_found"') x 8]



=== TEST 2: paths that are none
--- key: acme
--- request eval
["GET /v1/images/generations/$::None/nothing",
 "POST /v1/videos/generations"]
--- error_code eval
[404, 404]
--- response_body_like eval
['"code":"not_found"', '/async.*"code":"not_found"']



=== TEST 3: methods that are none, and what would be right
--- key: acme
--- request eval
["GET /v1/images/generations", "GET /v1/images/generations/async",
 "PUT /v1/images/generations/$::None", "POST /v1/tasks",
 "GET /v1/images/generations/$::None/cancel",
 "GET /v1/images/generations/$::None/retry"]
--- error_code eval
[(405) x 6]
--- response_headers_like eval
["Allow: POST, OPTIONS", "Allow: .*POST.*", "Allow: .*GET.*DELETE.*",
 "Allow: .*GET.*", "Allow: .*POST.*", "Allow: .*POST.*"]
--- response_body_like eval
[('"code":"method_not_allowed"') x 6]



=== TEST 4: cancel and retry of what does not exist
--- key: acme
--- request eval
["DELETE /v1/images/generations/$::None",
 "POST /v1/images/generations/$::None/cancel",
 "POST /v1/images/generations/$::None/retry"]
--- error_code eval
[404, 404, 404]
--- response_body_like eval
[('"code":"task_not_found"') x 3]



=== TEST 5: HEAD has the headers and no body
--- key: acme
--- request
HEAD /v1/tasks
--- error_code: 200
--- response_headers
Content-Type: application/json
--- response_body
