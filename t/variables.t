# Copyright (C) Conduit for nginx authors

# The variables, as the access log writes them.

use strict;
use warnings;

use ConduitTest 'no_plan';

$ConduitTest::Provider .= <<'_END_';
log_format conduit '"$request_method $conduit_uri" key=$conduit_key '
                   'id=$conduit_task_id status=$conduit_task_status '
                   'model=$conduit_model provider=$conduit_provider '
                   'error=$conduit_error_code transport=$conduit_transport';
_END_
$ConduitTest::Config .= "access_log logs/access.log conduit;\n";

repeat_each(1);
run_tests();

__DATA__

=== TEST 1: a create
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat"}
--- error_code: 202
--- access_log eval
my $id = ConduitTest::conduit_id_like();
my $rest = 'model=sandbox-image provider=sandbox error=- transport=-';
qr{"POST /v1/images/generations/async" key=acme id=$id status=pending $rest}



=== TEST 2: a task that failed
--- key: acme
--- more_headers
Prefer: wait=9
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"sandbox:error=provider_quota"}
--- access_log eval
my $id = ConduitTest::conduit_id_like();
my $rest = 'model=sandbox-image provider=sandbox error=provider_quota';
qr{key=acme id=$id status=failed $rest}



=== TEST 3: without a key, and without the key that was in the query
--- request
GET /v1/tasks?limit=1&access_token=condt_acme&after=x
--- error_code: 401
--- access_log
"GET /v1/tasks?limit=1&after=x" key=- id=- status=- model=- provider=- error=-
--- no_access_log
condt_acme



=== TEST 4: the query's first, with escapes, and alone
--- pipelined_requests eval
["GET /v1/tasks?access_token=condt_acme&limit=1",
 "GET /v1/tasks?%61ccess_token=condt_acme",
 "GET /v1/tasks?ACCESS_TOKEN=condt_acme"]
--- error_code eval
[401, 401, 401]
--- no_access_log
condt_acme



=== TEST 5: where nothing of ours is
--- config
    access_log off;

    location /t {
        return 200 "$conduit_key|$conduit_task_id|$conduit_uri\n";
    }
--- request
GET /t?a=b&access_token=c
--- response_body
||/t?a=b
