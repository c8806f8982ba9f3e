# Copyright (C) Conduit for nginx authors

# GET /v1/tasks: the empty list, and what may be asked.

use strict;
use warnings;

use ConduitTest 'no_plan';

repeat_each(1);
run_tests();

__DATA__

=== TEST 1: nothing yet
--- key: other
--- request
GET /v1/tasks
--- response_body eval
'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'



=== TEST 2: one's own tasks, and nobody else's
--- key: acme
--- pipelined_requests eval
["POST /v1/images/generations/async
{\"model\":\"gpu-image\",\"prompt\":\"a\"}",
 "GET /v1/tasks", "GET /v1/tasks?status=completed", "GET /v1/tasks?type=video",
 "GET /v1/tasks?model=gpu-image&limit=1&order=asc"]
--- error_code eval
[202, 200, 200, 200, 200]
--- response_body_like eval
['"task_id"', '"data":\[\{"task_id".*"has_more":false', '"data":\[\]',
 '"data":\[\]', '"data":\[\{"task_id"']



=== TEST 3: wrong queries name their parameter
--- key: acme
--- request eval
[map { "GET /v1/tasks?$_" }
 "limit=0", "limit=101", "limit=x", "status=done", "type=text", "order=up",
 "after=x", "after=00000000-0000-4000-8000-000000000000"]
--- error_code eval
[(400) x 8]
--- response_body_like eval
[map { "\"type\":\"invalid_request_error\",\"param\":\"$_\"" }
 qw( limit limit limit status type order after after )]
