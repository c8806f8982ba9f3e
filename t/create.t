# Copyright (C) Conduit for nginx authors

# POST .../generations/async: what is accepted, what is refused, and how.

use strict;
use warnings;

use ConduitTest 'no_plan';

our $Id = conduit_id_like();

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: an image is accepted
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat","n":2,"size":"64x64","seed":-7}
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: .*/v1/images/generations/[0-9a-f-]{36}
--- response_body_like eval
qr/^\{"task_id":"$::Id","taskId":"$::Id","status":"pending",
    "created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "check_status_url":"\/v1\/images\/generations\/$::Id",
    "progress":0,"queue_position":(?:null|\d+)\}$/x



=== TEST 2: a video is accepted
--- key: acme
--- request
POST /v1/videos/generations/async
{"model":"sandbox-video","prompt":"waves","duration":1,"fps":10}
--- error_code: 202
--- response_body_like: "check_status_url":"/v1/videos/generations/



=== TEST 3: members that nobody knows are no error, null is absent
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat","hue":[1,2],"size":null,"n":null}
--- error_code: 202



=== TEST 4: no prompt
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image"}
--- error_code: 400
--- response_body_like eval
qr/^\{"error":\{"message":"'prompt'[^"]+",
    "type":"invalid_request_error","param":"prompt","code":"\w+"\}\}$/x



=== TEST 5: no model
--- key: acme
--- request
POST /v1/images/generations/async
{"prompt":"a cat"}
--- error_code: 400
--- response_body_like: "param":"model"



=== TEST 6: an empty prompt
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":""}
--- error_code: 400
--- response_body_like: "param":"prompt"



=== TEST 7: a prompt of 32000 characters, two bytes each
--- key: acme
--- request eval
"POST /v1/images/generations/async
{\"model\":\"sandbox-image\",\"prompt\":\"" . ("\xc3\xa9" x 32000) . "\"}"
--- error_code: 202



=== TEST 8: a prompt of 32001 characters
--- key: acme
--- request eval
"POST /v1/images/generations/async
{\"model\":\"sandbox-image\",\"prompt\":\"" . ("a" x 32001) . "\"}"
--- error_code: 400
--- response_body_like: "param":"prompt"



=== TEST 9: wrong types and ranges name their member
--- key: acme
--- request eval
[map { "POST /v1/images/generations/async\n"
       . "{\"model\":\"sandbox-image\",\"prompt\":\"a\",$_}" }
 '"n":0', '"n":11', '"n":1.5', '"n":"1"', '"size":"64"', '"size":"0x64"',
 '"size":64', '"quality":1', '"style":[]', '"response_format":"png"',
 '"duration":61', '"fps":0', '"timeout_seconds":0', '"timeout_seconds":3601',
 '"seed":"x"', '"user":{}', '"image":1', '"webhook_url":1',
 '"webhook_metadata":[]', '"webhook_events":"all"']
--- error_code eval
[(400) x 20]
--- response_body_like eval
[map { "\"param\":\"$_\"" }
 qw( n n n n size size size quality style response_format duration fps
     timeout_seconds timeout_seconds seed user image webhook_url
     webhook_metadata webhook_events )]



=== TEST 10: bodies that are no JSON document of ours
--- key: acme
--- request eval
[map { "POST /v1/images/generations/async\n$_" }
 '{', '[]', '{} x', '{"prompt":"a","prompt":"b"}', "{\"prompt\":\"\xff\"}",
 '{"prompt":"a\u0000b","model":"sandbox-image"}',
 '{"prompt":"\ud800","model":"sandbox-image"}',
 '{"a":' . ('[' x 40) . (']' x 40) . '}', '{"a":1e400}',
 '{"a":99999999999999999999}']
--- error_code eval
[(400) x 10]
--- response_body_like eval
[('"type":"invalid_request_error"') x 10]



=== TEST 11: a model that nobody knows
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"nothing","prompt":"a cat"}
--- error_code: 404
--- response_body_like: "type":"not_found_error","param":"model","code":"model_not_found"



=== TEST 12: a model of the other kind
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-video","prompt":"a cat"}
--- error_code: 400
--- response_body_like: "param":"model"



=== TEST 13: a body larger than client_max_body_size
--- config
    location /v1/images/generations {
        client_max_body_size 100;
        conduit_generations image;
    }
--- key: acme
--- request eval
"POST /v1/images/generations/async
{\"model\":\"sandbox-image\",\"prompt\":\"" . ("a" x 200) . "\"}"
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body_like: "code":"request_too_large"
--- error_log
client intended to send too large body



=== TEST 14: a body that went to a file
--- config
    location /v1/images/generations {
        client_body_buffer_size 16;
        client_body_in_file_only clean;
        conduit_generations image;
    }
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat that is kept in a file"}
--- error_code: 202



=== TEST 15: a chunked body
--- raw_request eval
"POST /v1/images/generations/async HTTP/1.1\r
Host: localhost\r
Connection: close\r
Authorization: Bearer condt_acme\r
Transfer-Encoding: chunked\r
\r
1f\r
{\"model\":\"sandbox-image\",\"promp\r
b\r
t\":\"a cat\"}\r
0\r
\r
"
--- error_code: 202



=== TEST 16: Content-Type is not looked at
--- key: acme
--- more_headers
Content-Type: text/plain
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat"}
--- error_code: 202



=== TEST 17: Prefer: wait brings the document
--- key: acme
--- more_headers
Prefer: wait=9
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a cat","size":"32x32"}
--- error_code: 200
--- response_headers
Preference-Applied: wait=9
--- response_body_like eval
qr/"status":"completed","progress":100,.*"b64_json":"iVBORw0KGgo/



=== TEST 18: Prefer: wait that is too short
--- key: acme
--- more_headers
Prefer: wait=1
--- request
POST /v1/images/generations/async
{"model":"gpu-image","prompt":"a cat"}
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: "status":"pending"
--- timeout: 5



=== TEST 19: Prefer: wait is clamped, and garbage is ignored
--- http_config
    conduit_wait_max 1s;
--- key: acme
--- request eval
[("POST /v1/images/generations/async
{\"model\":\"gpu-image\",\"prompt\":\"a cat\"}") x 3]
--- more_headers eval
["Prefer: wait=30", "Prefer: wait=soon", "Prefer: wait=0"]
--- error_code eval
[202, 202, 202]
--- response_headers eval
["Preference-Applied: wait=1", "!Preference-Applied", "!Preference-Applied"]



=== TEST 20: Prefer in several lines
--- http_config
    conduit_wait_max 1s;
--- key: acme
--- more_headers
Prefer: respond-async
Prefer: wait=30
--- request
POST /v1/images/generations/async
{"model":"gpu-image","prompt":"a cat"}
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- timeout: 5



=== TEST 21: webhooks are accepted, and checked
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a","webhook_url":"https://example.com/h","webhook_headers":{"X-A":"b"},"webhook_metadata":{"order":1.0},"webhook_events":["completed"]}
--- error_code: 202



=== TEST 22: webhooks without TLS
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a","webhook_url":"http://example.com/h"}
--- error_code: 400
--- response_body_like: "param":"webhook_url","code":"invalid_webhook_url"



=== TEST 23: webhooks without TLS where they are allowed
--- http_config
    conduit_webhook_plain on;
--- key: acme
--- request
POST /v1/images/generations/async
{"model":"sandbox-image","prompt":"a","webhook_url":"http://example.com/h"}
--- error_code: 202
