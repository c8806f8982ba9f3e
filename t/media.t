# Copyright (C) Conduit for nginx authors

# conduit_media: what nginx -t says of it, and files as nginx serves them.
# Their life is in harness/media.t.

use strict;
use warnings;

use ConduitTest 'no_plan';

our $Root = $ENV{TEST_NGINX_SERVROOT};

no_shuffle();
run_tests();

__DATA__

=== TEST 1: all parameters
--- http_config
    conduit_media html/media url=/media/ ttl=1h max_size=8m fetch=on;
--- config
    location /t {
        return 200 "served\n";
    }
--- request
GET /t
--- response_body
served



=== TEST 2: the folder is made
--- http_config
    conduit_media html/made url=https://cdn.example.com/m;
--- config
    location /t {
        root .;

        if (!-d $document_root/html/made) {
            return 404;
        }

        return 200 "there\n";
    }
--- request
GET /t
--- response_body
there



=== TEST 3: no url
--- http_config
    conduit_media html/media;
--- config
--- must_die
--- error_log
conduit_media "html/media" has no url=PREFIX, where clients find its files



=== TEST 4: a url that is none
--- http_config
    conduit_media html/media url=ftp://example.com/;
--- config
--- must_die
--- error_log
it must be given once and begin with http://, https:// or /



=== TEST 5: a url with a query
--- http_config
    conduit_media html/media url=/media?x=;
--- config
--- must_die
--- error_log
invalid parameter "url=/media?x=" of conduit_media



=== TEST 6: two urls
--- http_config
    conduit_media html/media url=/a url=/b;
--- config
--- must_die
--- error_log
invalid parameter "url=/b" of conduit_media



=== TEST 7: twice
--- http_config
    conduit_media html/media url=/media;
    conduit_media html/media url=/media;
--- config
--- must_die
--- error_log
"conduit_media" directive is duplicate



=== TEST 8: no time to live
--- http_config
    conduit_media html/media url=/media ttl=0;
--- config
--- must_die
--- error_log
it must be given once and be a time of 1s or more



=== TEST 9: a size that is none
--- http_config
    conduit_media html/media url=/media max_size=big;
--- config
--- must_die
--- error_log
it must be given once and be a size up to 1024m



=== TEST 10: neither on nor off
--- http_config
    conduit_media html/media url=/media fetch=yes;
--- config
--- must_die
--- error_log
it must be given once and be "on" or "off"



=== TEST 11: an unknown parameter
--- http_config
    conduit_media html/media url=/media keep=1d;
--- config
--- must_die
--- error_log
it must be url=, ttl=, max_size= or fetch=



=== TEST 12: a file in place of the folder
--- http_config
    conduit_media html/index.html url=/media;
--- config
--- must_die
--- error_log
is no folder



=== TEST 13: no folder above it
--- http_config
    conduit_media none/such/folder url=/media;
--- config
--- must_die
--- error_log
cannot be made, the folder above it is missing



=== TEST 14: a folder that others use as well
--- http_config
    conduit_media /tmp url=/media;
--- config
--- must_die
--- error_log
is shared with others, give results a folder of their own
