# Copyright (C) Conduit for nginx authors

# The module in one nginx with others, and what it exports.

use strict;
use warnings;

use ConduitTest 'no_plan';

my $nchan = "/usr/lib/nginx/modules/ngx_nchan_module.so";
my $module = $ENV{TEST_NGINX_LOAD_MODULES};

our $Nchan = -f $nchan ? "load_module $nchan;" : "";

ok(-f $nchan, "nchan is installed");

my @symbols = sort map { (split)[2] } `nm -D --defined-only $module`;

is("@symbols", "ngx_module_names ngx_module_order ngx_modules",
   "nothing else is exported");

# in a single process nchan frees its zone twice at exit

master_on();

run_tests();

__DATA__

=== TEST 1: alone, without a directive
--- bare
--- config
    location /t {
        return 200 "served\n";
    }
--- request
GET /t
--- response_body
served



=== TEST 2: beside nchan, which carries a hiredis of its own
--- bare
--- main_config eval: $main::Nchan
--- config
    location /sub {
        nchan_subscriber;
        nchan_channel_id t;
    }

    location /t {
        return 200 "served\n";
    }
--- request
GET /t
--- response_body
served
