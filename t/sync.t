# Copyright (C) Conduit for nginx authors

# POST /v1/images/generations, as OpenAI's SDKs use it.

use strict;
use warnings;

use ConduitTest 'no_plan';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a picture
--- key: acme
--- request
POST /v1/images/generations
{"model":"sandbox-image","prompt":"a cat","size":"32x32"}
--- error_code: 200
--- response_headers_like
X-Conduit-Task-Id: [0-9a-f-]{36}
--- response_body_like eval
qr/^\{"created":\d{10},"data":\[\{"b64_json":"iVBORw0KGgo[^"]+"[^{}]*\}\]\}$/



=== TEST 2: several
--- key: acme
--- request
POST /v1/images/generations
{"model":"sandbox-image","prompt":"a cat","size":"32x32","n":2}
--- response_body_like eval
qr/^\{"created":\d+,"data":\[\{"b64_json":"[^{}]+\},\{"b64_json":"[^{}]+\}\]\}$/



=== TEST 3: failures become HTTP errors that nobody repeats
--- key: acme
--- request eval
[map { "POST /v1/images/generations
{\"model\":\"sandbox-image\",\"prompt\":\"sandbox:error=$_\"}" }
 qw( content_policy_violation invalid_request unsupported_model rate_limited
     provider_unavailable timeout internal_error )]
--- error_code eval
[400, 400, 404, 429, 502, 504, 500]
--- response_headers eval
[("x-should-retry: false") x 7]
--- response_body_like eval
[map { "\"code\":\"$_\"" }
 qw( content_policy_violation invalid_request unsupported_model rate_limited
     provider_unavailable timeout internal_error )]



=== TEST 4: what is wrong is told at once
--- key: acme
--- request
POST /v1/images/generations
{"model":"sandbox-image","prompt":"a cat","n":0}
--- error_code: 400
--- response_body_like: "param":"n"



=== TEST 5: a file that is served
--- http_config
    conduit_media html/media url=/media/;
--- config
    location /v1/images/generations { conduit_generations image; }
--- key: acme
--- request
POST /v1/images/generations
{"model":"sandbox-image","prompt":"a cat","size":"32x32"}
--- response_body_like eval
qr/^\{"created":\d+,"data":\[\{"url":"\/media\/[\w-]{20,}\.png"[^{}]*\}\]\}$/
