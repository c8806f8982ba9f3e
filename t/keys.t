# Copyright (C) Conduit for nginx authors

# Who may come in: conduit_key and its members.

use strict;
use warnings;

use Digest::SHA 'sha256_hex';
use ConduitTest 'no_plan';

our $Good = '{"model":"sandbox-image","prompt":"a"}';
our %Hash = map { $_ => "sha256:" . sha256_hex("condt_$_") }
            qw( one two three four five six );
our $More = <<"_END_";
conduit_key rotated {
    secret $Hash{one};
    secret $Hash{two} expires=2001-01-01T00:00:00Z;
    secret $Hash{three} expires=2099-01-01T00:00:00Z;
}

conduit_key old { secret $Hash{four}; expires 2001-01-01T00:00:00Z; }
conduit_key closed { secret $Hash{five}; disabled; }
conduit_key narrow { secret $Hash{six}; models sandbox-v* other; tasks 5; }
_END_

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: no key
--- request
GET /v1/tasks
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer
Content-Type: application/json
--- response_body_like: "type":"authentication_error","param":null,"code":"invalid_api_key"



=== TEST 2: an unknown key, also on an unknown path
--- more_headers
Authorization: Bearer condt_nobody
--- request eval
["GET /v1/tasks", "GET /v1/images/generations/no/such/path",
 "POST /v1/images/generations/async\n{"]
--- error_code eval
[401, 401, 401]



=== TEST 3: ways to send a key
--- request eval
[("GET /v1/tasks") x 6]
--- more_headers eval
["Authorization: Bearer condt_acme", "Authorization: bEARER condt_acme",
 "X-API-Key: condt_acme",
 "Authorization: Basic Zm9vOmJhcg==\nX-API-Key: condt_acme",
 "Authorization: Bearer condt_acme\nX-API-Key: condt_nobody",
 "Authorization: Bearer condt_nobody\nX-API-Key: condt_acme"]
--- error_code eval
[200, 200, 200, 200, 200, 401]



=== TEST 4: a key in the query is none here
--- request
GET /v1/tasks?access_token=condt_acme
--- error_code: 401



=== TEST 5: secrets that are rotated
--- http_config eval: $::More
--- request eval
[("GET /v1/tasks") x 3]
--- more_headers eval
[map { "X-API-Key: condt_$_" } qw( one two three )]
--- error_code eval
[200, 401, 200]



=== TEST 6: a key that has expired
--- http_config eval: $::More
--- key: four
--- request
GET /v1/tasks
--- error_code: 401



=== TEST 7: a key that is disabled
--- http_config eval: $::More
--- key: five
--- request
GET /v1/tasks
--- error_code: 403
--- response_body_like: "type":"permission_error","param":null,"code":"key_disabled"



=== TEST 8: models that a key may not use
--- http_config eval: $::More
--- key: six
--- request eval
["POST /v1/images/generations/async\n$::Good",
 "POST /v1/videos/generations/async
{\"model\":\"sandbox-video\",\"prompt\":\"a\"}"]
--- error_code eval
[403, 202]
--- response_body_like eval
['"type":"permission_error","param":"model","code":"model_not_allowed"',
 '"task_id"']



=== TEST 9: the workers' side wants "worker on"
--- key: acme
--- request
POST /conduit/worker/claim
{}
--- error_code: 403
--- response_body_like: "code":"worker_not_allowed"



=== TEST 10: a worker that finds nothing to do
--- key: worker
--- request
POST /conduit/worker/claim
{"wait":0}
--- error_code: 204
